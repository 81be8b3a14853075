"""Taking a schema from a worker: what may go wrong is told, and nothing is kept."""

import pytest

from jobs.lib.errors import Conflict
from jobs.models import Endpoint
from jobs.runpod import RemoteJob
from jobs.services.operations import worker_schemas
from tests.factories import make_endpoint

pytestmark = [pytest.mark.db, pytest.mark.django_db]
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


class Client:
    """Answers like a backend whose worker says `output`."""

    def __init__(self, answer):
        self.answer, self.asked, self.cancelled = answer, None, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, input, **_):
        self.asked = input
        return RemoteJob("r1", "IN_QUEUE")

    def status(self, _):
        return self.answer

    def cancel(self, _):
        self.cancelled = True


@pytest.fixture
def fetch(monkeypatch):
    endpoint = make_endpoint("words")

    def run(status, output=None):
        client = Client(RemoteJob("r1", status, output=output))
        monkeypatch.setattr(worker_schemas.endpoints, "client_for", lambda _: client)
        monkeypatch.setattr(worker_schemas, "WAIT_SECONDS", 0.05)
        monkeypatch.setattr(worker_schemas, "PAUSE_SECONDS", 0.01)
        try:
            return client, worker_schemas.fetch(endpoint)
        except Conflict as error:
            return client, error

    return run


def test_the_schema_of_a_worker_is_kept(fetch):
    client, schema = fetch("COMPLETED", {"id": "words", "input_schema": SCHEMA})
    assert client.asked == {"op": "schema", "runner": "words"}
    assert schema == Endpoint.objects.get().input_schema == SCHEMA


@pytest.mark.parametrize(
    ("status", "output", "words"),
    [
        ("IN_QUEUE", None, "No worker answered"),
        ("FAILED", None, "did not answer with a schema"),
        ("COMPLETED", {"message": "hi"}, "Does it run our handler?"),
        ("COMPLETED", [1], "did not answer with a schema"),
        ("COMPLETED", {"input_schema": {"type": 5}}, "cannot be used"),
    ],
)
def test_what_is_no_schema_is_told_and_nothing_changes(fetch, status, output, words):
    client, problem = fetch(status, output)
    assert words in str(problem)
    assert Endpoint.objects.get().input_schema == {}
    assert client.cancelled == (status == "IN_QUEUE")
