"""The GPU handler: the same file on RunPod, on your own GPU and at your desk.

python handler.py --test_input '{"input": {...}}'   one job here, exit code 0 or 1
python handler.py --schema [RUNNER]                 the JSON Schema of the input
python handler.py                                   take jobs (RUNPOD_WEBHOOK_GET_JOB)
"""

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from runners import BUILT_IN, default_id, ready_runner, runner_class

logger = logging.getLogger("slipway")
PR_SET_PDEATHSIG = 1


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job in a thread, so that the SDK can hear a stop meanwhile.

    When the SDK cancels us, the slot must not look free while the thread still uses the
    GPU: we ask the work to stop, wait until it has, and only then let go.
    """
    cancel = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(_worker(), job, cancel))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        cancel.set()
        await asyncio.wait({working})
        raise


@cache
def _worker() -> Callable[[dict[str, Any], threading.Event], dict[str, Any]]:
    """Return `work`, imported once: later a project's module may have its name."""
    from work import work  # noqa: PLC0415 - loads numpy and friends

    return work


def schema_of(id: str) -> dict[str, Any]:
    """Return what a front end needs to know of a runner."""
    runner = runner_class(id)
    return {
        "id": id,
        "title": runner.title,
        "description": runner.description,
        "input_schema": runner.schema(),
    }


def main() -> None:
    """Print a schema, or hand over to the SDK."""
    if "--schema" in sys.argv:
        names = sys.argv[sys.argv.index("--schema") + 1 :] or list(BUILT_IN)
        sys.stdout.write(json.dumps([schema_of(name) for name in names]) + "\n")
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The SDK's ping process outlives a killed worker and pings on for ever; the kernel
    # ends it together with us (Linux prctl(2)).
    os.register_at_fork(after_in_child=_die_with_parent)
    import runpod  # noqa: PLC0415 - half a second that --schema need not wait for

    if os.environ.get("RUNPOD_WEBHOOK_GET_JOB"):
        ready_runner(default_id())  # the first job must not wait for the model
    runpod.serverless.start({"handler": handler})


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
