"""Code to copy: it names the endpoint's fields, and is code."""

import ast
import json
import shlex

import pytest

from jobs.services.lifecycle.examples import examples
from tests.factories import SCHEMA, make_endpoint, make_local

pytestmark = pytest.mark.django_db


def test_every_example_is_sound_and_names_the_fields():
    snippets = examples(make_endpoint(input_schema=SCHEMA), "https://slipway.example")
    code = {one.title: one.code for one in snippets}
    assert list(code) == ["curl", "Command line", "Python", "JavaScript"]
    body = json.loads(shlex.split(code["curl"])[-1])
    assert body == {
        "endpoint": "blur",
        "input": {"media": "https://example.com/clip.mp4"},
    }
    assert "submit clip.mp4 -e blur" in code["Command line"]
    ast.parse(code["Python"])
    assert "Path('clip.mp4')" in code["Python"]
    assert '"endpoint": "blur"' in code["JavaScript"]


def test_required_fields_get_something_that_fits():
    schema = {
        "required": ["level", "style"],
        "properties": {"level": {"type": "integer"}, "style": {"enum": ["a", "b"]}},
    }
    snippets = examples(make_local(input_schema=schema), "http://x")
    assert json.loads(shlex.split(snippets[0].code)[-1])["input"] == {
        "level": 1,
        "style": "a",
    }
    assert [one.title for one in snippets][-1] == "runpod"
    ast.parse(snippets[-1].code)


def test_the_page_shows_them(client, django_user_model):
    make_local("gpu", input_schema=SCHEMA)
    client.force_login(django_user_model.objects.create_user("alice"))
    page = client.get("/new/gpu/").content.decode()
    assert "/api/v1/jobs" in page
    assert "runpod.Endpoint" in page
