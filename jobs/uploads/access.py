"""Who may upload: a signed-in person with a CSRF token, or an API key."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from jobs.lib.errors import SlipwayError
from jobs.models import ApiKey

SAFE = {"GET", "HEAD", "OPTIONS"}


class Denied(SlipwayError):
    """The request comes from nobody we know (401), or from a forged page (403)."""

    code = "denied"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = status


def uploader(request: HttpRequest) -> Any:
    """Return the user who uploads; raise `Denied`.

    A key never needs a CSRF token; a cookie always does when something is changed.
    """
    header = request.headers.get("Authorization", "")
    if header:
        key = ApiKey.objects.find(header.removeprefix("Bearer ").strip())
        if key is None:
            raise Denied(401, "The API key is not valid.")
        if not key.allows("uploads:write"):
            raise Denied(403, "The API key lacks the scope uploads:write.")
        return key.owner
    if not hasattr(request, "session"):
        name = settings.SESSION_COOKIE_NAME
        request.session = SessionStore(request.COOKIES.get(name))
    user = get_user(request)
    if not user.is_authenticated:
        raise Denied(401, "Sign in, or send an API key.")
    if request.method not in SAFE:
        _check_csrf(request)
    return user


def _check_csrf(request: HttpRequest) -> None:
    middleware = CsrfViewMiddleware(lambda _: HttpResponse())
    middleware.process_request(request)
    if middleware.process_view(request, lambda _: HttpResponse(), (), {}) is not None:
        raise Denied(403, "The CSRF token is missing or wrong. Reload the page.")
