"""Runs a runner's `run`, whichever kind of function it is.

A plain function or a coroutine returns a `Result`; a generator, plain or asynchronous,
also yields JSON on the way. Everything happens in the job's own thread.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from slipway_worker.errors import Cancelled
from slipway_worker.json_safe import json_safe
from slipway_worker.runner import JobContext, Result, Runner

LOOK_SECONDS = 0.2
Emit = Callable[[Any], None]


def streams(runner: type[Runner]) -> bool:
    """Whether a runner yields on the way."""
    run = runner.run
    return inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run)


def drive(runner: Runner, inputs: Any, job: JobContext, emit: Emit) -> Result:
    """Return what `run` makes; hand each chunk on to `emit` as it comes.

    Of a generator without a result of its own, the list of its chunks is the output.
    """
    answer: Any = runner.run(inputs, job)
    if inspect.iscoroutine(answer):
        return _result(asyncio.run(_watched(answer, job)), None)
    chunks: list[Any] = []

    def seen(chunk: Any) -> None:
        job.check_cancelled()
        safe = json_safe(chunk)
        chunks.append(safe)
        emit(safe)

    if inspect.isasyncgen(answer):
        asyncio.run(_watched(_all(answer, seen), job))
        return _result(None, chunks)
    if inspect.isgenerator(answer):
        return _result(_pulled(answer, seen), chunks)
    return _result(answer, None)


def _pulled(chunks: Iterator[Any], seen: Emit) -> Any:
    """Hand every chunk on; return what the generator returns."""
    try:
        while True:
            try:
                chunk = next(chunks)
            except StopIteration as end:
                return end.value
            seen(chunk)
    finally:
        chunks.close()  # type: ignore[attr-defined] # a generator


async def _all(chunks: AsyncIterator[Any], seen: Emit) -> None:
    async for chunk in chunks:
        seen(chunk)


async def _watched(work: Coroutine[Any, Any, Any], job: JobContext) -> Any:
    """Await `work`, and cancel it where the job is."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=LOOK_SECONDS)
        if job.cancel.is_set():
            task.cancel()
    if task.cancelled():
        raise Cancelled
    return task.result()


def _result(answer: Any, chunks: list[Any] | None) -> Result:
    if isinstance(answer, Result):
        return (
            answer
            if chunks is None or answer.output
            else Result(answer.files, chunks, refresh_worker=answer.refresh_worker)
        )
    return Result(output=chunks if answer is None and chunks is not None else answer)
