"""File names given by people. They are shown and never used as paths."""

import unicodedata

MAX_BYTES = 255
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(name: str) -> str:
    """Return `name` fit for display: last path part, NFC, no invisible characters.

    The result is never empty, has at most 255 bytes and keeps the extension.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c) not in _HIDDEN)
    name = " ".join(name.split()).strip(". ") or "file"
    while len(name.encode()) > MAX_BYTES:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem[:-1]}.{extension}" if dot and len(stem) > 1 else name[:-1]
    return name
