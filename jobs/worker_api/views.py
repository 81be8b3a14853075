"""What our own handler calls besides RunPod's protocol: `/worker/v1/attempts/<id>/…`.

Every call carries the attempt's token. A 409 means: stop, nothing is left to do.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from jobs.lib import clean_json, links
from jobs.lib.errors import LinkRefused, SlipwayError, TokenRefused
from jobs.models import Attempt
from jobs.services.files import artifacts
from jobs.services.lifecycle import attempts
from jobs.worker_api import manifest as contract

Call = Callable[[Attempt, dict[str, Any]], dict[str, Any]]


def worker_call(call: Call) -> Callable[..., JsonResponse]:
    """Check the token, parse the body, and turn our errors into JSON answers."""

    @csrf_exempt
    @wraps(call)
    def view(request: HttpRequest, attempt_id: str) -> JsonResponse:
        if request.method != "POST":
            return _problem(405, "method_not_allowed", "Use POST.")
        try:
            body = clean_json.lenient(request.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _problem(400, "malformed", "The body is not a JSON object.")
        try:
            return JsonResponse(call(_attempt_of(request, attempt_id), body))
        except SlipwayError as error:
            return _problem(error.http_status, error.code, str(error))

    return view


def _attempt_of(request: HttpRequest, attempt_id: str) -> Attempt:
    header = request.headers.get("Authorization", "")
    try:
        value = links.read(links.ATTEMPT, header.removeprefix("Bearer ").strip())
    except LinkRefused as error:
        raise TokenRefused(str(error), code=error.code) from None
    if not links.same(value, attempt_id):
        raise TokenRefused("This token is for another attempt.", code="link_invalid")
    return attempts.find(attempt_id)


def _problem(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse({"code": code, "detail": detail}, status=status)


@worker_call
def claim(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """A worker begins: {"worker_id", "runpod_id"}."""
    attempts.claim(
        attempt,
        worker_id=str(body.get("worker_id") or ""),
        runpod_id=str(body.get("runpod_id") or ""),
    )
    return {"claimed": True}


@worker_call
def progress(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """A numbered progress report; the answer says whether to go on."""
    may_go_on = attempts.report_progress(attempt, contract.progress(body))
    return {"continue": may_go_on}


@worker_call
def fresh_inputs(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """New links to the files of the input, where the old ones have expired."""
    return {"links": attempts.fresh_links(attempt)}


@worker_call
def open_output(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """Name an output file; the answer says where to PUT its bytes."""
    name, content_type, size = contract.output(body)
    return artifacts.open_output(attempt, name, content_type, size)


@worker_call
def output_parts(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """Ask where to PUT some parts of a large output: {"name", "numbers"}."""
    name, numbers = contract.parts(body)
    return {"parts": artifacts.part_links(attempt, name, numbers)}


@worker_call
def finish(attempt: Attempt, body: dict[str, Any]) -> dict[str, Any]:
    """The manifest, written last. The first one stands."""
    is_first = attempts.finish(attempt, contract.manifest(body))
    return {"accepted": is_first}
