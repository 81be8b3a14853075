"""Progress of handlers that are not ours: any JSON."""

import pytest

from jobs.services.lifecycle import plain_progress


@pytest.mark.parametrize(
    ("output", "fraction", "message"),
    [
        ({"progress": 0.4, "message": "mesh"}, 0.4, "mesh"),
        ({"pct": 40, "stage": "mesh"}, 0.4, ""),
        ({"percent": 0.5}, 0.005, ""),
        ({"progress": "50%"}, 0.5, ""),
        ({"progress": 101}, 1.0, ""),
        ({"progress": -5}, 0.0, ""),
        ({"progress": float("nan"), "status": "warming"}, None, "warming"),
        ({"progress": True}, None, ""),
        ("loading the model", None, "loading the model"),
        (42, 0.42, ""),
    ],
)
def test_whatever_is_posted_becomes_something_to_show(output, fraction, message):
    shown = plain_progress.newer({}, output)
    assert shown["fraction"] == fraction
    assert shown["message"] == message
    assert shown["seq"] == 1


def test_progress_never_falls_and_is_numbered():
    first = plain_progress.newer({}, {"progress": 0.5})
    assert plain_progress.newer(first, {"progress": 0.3}) is None
    assert plain_progress.newer(first, {"progress": 0.5}) is None
    assert plain_progress.newer(first, {"progress": 0.6})["seq"] == 2


@pytest.mark.parametrize("output", [None, [], [1, 2], {"a": {"b": 1}}, "x" * 10_000])
def test_nonsense_does_no_harm(output):
    shown = plain_progress.newer({}, output)
    assert shown is None or len(shown["message"]) <= plain_progress.MESSAGE_MAX
