"""Patterns in schemas take time proportional to the text, or are refused."""

import pytest
from django.core.exceptions import ValidationError
from jsonschema.exceptions import SchemaError

from jobs.lib import input_schemas
from jobs.lib.errors import InvalidInput
from jobs.services.lifecycle import inputs
from tests.factories import make_endpoint

EVIL = "^(a+)+$"


def schema(**rules):
    return {"type": "object", "properties": {"name": {"type": "string", **rules}}}


@pytest.mark.django_db
def test_a_pattern_that_explodes_elsewhere_is_done_at_once():
    """Python's own `re` would not come back; the test would end by its time-out."""
    endpoint = make_endpoint(input_schema=schema(pattern=EVIL))
    with pytest.raises(InvalidInput) as caught:
        inputs.check(endpoint, {"name": "a" * 50_000 + "!"}, {})
    assert caught.value.problems[0].pointer == "/input/name"
    inputs.check(endpoint, {"name": "aaa"}, {})


@pytest.mark.parametrize("pattern", ["(?=x)y", r"(a)\1", "(", "a{99999}"])
def test_a_pattern_we_do_not_run_is_refused_when_it_is_saved(pattern):
    with pytest.raises(SchemaError, match=r"cannot be used|is not a 'regex'"):
        input_schemas.check(schema(pattern=pattern))
    with pytest.raises(SchemaError):
        input_schemas.check({"patternProperties": {pattern: {}}})


@pytest.mark.django_db
def test_the_panel_says_so_at_the_field():
    endpoint = make_endpoint(input_schema=schema(pattern=r"(a)\1"))
    with pytest.raises(ValidationError) as caught:
        endpoint.full_clean()
    assert "input_schema" in caught.value.message_dict


def test_names_by_pattern_work_as_the_standard_says():
    rules = {
        "properties": {"a": {}},
        "patternProperties": {EVIL: {"type": "integer"}, "^x_": {"type": "string"}},
        "additionalProperties": False,
    }
    violations = list(
        input_schemas.errors(rules, {"a": 1, "aaa": "no", "x_1": "y", "z": 1})
    )
    assert sorted(error.validator for error in violations) == [
        "additionalProperties",
        "type",
    ]
    assert not list(input_schemas.errors(rules, {"a": 1, "aa": 2, "x_1": "y"}))
    typed = {"additionalProperties": {"type": "integer"}}
    assert len(list(input_schemas.errors(typed, {"a": 1, "b": "c"}))) == 1
