"""Keeps secrets out of what leaves this worker as text: errors and logs."""

import os
import re

HIDDEN = "…"
MIN_LENGTH = 8
_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_PATTERNS = (
    # Whoever has a signed link may fetch what is behind it.
    re.compile(r"(?<=[?&])(X-Amz-[\w-]+|[Ss]ignature|[Tt]oken|[Kk]ey)=[^&\s'\"]+"),
    re.compile(r"(?<=/files/)[\w.:=-]{20,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"(?<=[Bb]earer )[\w.:=/+-]{8,}"),
)


def redact(text: str, *secrets: str) -> str:
    """Return `text` without the values of secret variables, `secrets`, and signed links."""
    values = [value for name, value in os.environ.items() if _NAMES.search(name)]
    for value in sorted({*values, *secrets}, key=len, reverse=True):
        if len(value) >= MIN_LENGTH:
            text = text.replace(value, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text
