"""Returns what it was sent: checks the whole chain without a model."""

import time

from pydantic import Field

from slipway_worker.errors import UserError
from slipway_worker.runner import JobContext, Output, Result, Runner, RunnerInputs


class Echo(Runner):
    """The smallest runner; copy it to begin your own."""

    id = "echo"
    title = "Echo"
    description = "Sends your message through the whole chain and back. Costs nothing."

    class Inputs(RunnerInputs):
        """What echo takes."""

        message: str = Field(
            "Hello", title="Message", description="Comes back.", max_length=10_000
        )
        seconds: float = Field(
            0, title="Work for", description="Pretend to work (s).", ge=0, le=600
        )
        megabytes: int = Field(
            0,
            title="Return a file",
            description="Of so many MiB; checks the way of large results.",
            ge=0,
            le=10_240,
        )
        error: str = Field(
            "", title="Fail with", description="Fails with this text.", max_length=200
        )

    def run(self, inputs: Inputs, job: JobContext) -> Result:
        """Wait as long as asked, then return the message."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < inputs.seconds:
            job.progress(passed / inputs.seconds, "waiting", f"{passed:.0f} s")
            time.sleep(min(0.1, inputs.seconds - passed))
        if inputs.error:
            raise UserError(inputs.error)
        files = [self._file(inputs.megabytes, job)] if inputs.megabytes else []
        return Result(files, output={"message": inputs.message})

    def _file(self, megabytes: int, job: JobContext) -> Output:
        made = job.output("echo.bin", "application/octet-stream")
        with made.path.open("wb") as file:
            for number in range(megabytes):
                file.write(bytes([number % 256]) * 1024 * 1024)
                job.progress((number + 1) / megabytes, "writing")
        return made
