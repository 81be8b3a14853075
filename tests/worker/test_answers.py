"""What leaves a worker as JSON and as text: safe for every reader, and without secrets."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from slipway_worker.json_safe import json_safe
from slipway_worker.redact import redact


class Box(BaseModel):
    left: float
    label: str = "face"


@dataclasses.dataclass
class Pair:
    one: int
    two: float


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ({"a": float("nan"), "b": [float("inf"), 1.5]}, {"a": None, "b": [None, 1.5]}),
        (np.float32(0.5), 0.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([np.nan]), [None]),
        ((1, {2}), [1, [2]]),
        ({1: True, None: False}, {"1": True, "None": False}),
        (b"abc", "<3 bytes>"),
        (Path("/x/y"), "/x/y"),
        (Box(left=float("nan")), {"left": None, "label": "face"}),
        (Pair(1, 2.5), {"one": 1, "two": 2.5}),
        ("a\0b\ud800", "a�b?"),
        (2**70, 2**70),
        (None, None),
    ],
)
def test_any_answer_becomes_json_that_every_reader_takes(value, safe):
    cleaned = json_safe(value)
    assert cleaned == safe
    json.dumps(cleaned, allow_nan=False).encode()


def test_an_answer_without_an_end_is_an_error():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested deeper"):
        json_safe(endless)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("connecting with canary-4f1c failed", "connecting with … failed"),
        ("https://x/y?X-Amz-Signature=c4nary&a=1", "https://x/y?…&a=1"),
        ("https://x/y?a=1&X-Amz-Security-Token=c4nary", "https://x/y?a=1&…"),
        ("https://x/y?Signature=c4nary&signature=c4nary", "https://x/y?…&…"),
        ("https://x/y?token=c4nary&Token=c4nary", "https://x/y?…&…"),
        ("get('https://x/y?key=c4nary')", "get('https://x/y?…')"),
        ('get("https://x/y?Key=c4nary")', 'get("https://x/y?…")'),
        ("at https://x/y?key=c4nary in it", "at https://x/y?… in it"),
        ("https://x/files/up-1.c4nary_:=0123456789/a", "https://x/files/…/a"),
        ("https://me:c4nary@host/x", "https://…@host/x"),
        ("Authorization: Bearer c4nary.:=/+-0", "Authorization: Bearer …"),
        (
            "authorization: bearer c4nary-0 was refused",
            "authorization: bearer … was refused",
        ),
        ("token of the job: c4nary-of-the-job", "token of the job: …"),
    ],
)
def test_no_secret_leaves_in_a_text(monkeypatch, text, left):
    monkeypatch.setenv("HF_TOKEN", "canary-4f1c")
    assert redact(text, "c4nary-of-the-job", "") == left


@pytest.mark.parametrize(
    "name",
    [
        *("RUNPOD_API_KEY", "A_SECRET", "TOKEN_OF_IT", "DB_PASSWORD", "PASSWD"),
        *("AWS_CREDENTIALS", "my_key"),
    ],
)
def test_a_variable_that_calls_itself_secret_is_one(monkeypatch, name):
    monkeypatch.setenv(name, "canary-4f1c")
    monkeypatch.setenv("HARMLESS", "harmless-value")
    assert redact("canary-4f1c, harmless-value") == "…, harmless-value"


def test_of_two_secrets_that_begin_alike_none_is_left_over(monkeypatch):
    for number, secret in enumerate(("canary-4f1c", "canary-4f1c-and-more")):
        monkeypatch.setenv(f"KEY_{number}", secret)
    assert (
        redact("canary-4f1c-and-more, canary-4f1c", "canary-4f1c-and-more-yet")
        == "…, …"
    )
    assert redact("canary-4f1c-and-more-yet", "canary-4f1c-and-more-yet") == "…"


def test_what_is_no_secret_stays(monkeypatch):
    monkeypatch.setenv("MY_KEY", "7-chars")
    text = (
        "7-chars: KeyError 'x' at https://x/y?page=2&monkey=3 in /files/list.of-short, "
        "http://host:80/a@b, bearer of it, token=x"
    )
    assert redact(text) == text
    monkeypatch.setenv("MY_KEY", "8--chars")
    assert redact("8--chars") == "…"
