"""Our own error tree. Doors turn these into answers; services raise nothing else.

SlipwayError
├── InvalidInput      the caller sent something wrong; one Problem per mistake
├── NotFound          no such thing, or not yours
├── Conflict          the thing is not in a state where this can be done
├── Malformed         the request makes no sense; one Problem per mistake, if it has places
├── Unsupported       the body is not of a kind that we read
├── TooMany           more requests than a limit allows; says when to come again
├── BudgetSpent       a limit on money says no; the text says how much and until when
├── TooLarge          over a limit that the text names
├── NoSpace           our disk is full; nothing was lost
├── LinkRefused       a signed link was altered or has expired
└── IllegalMove       a bug: code asked for a move that states.py does not know
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


class InvalidInput(SlipwayError):
    """The caller's input has mistakes; `problems` lists them all."""

    code = "invalid_input"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class Malformed(SlipwayError):
    """The request itself makes no sense; the text, or `problems`, say which part."""

    code = "malformed"

    def __init__(self, message: str, *problems: Problem) -> None:
        super().__init__(message)
        self.problems = problems


class Unsupported(SlipwayError):
    """The body's Content-Type or encoding is none that we read."""

    code = "unsupported_media_type"


class TooMany(SlipwayError):
    """More requests than allowed; come again in `retry_after` seconds."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(SlipwayError):
    """No such thing, or it belongs to somebody else: we do not say which."""

    code = "not_found"


class Conflict(SlipwayError):
    """The thing exists, but what was asked does not fit its state."""

    def __init__(self, message: str, *, code: str = "conflict") -> None:
        super().__init__(message)
        self.code = code


class BudgetSpent(SlipwayError):
    """More would be spent than a budget allows."""

    code = "budget_spent"


class TooLarge(SlipwayError):
    """More bytes than a limit allows; the text names the limit."""

    code = "too_large"


class NoSpace(SlipwayError):
    """The disk is full. What was stored before stays as it is."""

    code = "no_space"


class LinkRefused(SlipwayError):
    """A signed link is altered (`link_invalid`) or old (`link_expired`)."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class IllegalMove(SlipwayError):
    """A bug of ours: a move that the state machine does not know."""

    code = "illegal_move"
