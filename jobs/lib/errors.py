"""Our own error tree, with the HTTP status of each: the only table of both.

Every door answers an error with its `http_status`, `code` and text; services raise
nothing else.

SlipwayError          500
├── InvalidInput      422  the request is well formed but means nothing here; one Problem per mistake
├── NotFound          404  no such thing, or not yours
├── Conflict          409  the thing is not in a state where this can be done
├── EndpointPaused    503  the endpoint accepts no new jobs for now
├── Malformed         400  the request makes no sense; one Problem per mistake, if it has places
├── Unsupported       415  the body is not of a kind that we read
├── TooMany           429  more requests than a limit allows; says when to come again
├── BudgetSpent       402  a limit on money says no; the text says how much and until when
├── TooLarge          413  over a limit that the text names
├── NoSpace           507  our disk is full; nothing was lost
├── LinkRefused       403  a signed link was altered or has expired
├── TokenRefused      401  a worker's token was altered, has expired, or is another attempt's
└── IllegalMove       500  a bug: code asked for a move that states.py does not know

Elsewhere in the tree: StoreError (503, `jobs.storage`), ScopeMissing (403, `jobs.api.auth`),
Denied and TusError (`jobs.uploads`), which bring their own status.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands (RFC 6901 pointer), what is wrong and the remedy."""

    pointer: str
    message: str
    code: str = "invalid"


class SlipwayError(Exception):
    """Anything we refuse. `code` is stable and is what programs read."""

    code = "error"
    http_status = 500


class InvalidInput(SlipwayError):
    """The caller's input has mistakes; `problems` lists them all."""

    code = "invalid_input"
    http_status = 422

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class Malformed(SlipwayError):
    """The request itself makes no sense; the text, or `problems`, say which part."""

    code = "malformed"
    http_status = 400

    def __init__(self, message: str, *problems: Problem) -> None:
        super().__init__(message)
        self.problems = problems


class Unsupported(SlipwayError):
    """The body's Content-Type or encoding is none that we read."""

    code = "unsupported_media_type"
    http_status = 415


class TooMany(SlipwayError):
    """More requests than allowed; come again in `retry_after` seconds."""

    code = "rate_limited"
    http_status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(SlipwayError):
    """No such thing, or it belongs to somebody else: we do not say which."""

    code = "not_found"
    http_status = 404


class Conflict(SlipwayError):
    """The thing exists, but what was asked does not fit its state."""

    http_status = 409

    def __init__(self, message: str, *, code: str = "conflict") -> None:
        super().__init__(message)
        self.code = code


class EndpointPaused(SlipwayError):
    """The endpoint accepts no new jobs for now."""

    code = "endpoint_paused"
    http_status = 503


class BudgetSpent(SlipwayError):
    """More would be spent than a budget allows."""

    code = "budget_spent"
    http_status = 402


class TooLarge(SlipwayError):
    """More bytes than a limit allows; the text names the limit."""

    code = "too_large"
    http_status = 413


class NoSpace(SlipwayError):
    """The disk is full. What was stored before stays as it is."""

    code = "no_space"
    http_status = 507


class LinkRefused(SlipwayError):
    """A signed link is altered (`link_invalid`) or old (`link_expired`)."""

    http_status = 403

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class TokenRefused(SlipwayError):
    """A worker's token is altered, old, or another attempt's; `code` as `LinkRefused`."""

    http_status = 401

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class IllegalMove(SlipwayError):
    """A bug of ours: a move that the state machine does not know."""

    code = "illegal_move"
