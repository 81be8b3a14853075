"""Names that people gave to files. Shown, never used as a path."""

import unicodedata

MAX_BYTES = 255
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(name: str) -> str:
    """Return `name` fit to be shown: last path part, NFC, nothing invisible.

    Never empty, at most 255 bytes, keeping the extension.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c) not in _HIDDEN)
    name = " ".join(name.split()).strip(". ") or "file"
    while len(name.encode()) > MAX_BYTES:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem[:-1]}.{extension}" if dot and len(stem) > 1 else name[:-1]
    return name
