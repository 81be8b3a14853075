"""The RunPod job client. Knows HTTP; knows no Django and none of our words.

The loop imports `async_client` by itself: it brings aiohttp, which no other process needs.
"""

from jobs.runpod.answers import RUN_MAX_BYTES, Health, RemoteJob
from jobs.runpod.client import EndpointClient

__all__ = [
    "RUN_MAX_BYTES",
    "EndpointClient",
    "Health",
    "RemoteJob",
]
