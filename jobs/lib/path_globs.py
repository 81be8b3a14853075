"""Patterns for paths in buckets, with the rules of Cortex's `includes` and `excludes`.

`*` matches anything but "/", `**` also "/", `?` one character, `[a-z]` and `[!a-z]`
classes, `{a,b}` alternatives. A backslash makes the next character literal.
"""

import re
from collections.abc import Callable, Iterable

import re2

_quiet = re2.Options()
_quiet.log_errors = False
_PARTS = re.compile(r"\\.|\*\*|\[[!^]?[^\]]+\]|.", re.DOTALL)
_MEANING = {
    "*": "[^/]*",
    "**": "(?s:.*)",
    "?": "[^/]",
    "{": "(?:",
    "}": ")",
    ",": "|",
}


def matcher(includes: Iterable[str], excludes: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that says whether a path matches.

    A path matches if it fits any pattern of `includes`, or there are none, and none of
    `excludes`. Raise ValueError for an invalid pattern.
    """
    wanted = [_compiled(pattern) for pattern in includes]
    unwanted = [_compiled(pattern) for pattern in excludes]

    def is_wanted(path: str) -> bool:
        if wanted and not any(one.fullmatch(path) for one in wanted):
            return False
        return not any(one.fullmatch(path) for one in unwanted)

    return is_wanted


def _compiled(pattern: str) -> "re2._Regexp[str]":
    parts = _PARTS.findall(pattern)
    if parts.count("{") == parts.count("}") and not {"[", "\\"} & set(parts):
        depth, pieces = 0, []
        for part in parts:
            depth += {"{": 1, "}": -1}.get(part, 0)
            pieces.append(_piece(part, is_inside=depth > 0 or part == "}"))
        try:
            # RE2: matching takes linear time.
            return re2.compile("".join(pieces), options=_quiet)
        except re2.error:
            pass
    raise ValueError(f"“{pattern[:100]}” is not a valid path pattern.")


def _piece(part: str, *, is_inside: bool) -> str:
    """Return one part as a regular expression."""
    if part == "," and not is_inside:
        return ","
    if part in _MEANING:
        return _MEANING[part]
    if part.startswith("["):
        return _class(part[1:-1])
    return str(re2.escape(part[-1]))  # a character, or one after a backslash


def _class(inside: str) -> str:
    is_negated = inside[0] in "!^"
    body = inside[1:] if is_negated else inside
    escaped = body.replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
    return f"[^{escaped}/]" if is_negated else f"[{escaped}]"
