"""tus 1.0.0: headers to values and back. Pure; each MUST quoted where it is obeyed."""

import base64
import binascii

VERSION = "1.0.0"
EXTENSIONS = "creation,termination,expiration"
MAX_LENGTH = 2**53  # what every client can count


class TusError(Exception):
    """A request that the protocol lets us refuse, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
