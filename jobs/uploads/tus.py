"""tus 1.0.0: headers to values and back. Pure; each MUST quoted where it is obeyed."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from jobs.lib.errors import SlipwayError

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
CHECKSUMS = "sha256,sha1"
MEDIA_TYPE = "application/offset+octet-stream"
WRONG_CHECKSUM = 460
MAX_LENGTH = 2**53  # what every client can count


class TusError(SlipwayError):
    """A request that the protocol lets us refuse, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = status


def check_version(value: str | None) -> None:
    """Refuse any version but ours.

    "If the version specified by the Client is not supported by the Server, it MUST
    respond with the 412 Precondition Failed status and MUST include the Tus-Version
    header into the response. In addition, the Server MUST NOT process the request."
    """
    if value != VERSION:
        raise TusError(412, f"Send the header Tus-Resumable: {VERSION}.")


def whole_number(name: str, value: str | None) -> int:
    """Read a header that "MUST be a non-negative integer"."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 16:
        raise TusError(400, f"{name} must be a non-negative integer.")
    number = int(value)
    if number > MAX_LENGTH:
        raise TusError(400, f"{name} is larger than any file we take.")
    return number


def metadata(value: str | None) -> dict[str, str]:
    """Read Upload-Metadata.

    "The key MUST NOT contain spaces and commas and MUST NOT be empty. ... The value
    MUST be Base64 encoded. All keys MUST be unique."
    """
    pairs: dict[str, str] = {}
    if not value:
        return pairs
    for part in value.split(","):
        key, _, encoded = part.strip().partition(" ")
        if not key or key in pairs:
            raise TusError(400, "Upload-Metadata has an empty or repeated key.")
        try:
            pairs[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise TusError(400, f"Upload-Metadata: {key} is not Base64 text.") from None
    return pairs


@dataclass(frozen=True)
class Checksum:
    """What a PATCH promises about its body."""

    algorithm: str
    digest: bytes

    def hasher(self) -> Any:
        """Return what to feed the body to."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def checksum(value: str | None) -> Checksum | None:
    """Read Upload-Checksum.

    "The Upload-Checksum header ... MUST consist of the name of the used checksum
    algorithm and the Base64 encoded checksum separated by a space." "The Server MAY
    respond with ... 400 Bad Request if the checksum algorithm is not supported".
    """
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in CHECKSUMS.split(","):
        raise TusError(400, f"Upload-Checksum: we know {CHECKSUMS}.")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise TusError(400, "Upload-Checksum is not Base64.") from None
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise TusError(400, f"Upload-Checksum is no {algorithm}.")
    return Checksum(algorithm, digest)
