"""Who calls: an API key in the header, or a signed-in browser with a CSRF token."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.timezone import now
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.security.base import AuthBase

from jobs.models import ApiKey
from jobs.models.api_key import SCOPES

LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Caller:
    """The user behind a call and the scopes it has."""

    owner: Any
    scopes: list[str]

    def allows(self, scope: str) -> bool:
        """Whether the call may do `scope`."""
        return scope in self.scopes


class ApiRequest(HttpRequest):
    """A request that has passed `KeyOrSession`."""

    auth: Caller


class _Key(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        key = ApiKey.objects.find(token)
        if key is None:
            return None
        before = now() - LAST_USED_EVERY
        if key.last_used_at is None or key.last_used_at < before:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now())
        return Caller(key.owner, list(key.scopes))


class _Session(APIKeyCookie):
    """A browser session. `APIKeyCookie` refuses it without a CSRF token."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user: Any = request.user
        return Caller(user, list(SCOPES)) if user.is_authenticated else None


class KeyOrSession(AuthBase):
    """Header first; the cookie counts only when there is no Authorization header."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self) -> None:
        self._key, self._session = _Key(), _Session()
        super().__init__()

    def __call__(self, request: HttpRequest) -> Any:
        """Return a Caller, or None, which ninja answers with 401."""
        if request.headers.get("Authorization"):
            return self._key(request)
        return self._session(request)
