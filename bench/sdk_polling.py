"""runpod.AsyncioEndpoint, used as its documentation shows. Prints what it learned when."""

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

os.environ["RUNPOD_ENDPOINT_BASE_URL"] = f"{sys.argv[1].rstrip('/')}/v2"

import runpod
from runpod import AsyncioEndpoint

from bench.stage import run_times

runpod.api_key = "bench"
PAUSE = 1.0
AT_ONCE = 50


async def main(count: int) -> None:
    import aiohttp  # noqa: PLC0415

    learned: dict[str, float] = {}
    connector = aiohttp.TCPConnector(limit=400)
    async with aiohttp.ClientSession(connector=connector) as session:
        endpoint = AsyncioEndpoint("ep1", session)
        few = asyncio.Semaphore(AT_ONCE)

        async def submit(seconds: float) -> Any:
            async with few:
                return await endpoint.run({"seconds": seconds})

        jobs = await asyncio.gather(*(submit(s) for s in run_times(count)))
        began = time.process_time()
        print("submitted", flush=True)

        async def follow(job: Any) -> None:
            while True:
                if await job.status() in {"COMPLETED", "FAILED"}:
                    learned[job.job_id] = time.time()
                    return
                await asyncio.sleep(PAUSE)

        async with asyncio.timeout(150):
            await asyncio.gather(*map(follow, jobs), return_exceptions=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = time.process_time() - began
    print(json.dumps({"learned": learned, "cpu": cpu, "mb": peak}))


asyncio.run(main(int(sys.argv[2])))
