"""Groups similar error messages: those that differ only in names and numbers."""

import re

MAX = 200
_VARYING = [
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", "<url>"),
        (r"(?<![\w.])/(?:[\w.@+-]+/)+[\w.@+-]*", "<path>"),
        (r"\b[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"“[^”]*”|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)", "<text>"),
        (r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{12,}\b", "<hex>"),
        (r"\d+(?:[.,]\d+)*", "<n>"),
    )
]


def signature(message: str) -> str:
    """Return `message` without its variable parts, at most 200 characters."""
    text = " ".join(message[:1000].split())
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return text[:MAX]
