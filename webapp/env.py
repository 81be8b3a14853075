"""Reading the environment. Every name may also be given as `NAME_FILE`, a path."""

import json
import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


class BadEnvironment(Exception):
    """A variable has a value we cannot use; the text names it and the remedy."""


def text(name: str, default: str = "") -> str:
    """Return the variable, or the content of the file that `NAME_FILE` names."""
    path = os.environ.get(f"{name}_FILE", "")
    if path and not os.environ.get(name):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise BadEnvironment(
                f"{name}_FILE names {path}, which cannot be read: {error.strerror}"
            ) from error
    return os.environ.get(name) or default


def flag(name: str, *, default: bool = False) -> bool:
    """Return a yes/no variable."""
    value = text(name, "1" if default else "0").lower()
    if value not in _TRUE | _FALSE:
        raise BadEnvironment(f"{name} is {value!r}; write 1 or 0")
    return value in _TRUE


def number(name: str, default: int) -> int:
    """Return a whole number."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise BadEnvironment(f"{name} is {value!r}; write a whole number") from None


def words(name: str, default: str = "") -> list[str]:
    """Return a comma separated list, without blanks."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def secrets_named(prefix: str) -> dict[str, str]:
    """Return every `PREFIX_<NAME>` (or `PREFIX_<NAME>_FILE`) as {NAME: value}."""
    stems = {
        name.removesuffix("_FILE")
        for name in os.environ
        if name.startswith(f"{prefix}_")
    }
    return {stem.removeprefix(f"{prefix}_"): text(stem) for stem in sorted(stems)}


def overrides(prefix: str, known: Collection[str]) -> dict[str, Any]:
    """Return every `PREFIX_<NAME>` that is set, read as JSON; `known` are the names."""
    values = {}
    for name in sorted(os.environ):
        stem = name.removeprefix(f"{prefix}_")
        if stem == name:
            continue
        if stem not in known:
            near = get_close_matches(stem, known, n=1)
            hint = f"; did you mean {prefix}_{near[0]}?" if near else ""
            raise BadEnvironment(f"{name} is no limit that we know{hint}")
        try:
            values[name] = json.loads(os.environ[name])
        except ValueError:
            raise BadEnvironment(
                f"{name} is {os.environ[name]!r}; write a number, true, false or a JSON list"
            ) from None
    return values


def email(name: str) -> dict[str, Any]:
    """Return Django's EMAIL_ settings from one URL.

    smtp://user:password@host:587?from=slipway@example.com uses STARTTLS, smtps:// (465)
    TLS, smtp+plain:// (25) neither. Unset: mail is written to the log.
    """
    url = urlsplit(text(name))
    backend = "django.core.mail.backends.{}.EmailBackend".format
    if not url.scheme:
        return {"EMAIL_BACKEND": backend("console")}
    ports = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
    if url.scheme not in ports or not url.hostname:
        raise BadEnvironment(f"{name} must look like smtp://user:password@host:587")
    sender = parse_qs(url.query).get("from", [unquote(url.username or "slipway")])
    return {
        "EMAIL_BACKEND": backend("smtp"),
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or ports[url.scheme],
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_TLS": url.scheme == "smtp",
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,
        "DEFAULT_FROM_EMAIL": sender[0],
    }
