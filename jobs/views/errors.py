"""Error pages with a next step. They use no database and no context."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

TEXTS = {
    400: ("That request makes no sense to us", "Go back and try again."),
    403: (
        "You may not do that",
        "If the page was open for long, reload it and try again; or sign in as someone else.",
    ),
    404: (
        "There is nothing here",
        "The address may be mistyped, the thing may be gone, or it belongs to somebody else.",
    ),
    429: (
        "Too many wrong passwords",
        "Wait a quarter of an hour, then try again; or ask the operator for a new password.",
    ),
    500: (
        "Something broke on our side",
        "Your jobs go on. Try again in a moment; the operator finds the reason in the log.",
    ),
}


def _page(request: HttpRequest, status: int) -> HttpResponse:
    title, text = TEXTS[status]
    if request.path.startswith(("/api/", "/v2/", "/worker/")):
        body = {"type": "about:blank", "title": title, "status": status, "detail": text}
        body["code"] = {404: "not_found", 500: "internal"}.get(status, "malformed")
        return JsonResponse(
            body, status=status, content_type="application/problem+json"
        )
    context = {"status": status, "title": title, "text": text}
    return render(request, "error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 400."""
    return _page(request, 400)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 403."""
    return _page(request, 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403: the form's token is missing or old."""
    return _page(request, 403)


def locked_out(
    request: HttpRequest, response: Any = None, credentials: Any = None
) -> HttpResponse:
    """Answer 429: too many wrong passwords from there (called by django-axes)."""
    return _page(request, 429)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404."""
    return _page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500."""
    return _page(request, 500)
