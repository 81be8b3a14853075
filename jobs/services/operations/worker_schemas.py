"""Ask a running worker for its runner's input schema, so that nobody has to copy it."""

import time
from typing import Any

from jsonschema.exceptions import SchemaError

from jobs.lib import input_schemas
from jobs.lib.errors import Conflict
from jobs.models import Endpoint
from jobs.runpod import EndpointClient, RemoteJob
from jobs.services.operations import endpoints
from jobs.states import ENDS

WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.5
EXECUTION_MS = 60_000


def fetch(endpoint: Endpoint) -> dict[str, Any]:
    """Store and return the input schema that a worker of our handler reports.

    Raise `Conflict` if no worker answers within half a minute or the answer has no
    schema, and RunPodError if the backend does not accept the question.
    """
    question = {"op": "schema", "runner": endpoint.runner}
    policy = {"executionTimeout": EXECUTION_MS, "ttl": 2 * EXECUTION_MS}
    with endpoints.client_for(endpoint) as client:
        asked = client.run(question, policy=policy)
        answer = _answer(client, asked)
    schema = answer.output.get("input_schema") if _is_told(answer) else None
    if not isinstance(schema, dict):
        text = "The worker did not answer with a schema. Does it run our handler?"
        raise Conflict(text, code="no_schema")
    try:
        input_schemas.check(schema)
    except SchemaError as error:
        text = f"The worker's schema cannot be used: {error.message[:200]}"
        raise Conflict(text, code="bad_schema") from None
    Endpoint.objects.filter(pk=endpoint.pk).update(input_schema=schema)
    endpoint.input_schema = schema
    return schema


def _is_told(answer: RemoteJob) -> bool:
    return answer.status == "COMPLETED" and isinstance(answer.output, dict)


def _answer(client: EndpointClient, asked: RemoteJob) -> RemoteJob:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        job = client.status(asked.id)
        if job.status in ENDS:
            return job
        time.sleep(PAUSE_SECONDS)
    client.cancel(asked.id)
    text = f"No worker answered within {WAIT_SECONDS:.0f} s. Start one and try again."
    raise Conflict(text, code="no_worker")
