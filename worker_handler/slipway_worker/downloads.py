"""The files of an input: several at once, continued after breaks, checked."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from slipway_worker.addresses import public_address
from slipway_worker.errors import InputUnavailable
from slipway_worker.runner import InFile, JobContext

MAX_BYTES = 100 * 1024**3
MAX_REDIRECTS = 3
AT_ONCE = 4
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
PAUSES = (0.5, 2.0, 5.0)
# What a signed link answers whose time is over.
EXPIRED = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
NO_SUCH_RANGE = httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE


class Interrupted(Exception):
    """A download broke off; what came is kept and can be continued."""


class Expired(Exception):
    """The link is not good any more; its server may give a new one."""


@dataclass(frozen=True)
class Wanted:
    """One file: where it is, where it goes, and what is known of it."""

    name: str
    url: str
    target: Path
    size: int | None = None
    sha256: str = ""


def fetch_all(
    files: dict[str, InFile],
    known: dict[str, Any],
    *,
    local: Callable[[str], str],
    renew: Callable[[str], str],
    trusted: tuple[str, ...],
    job: JobContext,
) -> None:
    """Fetch every file of an input into the job's folder; raise `InputUnavailable`.

    `known` has the sizes and hashes that our server told, `local` turns its links to
    where we reach it, `renew` asks it for a new one. `trusted` bases may be private.
    """
    if not files:
        return
    wanted = [_wanted(name, file, known, local, job) for name, file in files.items()]
    shares = _Shares(job, len(wanted))

    def fetch(number: int) -> None:
        _download(wanted[number], shares.of(number), renew, trusted)

    with ThreadPoolExecutor(min(AT_ONCE, len(wanted))) as threads:
        # All are waited for, so that none writes on when the first one has failed.
        done = [threads.submit(fetch, number) for number in range(len(wanted))]
    for one, future in zip(wanted, done, strict=True):
        future.result()
        files[one.name].fetched_to(one.target)


def _wanted(
    name: str,
    file: InFile,
    known: dict[str, Any],
    local: Callable[[str], str],
    job: JobContext,
) -> Wanted:
    expected = known.get(name)
    expected = expected if isinstance(expected, dict) else {}
    size, sha256 = expected.get("size"), str(expected.get("sha256") or "")
    target = job.folder / f"input-{name}"
    is_size = isinstance(size, int) and not isinstance(size, bool)
    return Wanted(name, local(file.root), target, size if is_size else None, sha256)


def _download(
    wanted: Wanted,
    see: Callable[[float | None], None],
    renew: Callable[[str], str],
    trusted: tuple[str, ...],
) -> None:
    url, is_renewed = wanted.url, False
    for pause in (*PAUSES, None):
        try:
            _fetch(url, wanted, trusted, see)
        except Expired as error:
            url = "" if is_renewed else renew(wanted.name)
            is_renewed, problem = True, str(error)
        except Interrupted as error:
            problem = str(error)
        except httpx.HTTPError as error:
            problem = _reason(error)
        except httpx.InvalidURL:
            raise InputUnavailable("The address is not a valid URL.") from None
        else:
            return
        if pause is None or not url:
            raise InputUnavailable(f"The file could not be fetched: {problem}.")
        time.sleep(pause)


def _fetch(
    url: str,
    wanted: Wanted,
    trusted: tuple[str, ...],
    see: Callable[[float | None], None],
) -> None:
    target = wanted.target
    have = target.stat().st_size if target.exists() else 0
    is_trusted = any(base and url.startswith(f"{base}/") for base in trusted)
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            request = _request(client, url, have, trusted)
            response = client.send(request, stream=True)
            try:
                if response.has_redirect_location:
                    url = str(httpx.URL(url).join(response.headers["location"]))
                    continue
                if have and response.status_code == NO_SUCH_RANGE:
                    # All of it came before the break, or it is another file by now.
                    target.unlink()
                    raise Interrupted("the server has no more of it")
                _check(response, is_trusted=is_trusted)
                _save(response, target, see)
            finally:
                response.close()
            _compare(wanted)
            return
    raise InputUnavailable("The address redirects too often.")


def _request(
    client: httpx.Client, url: str, have: int, trusted: tuple[str, ...]
) -> httpx.Request:
    """Build a request to the checked address, keeping host name and TLS name."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    headers["Accept-Encoding"] = "identity"
    if any(base and url.startswith(f"{base}/") for base in trusted):
        return client.build_request("GET", url, headers=headers)
    address, parsed = public_address(url), httpx.URL(url)
    headers["Host"] = parsed.netloc.decode()
    return client.build_request(
        "GET",
        parsed.copy_with(host=address),
        headers=headers,
        extensions={"sni_hostname": parsed.host},
    )


def _check(response: httpx.Response, *, is_trusted: bool) -> None:
    code = response.status_code
    if code in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        return
    problem = f"the server answered {code}"
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= 500:
        raise Interrupted(problem)
    if code in EXPIRED and is_trusted:
        raise Expired(problem)
    raise InputUnavailable(f"The file could not be fetched: {problem}.")


def _save(
    response: httpx.Response, target: Path, see: Callable[[float | None], None]
) -> None:
    is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
    size = int(response.headers.get("content-length") or 0)
    with target.open("ab" if is_rest else "wb") as file:
        whole = file.tell() + size
        _check_size(whole)
        # As they come: what is held back to make larger pieces is lost in a break.
        for piece in response.iter_raw():
            file.write(piece)
            _check_size(file.tell())
            see(file.tell() / whole if size else None)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise InputUnavailable("The file is larger than 100 GiB.")


def _compare(wanted: Wanted) -> None:
    """Compare with what our server knows of the file; a wrong one is fetched anew."""
    size = wanted.target.stat().st_size
    if wanted.size is not None and size != wanted.size:
        wanted.target.unlink()
        raise Interrupted(f"{size} bytes came in place of {wanted.size}")
    if wanted.sha256 and _sha256(wanted.target) != wanted.sha256:
        wanted.target.unlink()
        raise Interrupted("what came is not the file that was uploaded")


def _reason(error: Exception) -> str:
    names = {
        "ConnectError": "no connection",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "the server stopped sending",
    }
    return names.get(type(error).__name__, type(error).__name__)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Shares:
    """One progress of several downloads."""

    def __init__(self, job: JobContext, count: int) -> None:
        self._job, self._parts = job, [0.0] * count
        self._lock = threading.Lock()

    def of(self, number: int) -> Callable[[float | None], None]:
        """Return what tells the progress of one of them."""

        def see(part: float | None) -> None:
            with self._lock:
                self._parts[number] = part or 0.0
                whole = sum(self._parts) / len(self._parts)
                is_known = part is not None or len(self._parts) > 1
                self._job.progress(whole if is_known else None, "downloading")

        return see
