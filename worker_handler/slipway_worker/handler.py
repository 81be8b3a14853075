"""The function that the SDK calls for each job, and how a worker starts.

`worker_handler/handler.py` is its command line.
"""

import asyncio
import ctypes
import json
import logging
import os
import platform
import signal
import socket
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import cpuinfo

from slipway_worker import inbox
from slipway_worker.drive import streams
from slipway_worker.lifetime import Lifetime, Stop, stop_worker
from slipway_worker.runners import (
    BUILT_IN,
    default_id,
    ready_runner,
    runner_class,
    schema_of,
)

logger = logging.getLogger("slipway")
lifetime = Lifetime()
PR_SET_PDEATHSIG = 1
REFRESH_SECONDS = 1.0  # by then the SDK has delivered the answer
_END = object()


async def handler(job: dict[str, Any]) -> Any:
    """Do one job in a thread, so that the SDK can hear a stop meanwhile.

    When the SDK cancels us, the slot must not look free while the thread still uses the
    GPU: we ask the work to stop, wait until it has, and only then let go.
    """
    async with _working(job) as work:
        return _answered(await work)


async def streaming_handler(job: dict[str, Any]) -> AsyncIterator[Any]:
    """The same for a runner that yields: each chunk goes out as it comes.

    The SDK ends the job with the list of chunks, or with the error that comes last.
    """
    loop, chunks = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def emit(chunk: Any) -> None:
        loop.call_soon_threadsafe(chunks.put_nowait, chunk)

    async with _working(job, emit) as work:
        work.add_done_callback(lambda _: chunks.put_nowait(_END))
        while (chunk := await chunks.get()) is not _END:
            yield chunk
        answer = _answered(work.result())
        if isinstance(answer, dict) and "error" in answer:
            yield {"error": answer["error"]}


@asynccontextmanager
async def _working(
    job: dict[str, Any], *emit: Callable[[Any], None]
) -> AsyncIterator["asyncio.Future[Any]"]:
    cancel, id = Stop(), str(job.get("id") or "")
    lifetime.begin(id, cancel)
    in_thread = asyncio.to_thread(_worker(), job, cancel, *emit)
    work = asyncio.ensure_future(in_thread)
    try:
        yield asyncio.shield(work) if not emit else work
    except (asyncio.CancelledError, GeneratorExit):
        cancel.set()
        await asyncio.wait({work})
        raise
    finally:
        lifetime.end(id)
        inbox.deliver_soon()


def _answered(answer: Any) -> Any:
    """End the worker after a job that asks for it; RunPod would, others do not."""
    if isinstance(answer, dict) and answer.get("refresh_worker"):
        threading.Timer(REFRESH_SECONDS, stop_worker).start()
    return answer


@cache
def _worker() -> Callable[..., Any]:
    from slipway_worker.work import work  # noqa: PLC0415 - loads numpy and friends

    return work


def main() -> None:
    """Print a schema, or hand over to the SDK."""
    if "--schema" in sys.argv:
        names = sys.argv[sys.argv.index("--schema") + 1 :] or list(BUILT_IN)
        sys.stdout.write(json.dumps([schema_of(name) for name in names]) + "\n")
        return
    if "--prepare" in sys.argv:
        for name in sys.argv[sys.argv.index("--prepare") + 1 :] or [default_id()]:
            ready_runner(name)
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if "RUNPOD_WEBHOOK_GET_JOB" in os.environ:
        # Without an id the SDK sends no pings, and a worker that dies is noticed late.
        id = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        os.environ.setdefault("RUNPOD_POD_ID", id)
    # The SDK's ping process outlives a killed worker and pings on for ever; the kernel
    # ends it together with us (Linux prctl(2)).
    os.register_at_fork(after_in_child=_die_with_parent)
    # The SDK has py-cpuinfo find the processor's name when it is imported. That takes a
    # second and a process of its own, and only --rp_debugger shows the name.
    cpuinfo.get_cpu_info = lambda: {"brand_raw": platform.machine()}
    import runpod  # noqa: PLC0415 - half a second that --schema need not wait for

    # A worker that cannot work says so before it takes a job, and ends with 1.
    runpod.serverless.register_fitness_check(_runner_is_ready)
    # For a job at one's desk the SDK calls, but does not iterate.
    is_served = "--rp_serve_api" in sys.argv or "RUNPOD_WEBHOOK_GET_JOB" in os.environ
    is_stream = is_served and streams(runner_class(default_id()))
    lifetime.watch()
    inbox.deliver_soon()
    runpod.serverless.start(
        {
            "handler": streaming_handler if is_stream else handler,
            "return_aggregate_stream": True,
            "refresh_worker": os.environ.get("REFRESH_WORKER") == "1",
        }
    )


def _runner_is_ready() -> None:
    """Load the model, so that the first job does not wait for it."""
    ready_runner(default_id())


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
