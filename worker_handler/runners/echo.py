"""Returns what it was sent: checks the whole chain without a model."""

import time

from errors import UserError
from pydantic import Field
from runner import JobContext, Result, Runner, RunnerInputs


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
        return Result(output={"message": inputs.message})
