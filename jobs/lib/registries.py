"""The sizes of models and images according to Hugging Face and Docker Hub.

Estimates in README files are wrong by factors; these are actual bytes.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings

from jobs.lib import tls
from jobs.lib.version import USER_AGENT

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
PAGES_MAX = 50
_MODEL = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
_IMAGE = re.compile(r"(?P<name>[a-z0-9][\w./-]*)(:(?P<tag>[\w.-]+))?")


class LookupFailed(Exception):
    """The registry does not know the name, or does not answer; the text says which."""


class NotPublic(LookupFailed):
    """The registry has no public entry of this name."""


@dataclass(frozen=True)
class ModelSize:
    """The files of a model; sizes in bytes."""

    name: str
    revision: str
    files: dict[str, int]

    @property
    def total(self) -> int:
        """The bytes of all files."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Image:
    """A tag of an image on Docker Hub; the size is compressed, in bytes."""

    name: str
    tag: str
    size: int
    updated_at: str


def model_size(name: str) -> ModelSize:
    """Return the files of `organisation/name[@revision]` on Hugging Face."""
    if not _MODEL.fullmatch(name):
        raise LookupFailed("Write a model as organisation/name, or with @revision.")
    name, _, revision = name.partition("@")
    base = f"{settings.HUGGING_FACE_URL}/api/models/{name}/tree"
    url = f"{base}/{quote(revision or 'main', safe='')}?recursive=true"
    files: dict[str, int] = {}
    with _http(settings.HUGGING_FACE_TOKEN) as http:
        for _ in range(PAGES_MAX):
            answer = _got(http, url, f"the model {name}")
            for one in answer.json():
                if one.get("type", "file") == "file":
                    files[str(one["path"])] = _size_of(one)
            url = answer.links.get("next", {}).get("url", "")
            # The token must go nowhere else.
            if not url.startswith(base):
                break
    return ModelSize(name, revision or "main", files)


def image(reference: str) -> Image:
    """Return a tag on Docker Hub; raise `LookupFailed` if it does not exist."""
    match = _IMAGE.fullmatch(reference.removeprefix("docker.io/"))
    if match is None or ("." in reference.partition("/")[0] and "/" in reference):
        raise LookupFailed("Only images on Docker Hub can be looked up.")
    name, tag = match["name"], match["tag"] or "latest"
    name = name if "/" in name else f"library/{name}"
    url = f"{settings.DOCKER_HUB_URL}/v2/repositories/{name}/tags/{tag}"
    with _http() as http:
        metadata = _got(http, url, f"the image {name}:{tag}").json()
    size, updated_at = metadata.get("full_size"), metadata.get("last_updated")
    return Image(name, tag, int(size or 0), str(updated_at or ""))


def _size_of(file: dict[str, Any]) -> int:
    # A large file's entry is a pointer; its real size is under "lfs".
    size = (file.get("lfs") or {}).get("size") or file.get("size") or 0
    return int(size)


def _http(token: str = "") -> httpx.Client:
    headers = {"User-Agent": USER_AGENT}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.Client(
        headers=headers, timeout=TIMEOUT, verify=tls.context(), follow_redirects=True
    )


def _got(http: httpx.Client, url: str, what: str) -> httpx.Response:
    try:
        answer = http.get(url)
    except httpx.HTTPError as error:
        raise LookupFailed(f"No answer about {what}: {type(error).__name__}.") from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotPublic(f"There is no public entry for {what}.")
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise LookupFailed(f"No access to {what}: private, or terms not accepted.")
    if not answer.is_success:
        raise LookupFailed(f"The registry answered {answer.status_code} for {what}.")
    return answer
