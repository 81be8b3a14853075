"""Removes secrets from foreign text: ours by value, others by their pattern."""

import re
from typing import Any

from django.conf import settings

SHORT = 8
_LOOKS = re.compile(
    r"""(?x)
    \b(?:
        gh[pousr]_[A-Za-z0-9]{16,} | github_pat_\w{16,} | glpat-[\w-]{16,}   # Git hosts
      | hf_[A-Za-z0-9]{16,} | rpa_\w{8,} | sk-[\w-]{16,}                     # hubs, RunPod
      | (?:AKIA|ASIA)[A-Z0-9]{16} | xox[abprs]-[\w-]{10,} | AIza[\w-]{30,}   # clouds, chat
      | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{6,}                                 # JWT
    )
    | (?<=://)[^\s/:@]+:[^\s/@]+(?=@)                                        # user:password@
    | (?i:(?<=bearer\ )[\w.~+/-]{8,}=*)
    | (?i:(?<=token=)|(?<=password=)|(?<=secret=)|(?<=signature=)|(?<=api_key=))[^\s&'"]+
    """
)


def redacted(text: str) -> str:
    """Return the text with every secret, ours or probable, replaced by `[secret]`."""
    for secret in _ours():
        text = text.replace(secret, "[secret]")
    return _LOOKS.sub("[secret]", text)


def has_secret(text: str) -> bool:
    """Whether the text contains a secret or something that looks like one."""
    return redacted(text) != text


def redacted_json(value: Any) -> Any:
    """Return JSON with its texts redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {name: redacted_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_json(one) for one in value]
    return value


def _ours() -> list[str]:
    known = [
        settings.SECRET_KEY,
        settings.HUGGING_FACE_TOKEN,
        *settings.RUNPOD_KEYS.values(),
        *settings.S3_KEYS,
    ]
    return [secret for secret in known if len(secret) >= SHORT]
