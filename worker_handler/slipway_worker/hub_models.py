"""Models from the Hugging Face hub: once on a volume, whole, compared, shared by workers.

    path = ensure_model("Systran/faster-whisper-large-v3@edaa852ec7e145841d8ffdb056a99866b5f0a478")

Everything lies below HF_HOME, which is on the network volume where there is one: nothing
is kept twice. The hub is asked for the real size first; a volume that is too small is an
error before the first byte. What is there and whole costs no request, so a worker also
starts without the hub (HF_HUB_OFFLINE=1).
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_worker.errors import SetupFailed

logger = logging.getLogger("slipway")
VOLUME = Path("/runpod-volume")
RESERVE_BYTES = 2 * 1000**3
GB = 1000**3
LEASE_SECONDS = 180.0
BEAT_SECONDS = 20.0
WAIT_SECONDS = 2.0
OLD_SECONDS = 6 * 3600.0
# Other frameworks' copies of the same weights, and what is for people.
IGNORED = ("*.onnx", "*.msgpack", "*.h5", "*.gguf", "*.ot", "*.md", "*.png", "*.mp4")
_NAME = re.compile(r"^([\w.-]+/[\w.-]+)@([0-9a-f]{40})$")


@dataclass(frozen=True)
class _File:
    """A file of a model as the hub describes it; `sha256` only of large ones."""

    name: str
    size: int
    sha256: str


def ensure_model(
    name: str, *, only: tuple[str, ...] = (), without: tuple[str, ...] = IGNORED
) -> Path:
    """Return the folder of a model, "organisation/name@commit", downloading it if needed.

    `only` and `without` are patterns of file names. Raise `SetupFailed` with the remedy
    where it cannot be had.
    """
    match = _NAME.match(name)
    if not match:
        text = "write organisation/name@commit, with the commit's 40 digits"
        raise SetupFailed(f"{name!r} is no model: {text}.")
    model = _Model(match[1], match[2], only, without)
    folder = model.folder_if_whole()
    if folder:
        return folder
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        text = f"{model.repo} is not on this volume, and HF_HUB_OFFLINE is set."
        raise SetupFailed(f"{text} Download it once with a worker that may.")
    with _alone(model.marker.with_suffix(".lock")):
        return model.folder_if_whole() or model.download()


def home() -> Path:
    """Return HF_HOME: on the volume where there is one. The hub's library reads it once."""
    usual = VOLUME if VOLUME.is_dir() else Path.home() / ".cache"
    path = os.environ.setdefault("HF_HOME", str(usual / "huggingface"))
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "60")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "30")
    # Its chunks would lie on the volume beside what they become.
    os.environ.setdefault("HF_XET_CACHE", "/tmp/hf-xet")  # noqa: S108 - scratch, per container
    return Path(path)


class _Model:
    """One model at one commit."""

    def __init__(
        self, repo: str, commit: str, only: tuple[str, ...], without: tuple[str, ...]
    ) -> None:
        self.repo, self.commit = repo, commit
        self._patterns: dict[str, Any] = {
            "allow_patterns": list(only) or None,
            "ignore_patterns": list(without) or None,
        }
        folder = f"models--{repo.replace('/', '--')}"
        self._cache = home() / "hub" / folder
        self.snapshot = self._cache / "snapshots" / commit
        # Another selection of files is another thing to have.
        kind = hashlib.sha256(repr(sorted(self._patterns.items())).encode()).hexdigest()
        self.marker = home() / ".slipway" / f"{folder}-{commit[:12]}-{kind[:8]}.json"

    def folder_if_whole(self) -> Path | None:
        """Return the folder if every file has the size it had when it was compared."""
        try:
            sizes = json.loads(self.marker.read_text())
        except (OSError, ValueError):
            return None
        for name, size in sizes.items():
            path = self.snapshot / name
            if not path.exists() or path.stat().st_size != size:
                logger.warning("%s of %s is damaged: fetched anew", name, self.repo)
                self.marker.unlink()
                return None
        return self.snapshot

    def download(self) -> Path:
        """Fetch what is missing, compare all of it, remember that it is whole."""
        with _told(self.repo):
            files = self._files()
            for turn in (1, 2):
                self._sweep()
                self._check_space(files)
                self._fetch()
                wrong = [file for file in files if not self._is_right(file)]
                if not wrong:
                    break
                logger.warning(
                    "%s: wrong: %s", self.repo, [file.name for file in wrong]
                )
                for file in wrong:
                    self._forget(file)
                if turn == 2:
                    text = f"{wrong[0].name} is not what the hub says it is."
                    raise SetupFailed(f"{self.repo}: {text} Try again later.")
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        new = self.marker.with_suffix(".new")
        new.write_text(json.dumps({file.name: file.size for file in files}))
        new.replace(self.marker)
        return self.snapshot

    def _files(self) -> list[_File]:
        from huggingface_hub import HfApi  # noqa: PLC0415 - reads HF_HOME at import
        from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: PLC0415
            filter_repo_objects,
        )

        info = HfApi().model_info(self.repo, revision=self.commit, files_metadata=True)
        all_files = [
            _File(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else "")
            for one in info.siblings or []
        ]
        kept = set(
            filter_repo_objects([one.name for one in all_files], **self._patterns)
        )
        files = [one for one in all_files if one.name in kept]
        if not files:
            raise SetupFailed(f"{self.repo} has no file that is wanted.")
        return files

    def _check_space(self, files: list[_File]) -> None:
        missing = sum(one.size for one in files if not self._is_there(one))
        free = _free_bytes(home())
        if missing + RESERVE_BYTES > free:
            need, have = (missing + RESERVE_BYTES) / GB, free / GB
            text = f"{self.repo} needs {need:.1f} GB more and {have:.1f} GB are free"
            raise SetupFailed(f"{text} in {home()}. Enlarge the volume or clear it.")

    def _fetch(self) -> None:
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        snapshot_download(self.repo, revision=self.commit, **self._patterns)

    def _is_there(self, file: _File) -> bool:
        path = self.snapshot / file.name
        return path.exists() and path.stat().st_size == file.size

    def _is_right(self, file: _File) -> bool:
        if not self._is_there(file):
            return False
        return not file.sha256 or _sha256(self.snapshot / file.name) == file.sha256

    def _forget(self, file: _File) -> None:
        """Delete a wrong file and what its link points to: the library believes both."""
        path = self.snapshot / file.name
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete what downloads that died have left: nothing goes on with it."""
        for path in (self._cache / "blobs").glob("*.incomplete"):
            if time.time() - path.stat().st_mtime > OLD_SECONDS:
                path.unlink(missing_ok=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Be the only worker of a volume that does this; others wait.

    A folder, since making one is atomic where file locks are not; its owner beats, and
    one that has not for three minutes is dead.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    while not _made(lock):
        if time.time() - _beaten_at(lock) > LEASE_SECONDS:
            # Only one of those who wait moves it away.
            dead = lock.with_name(f"{lock.name}.{os.getpid()}.{time.time_ns()}")
            try:
                lock.rename(dead)
            except OSError:
                continue
            shutil.rmtree(dead, ignore_errors=True)
            continue
        logger.info("another worker downloads this model; waiting")
        time.sleep(WAIT_SECONDS)
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=[lock, over], daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        shutil.rmtree(lock, ignore_errors=True)


def _made(lock: Path) -> bool:
    try:
        lock.mkdir()
    except FileExistsError:
        return False
    return True


def _beaten_at(lock: Path) -> float:
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _beat(lock: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        if lock.exists():
            os.utime(lock)


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Turn what may go wrong at the hub into sentences with a remedy."""
    from huggingface_hub import errors as hub  # noqa: PLC0415

    try:
        yield
    except hub.GatedRepoError as error:
        text = "accept its terms on the hub and set HF_TOKEN"
        raise SetupFailed(f"{repo} is gated: {text}.") from error
    except hub.RevisionNotFoundError as error:
        raise SetupFailed(f"{repo} has no such commit.") from error
    except hub.RepositoryNotFoundError as error:
        text = "misspelt, or private without HF_TOKEN"
        raise SetupFailed(f"There is no {repo} on the hub ({text}).") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise SetupFailed(f"{repo}: the volume at {home()} is full.") from error
        raise


def _free_bytes(folder: Path) -> float:
    """Return what is free. A network volume may show its whole cluster: VOLUME_QUOTA_GB."""
    folder.mkdir(parents=True, exist_ok=True)
    free = float(shutil.disk_usage(folder).free)
    quota = os.environ.get("VOLUME_QUOTA_GB", "")
    if not quota:
        return free
    used = sum(
        path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()
    )
    return min(free, float(quota) * GB - used)


def _sha256(path: Path) -> Any:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
