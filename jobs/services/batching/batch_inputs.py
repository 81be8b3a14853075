"""Items that come with a request: either all are accepted or none."""

from typing import Any

from jobs.lib import conf
from jobs.lib.errors import EndpointPaused, InvalidInput, Problem, TooLarge
from jobs.models import Endpoint
from jobs.services.batching import item_sources
from jobs.services.files import references
from jobs.services.lifecycle import inputs
from jobs.services.lifecycle.batch_envelope import PAYLOAD

PROBLEMS_TOLD = 100
Json = dict[str, Any]


def inputs_of(
    endpoint: Endpoint,
    items: list[Any],
    *,
    owner: Any,
    batch_size: int | None = None,
    common: Json | None = None,
    field: str = "",
) -> list[Any]:
    """Return the inputs of the jobs for `items`; `common` is merged into each of them.

    An item that is plain text becomes the value of `field`.

    Raise `InvalidInput` with the position of every mistake, `TooLarge` or `Conflict`.
    """
    check_endpoint(endpoint)
    most = conf.BATCH_MAX_ITEMS
    if len(items) > most:
        text = f"{len(items):,} items; at most {most:,} fit in one request."
        raise TooLarge(f"{text} Send more as a file.")
    source: Json = {"input": common or {}, "field": field}
    size = batch_size or 1
    if batch_size:
        groups = [items[at : at + size] for at in range(0, len(items), size)]
        job_inputs: list[Any] = [
            {**source["input"], PAYLOAD: group} for group in groups
        ]
    else:
        job_inputs = [item_sources.as_input(item, source, endpoint) for item in items]
    _check(endpoint, job_inputs, owner=owner, size=batch_size)
    return job_inputs


def check_endpoint(endpoint: Endpoint) -> None:
    """Raise `EndpointPaused` where no work is taken."""
    if not endpoint.is_active:
        text = f"{endpoint.title} takes no new jobs now."
        raise EndpointPaused(text)


def _check(
    endpoint: Endpoint, job_inputs: list[Any], *, owner: Any, size: int | None
) -> None:
    files = references.files_of(job_inputs, owner=owner)
    problems: list[Problem] = []
    for index, one in enumerate(job_inputs):
        try:
            inputs.check(endpoint, one, files)
        except InvalidInput as error:
            problems += [
                Problem(
                    _place(index, problem.pointer, size), problem.message, problem.code
                )
                for problem in error.problems
            ]
        if len(problems) > PROBLEMS_TOLD:
            break
    if problems:
        raise InvalidInput(*problems)


def _place(index: int, pointer: str, size: int | None) -> str:
    """Return an item's pointer in the request, from a pointer in a job's input."""
    rest = pointer.removeprefix("/input")
    if not size:
        return f"/items/{index}{rest}"
    number, _, inside = rest.removeprefix("/payload/").partition("/")
    if not rest.startswith("/payload/") or not number.isdigit():
        return f"/items/{index * size}{rest}"
    place = f"/items/{index * size + int(number)}"
    return f"{place}/{inside}" if inside else place
