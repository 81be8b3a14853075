"""Who calls: an API key in the header, or a signed-in browser with a CSRF token."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.timezone import now
from ninja.errors import HttpError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from jobs.lib import client_address, conf, rates
from jobs.lib.errors import SlipwayError, TooMany
from jobs.models import ApiKey, Job
from jobs.models.api_key import SCOPES
from jobs.models.job import JobQuerySet

LAST_USED_EVERY = timedelta(minutes=1)
READING = {"GET", "HEAD", "OPTIONS"}
BEARER = "bearer"


class ScopeMissing(SlipwayError):
    """The key may not do this."""

    code = "scope_missing"
    http_status = 403


@dataclass(frozen=True)
class Caller:
    """The user behind a call, and what the key opens; `key_id` is None for a browser."""

    owner: Any
    scopes: tuple[str, ...] = SCOPES
    endpoints: tuple[str, ...] = ()
    key_id: int | None = None
    per_minute: int | None = None

    @property
    def name(self) -> str:
        """What requests are counted by."""
        return f"key-{self.key_id}" if self.key_id else f"user-{self.owner.pk}"

    def allows(self, scope: str) -> bool:
        """Whether the call may do `scope`; every caller may ask who it is."""
        return not scope or scope in self.scopes

    def allows_endpoint(self, slug: str) -> bool:
        """Whether the call may use an endpoint."""
        return not self.endpoints or slug in self.endpoints

    def jobs(self) -> JobQuerySet:
        """Return the jobs that the call may see."""
        jobs = Job.objects.visible_to(self.owner)
        return (
            jobs.filter(endpoint__slug__in=self.endpoints) if self.endpoints else jobs
        )


class ApiRequest(HttpRequest):
    """A request that has passed `needs`."""

    auth: Caller


class needs(AuthBase):  # noqa: N801 - reads as a word where it is used
    """Let in who has `scope`. The cookie counts only without an Authorization header."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str = "") -> None:
        self.scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Return the caller, or None, which ninja answers with 401.

        Raise `TooMany` or `ScopeMissing`.
        """
        header = request.headers.get("Authorization")
        caller = _by_session(request) if header is None else _by_key(request, header)
        if caller is None:
            return None
        _count(request, caller)
        if not caller.allows(self.scope):
            raise ScopeMissing(f"This API key lacks the scope {self.scope}.")
        return caller


def _by_key(request: HttpRequest, header: str) -> Caller | None:
    """Find the key. Who guesses keys is held up, without holding up anybody else."""
    scheme, _, secret = header.partition(" ")
    key = ApiKey.objects.find(secret.strip()) if scheme.lower() == BEARER else None
    if key is None:
        quota = int(conf.API_BAD_KEYS_PER_MINUTE)
        wrong = rates.count("bad keys", client_address.of(request), quota)
        if wrong.is_over:
            text = "Too many requests with keys that are not valid."
            raise TooMany(text, retry_after=wrong.reset)
        return None
    if key.last_used_at is None or key.last_used_at < now() - LAST_USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now())
    return Caller(
        owner=key.owner,
        scopes=tuple(key.scopes),
        endpoints=tuple(key.endpoints),
        key_id=key.pk,
        per_minute=key.requests_per_minute,
    )


def _by_session(request: HttpRequest) -> Caller | None:
    user: Any = request.user
    if not user.is_authenticated:
        return None
    if request.method not in READING and check_csrf(request) is not None:
        raise HttpError(403, "The CSRF token is missing or wrong. Reload the page.")
    return Caller(user)


def _count(request: HttpRequest, caller: Caller) -> None:
    is_reading = request.method in READING
    usual = conf.API_READS_PER_MINUTE if is_reading else conf.API_WRITES_PER_MINUTE
    quota = int(usual if caller.per_minute is None else caller.per_minute)
    if not quota:
        return
    rate = rates.count("reads" if is_reading else "writes", caller.name, quota)
    request.rate = rate  # type: ignore[attr-defined] # for the headers of the answer
    if rate.is_over:
        text = f"More than {quota} requests in a minute. Send fewer, or ask for more."
        raise TooMany(text, retry_after=rate.reset)
