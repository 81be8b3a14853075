"""The type of a file, from its first bytes and never from its name."""

from collections.abc import Iterable

import puremagic

HEAD_BYTES = 8192
UNKNOWN = "application/octet-stream"
# Types that a page may show in place; all others are only downloaded.
PREVIEWABLE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "video/mp4",
        "video/webm",
        "audio/wav",
        "audio/mpeg",
        "audio/flac",
        "audio/ogg",
        "application/json",
        "text/plain",
    }
)


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with `head`."""
    if head[4:8] == b"ftyp":
        return _iso_media(head[8:12])
    if _is_text(head):
        return (
            "text/html"
            if b"<html" in head.lower() or b"<svg" in head.lower()
            else "text/plain"
        )
    try:
        detected = puremagic.from_string(head, mime=True)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    return str(detected) or UNKNOWN


def is_any(content_type: str, patterns: Iterable[str]) -> bool:
    """Whether a type is one of `patterns`, such as `image/png` or `video/*`."""
    return any(
        content_type.startswith(pattern[:-1])
        if pattern.endswith("/*")
        else content_type == pattern
        for pattern in patterns
    )


def words_for(content_type: str) -> str:
    """Return the words for such a file in a sentence."""
    if content_type in {"", UNKNOWN}:
        return "of an unknown type"
    return "text" if content_type.startswith("text/") else content_type


def _iso_media(brand: bytes) -> str:
    if brand in {b"heic", b"heix", b"mif1", b"avif"}:
        return "image/avif" if brand == b"avif" else "image/heic"
    if brand == b"M4A ":
        return "audio/mp4"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _is_text(head: bytes) -> bool:
    if not head or b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The head may end in the middle of a character.
        return error.start >= len(head) - 3
    return True
