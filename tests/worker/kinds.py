"""One runner of each kind, doing what its input says. Loaded by workers in tests."""

import asyncio
import time
from pathlib import Path

from pydantic import BaseModel

from slipway_worker.errors import UserError
from slipway_worker.runner import Result, Runner, RunnerInputs


class Inputs(RunnerInputs):
    do: str = "succeed"
    seconds: float = 0.0
    mark: str = ""


def troubled(inputs):
    if inputs.do == "user_error":
        raise UserError("The lens is dirty.")
    if inputs.do == "bug":
        raise RuntimeError("lost at https://x/y?token=canary-7b1c-secret")
    if inputs.do == "exit":
        raise SystemExit(4)
    if inputs.do == "nan":
        return Result(output={"value": float("nan"), "bytes": b"abc"})
    return None


def step(inputs, job, began):
    """Say how far it is, in small steps, until the time is over."""
    passed = time.monotonic() - began
    if inputs.mark and not Path(inputs.mark).exists():
        Path(inputs.mark).write_text("begun")
    job.progress(min(1.0, passed / max(inputs.seconds, 0.001)), "working")
    return passed < inputs.seconds


def file_of(job, text):
    made = job.output("answer.txt", "text/plain")
    made.path.write_text(text)
    return Result([made], output={"said": text})


class Plain(Runner):
    id, title, Inputs = "plain", "Plain", Inputs

    def run(self, inputs, job):
        trouble = troubled(inputs)
        began = time.monotonic()
        while step(inputs, job, began):
            time.sleep(0.05)
        return trouble or file_of(job, "plain")


class Async(Runner):
    id, title, Inputs = "async", "Async", Inputs

    async def run(self, inputs, job):
        trouble = troubled(inputs)
        began = time.monotonic()
        if inputs.do == "sleep":  # never looks whether it is wanted
            Path(inputs.mark).write_text("begun")
            await asyncio.sleep(600)
        while step(inputs, job, began):
            await asyncio.sleep(0.05)
        return trouble or file_of(job, "async")


class Generator(Runner):
    id, title, Inputs = "generator", "Generator", Inputs

    def run(self, inputs, job):
        yield {"n": 1}
        trouble = troubled(inputs)
        began = time.monotonic()
        while step(inputs, job, began):
            time.sleep(0.05)
        yield {"n": 2}
        return trouble or file_of(job, "generator")


class AsyncGenerator(Runner):
    id, title, Inputs = "async_generator", "Async generator", Inputs

    async def run(self, inputs, job):
        yield {"n": 1}
        troubled(inputs)
        began = time.monotonic()
        while step(inputs, job, began):
            await asyncio.sleep(0.05)
        yield {"n": 2}


class Typed(Runner):
    """Says what it answers, and answers something else."""

    id, title, Inputs = "typed", "Typed", Inputs

    class Outputs(BaseModel):
        number: int

    def run(self, inputs, job):
        return {"number": inputs.do}


class Refreshes(Runner):
    id, title, Inputs = "refreshes", "Refreshes", Inputs

    def run(self, inputs, job):
        return Result(output={"ok": True}, refresh_worker=True)


class Unwilling(Runner):
    """Does not look whether it is wanted."""

    id, title, Inputs = "unwilling", "Unwilling", Inputs

    def run(self, inputs, job):
        time.sleep(inputs.seconds)
        return {"done": True}


class Broken(Runner):
    id, title, Inputs = "broken", "Broken", Inputs

    def setup(self, config):
        raise RuntimeError("no weights here")
