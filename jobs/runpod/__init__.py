"""The RunPod job client. Knows HTTP; knows no Django and none of our words."""

from jobs.runpod.answers import RUN_MAX_BYTES, Health, RemoteJob
from jobs.runpod.async_client import AsyncEndpointClient
from jobs.runpod.client import EndpointClient

__all__ = [
    "RUN_MAX_BYTES",
    "AsyncEndpointClient",
    "EndpointClient",
    "Health",
    "RemoteJob",
]
