"""What can go wrong between us and a RunPod endpoint.

RunPodError
├── NoAnswer       it may or may not have heard us (time-out, reset, 5xx, unreadable)
├── NotSent        it cannot have heard us (DNS, refused, TLS)
├── Busy           429; `retry_after` in seconds when it said so
├── Refused        4xx: it will never take this (bad key, bad body, too large)
├── JobNotFound    404 for the job
└── EndpointNotFound  404 for the whole endpoint
"""


class RunPodError(Exception):
    """A call to a RunPod endpoint did not give an answer we can use."""


class NoAnswer(RunPodError):
    """RunPod may or may not have done what we asked."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSent(RunPodError):
    """Nothing reached RunPod, so trying again is safe."""


class Busy(RunPodError):
    """RunPod asks us to slow down (HTTP 429)."""

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(RunPodError):
    """RunPod will not do this, now or later."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class JobNotFound(RunPodError):
    """RunPod does not know the job (any more)."""


class EndpointNotFound(RunPodError):
    """RunPod does not know the endpoint, or the key may not see it."""
