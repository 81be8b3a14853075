"""Our errors as `application/problem+json` (RFC 9457), with `code` and pointers.

400: the request is not what the OpenAPI document says. 422: it is, but means nothing
here, like an input that the endpoint's schema refuses.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from jobs.lib.errors import (
    SlipwayError,
    TooMany,
)

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    402: "The budget is spent",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported body",
    422: "The input has mistakes",
    429: "Too many requests",
    503: "Not available",
    507: "No space left",
}
NO_SUCH_FIELD = "There is no such field, or it cannot be set."
CODES = {400: "malformed", 403: "denied", 404: "not_found", 405: "method_not_allowed"}


def problem(
    status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None
) -> HttpResponse:
    """Return one problem document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return JsonResponse(body, status=status, content_type="application/problem+json")


def install(api: NinjaAPI) -> None:
    """Register the handlers."""
    api.exception_handler(SlipwayError)(_ours)
    api.exception_handler(ValidationError)(_malformed)
    api.exception_handler(AuthenticationError)(_unauthenticated)
    api.exception_handler(Http404)(_not_found)
    api.exception_handler(HttpError)(_http)


def refusal(error: SlipwayError) -> HttpResponse:
    """Return the problem document for one of our errors."""
    errors = [
        {"pointer": f"#{p.pointer}", "message": p.message, "code": p.code}
        for p in getattr(error, "problems", ())
    ]
    response = problem(error.http_status, error.code, str(error), errors)
    if isinstance(error, TooMany):
        response["Retry-After"] = str(error.retry_after)
    return response


def _ours(request: HttpRequest, error: SlipwayError) -> HttpResponse:
    return refusal(error)


def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = []
    for mistake in error.errors:
        # ninja's place is ("body", <argument>, field, …), or ("query", field, …).
        skipped = 2 if mistake["loc"][0] == "body" else 1
        path = "".join(f"/{part}" for part in mistake["loc"][skipped:])
        code = mistake["type"]
        text = NO_SUCH_FIELD if code == "extra_forbidden" else mistake["msg"]
        errors.append({"pointer": f"#{path}", "message": text, "code": code})
    places = ", ".join(error["pointer"] for error in errors[:3])
    return problem(400, "malformed", f"The request has mistakes: {places}.", errors)


def _unauthenticated(request: HttpRequest, error: Exception) -> HttpResponse:
    text = "Send a valid API key: Authorization: Bearer <key>."
    response = problem(401, "unauthenticated", text)
    response["WWW-Authenticate"] = "Bearer"
    return response


def _not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(404, "not_found", "There is no such thing, or it is not yours.")


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    # Ninja wraps whatever the parser of bodies raises.
    if isinstance(error.__cause__, SlipwayError):
        return refusal(error.__cause__)
    code = CODES.get(error.status_code, "malformed")
    return problem(error.status_code, code, str(error))
