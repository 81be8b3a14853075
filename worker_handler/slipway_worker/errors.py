"""What may stop a job, and what people are told of it."""


class UserError(Exception):
    """The input is at fault. The text is shown to the user; trying again is no use."""

    code = "invalid_input"


class InputUnavailable(UserError):
    """A file of the input could not be fetched."""

    code = "input_unavailable"


class SetupFailed(Exception):
    """What does the work cannot be built: its code, its model or its configuration."""


class Cancelled(BaseException):
    """The job was cancelled.

    Not an Exception, so that a runner's `except Exception` cannot swallow it.
    """


class Over(Exception):
    """Slipway says that nothing is left to do: the attempt ended or has its result."""


class Refused(Exception):
    """Slipway will never take this, and says why; sending it again is no use."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Undeliverable(Exception):
    """Slipway could not be reached for so long that we gave up."""
