"""What leaves a worker as JSON and as text: safe for every reader, and without secrets."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from tests.stack.stack import ROOT

sys.path.append(str(ROOT / "worker_handler"))

from json_safe import json_safe
from redact import redact


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
    found = json_safe(value)
    assert found == safe
    json.dumps(found, allow_nan=False).encode()


def test_an_answer_without_an_end_is_an_error():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested deeper"):
        json_safe(endless)


@pytest.mark.parametrize(
    "text",
    [
        "connecting with canary-4f1c-value failed",
        "GET https://x/y?X-Amz-Signature=canary-4f1c&a=1",
        "GET https://x/y?a=1&token=canary-4f1c",
        "https://x/files/upload.canary-4f1c0123456789:abc",
        "https://me:canary-4f1c@host/x",
        "Authorization: Bearer canary-4f1c-other",
        "token of the job: canary-4f1c-token",
    ],
)
def test_no_secret_leaves_in_a_text(monkeypatch, text):
    monkeypatch.setenv("HF_TOKEN", "canary-4f1c-value")
    found = redact(text, "canary-4f1c-token")
    assert "canary" not in found
    assert "…" in found


def test_what_is_no_secret_stays(monkeypatch):
    monkeypatch.setenv("MY_KEY", "short")
    text = "short: KeyError 'x' at https://x/y?page=2 in /files/list"
    assert redact(text) == text
