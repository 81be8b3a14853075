"""JSON Schema (2020-12) for inputs, with patterns that run in linear time.

A pattern of Python's `re` may take practically forever on a text of fifty characters.
RE2 needs time proportional to the text, but has no look-around and no back-references.
A schema that uses these is refused when it is saved.
"""

from collections.abc import Iterator
from typing import Any

import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

_quiet = re2.Options()
_quiet.log_errors = False


def check(schema: Any) -> None:
    """Raise `SchemaError` for an invalid schema or a pattern unknown to RE2."""
    Draft202012Validator.check_schema(schema)
    for pattern in _patterns(schema):
        try:
            re2.compile(pattern, options=_quiet)
        except re2.error as error:
            text = f"The pattern {pattern[:80]!r} cannot be used: {_words(error)}."
            raise SchemaError(text) from None


def errors(schema: dict[str, Any], value: Any) -> Iterator[ValidationError]:
    """Yield the violations in `value`."""
    violations: Iterator[ValidationError] = _Validator(schema).iter_errors(value)
    return violations


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _patterns(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        if isinstance(schema.get("patternProperties"), dict):
            yield from schema["patternProperties"]
        for item in schema.values():
            yield from _patterns(item)


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` matches anywhere in `text`."""
    return re2.compile(pattern, options=_quiet).search(text) is not None


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode() if isinstance(text, bytes) else str(text)


def _pattern(
    validator: Any, pattern: str, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not matches(pattern, value):
        yield ValidationError(f"Must match {pattern}.")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in patterns.items():
        for name, item in value.items():
            if matches(pattern, name):
                yield from validator.descend(
                    item, inner, path=name, schema_path=pattern
                )


def _additional_properties(
    validator: Any, allowed: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in value.items():
        if name in known or any(matches(pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"{name} is unexpected.")
            return
        yield from validator.descend(item, allowed, path=name)


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)
