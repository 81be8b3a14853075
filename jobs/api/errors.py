"""Our errors as `application/problem+json` (RFC 9457), with `code` and pointers."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from jobs.api.auth import ApiRequest
from jobs.errors import (
    Conflict,
    InvalidInput,
    NoSpace,
    NotFound,
    SlipwayError,
    TooLarge,
)

STATUSES: list[tuple[type[SlipwayError], int]] = [
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (NoSpace, 507),
]
TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "The input has mistakes",
    503: "Not available",
    507: "No space left",
}


class ScopeMissing(SlipwayError):
    """The key may not do this."""

    code = "scope_missing"


def require(request: ApiRequest, scope: str) -> None:
    """Raise `ScopeMissing` unless the caller has `scope`."""
    if not request.auth.allows(scope):
        raise ScopeMissing(f"This API key lacks the scope {scope}.")


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


def _ours(request: HttpRequest, error: SlipwayError) -> HttpResponse:
    if isinstance(error, ScopeMissing):
        return problem(403, error.code, str(error))
    status = next((code for kind, code in STATUSES if isinstance(error, kind)), 400)
    if error.code == "endpoint_paused":
        status = 503
    errors = [
        {"pointer": f"#{p.pointer}", "message": p.message, "code": p.code}
        for p in getattr(error, "problems", ())
    ]
    return problem(status, error.code, str(error), errors)


def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = []
    for mistake in error.errors:
        # ninja's place is ("body", <argument>, field, …): the first two are not JSON's.
        path = "".join(f"/{part}" for part in mistake["loc"][2:])
        errors.append(
            {"pointer": f"#{path}", "message": mistake["msg"], "code": mistake["type"]}
        )
    return problem(422, "invalid_input", "The request has mistakes.", errors)


def _unauthenticated(request: HttpRequest, error: Exception) -> HttpResponse:
    text = "Send a valid API key: Authorization: Bearer <key>."
    response = problem(401, "unauthenticated", text)
    response["WWW-Authenticate"] = "Bearer"
    return response


def _not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(404, "not_found", "There is no such thing, or it is not yours.")


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "malformed", str(error))
