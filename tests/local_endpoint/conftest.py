"""Whose doorbells are rung."""

import pytest

from jobs.lib import nudge


@pytest.fixture
def rung(monkeypatch, django_capture_on_commit_callbacks):
    """Return which items' doorbells are rung by a call."""

    def run(call):
        ids = []
        monkeypatch.setattr(nudge, "_send", lambda _, pk: ids.append(pk))
        with django_capture_on_commit_callbacks(execute=True):
            call()
        return ids

    return run
