"""The RunPod job client. Knows httpx; knows no Django and none of our words."""

from jobs.runpod.client import RUN_MAX_BYTES, EndpointClient, Health, RemoteJob

__all__ = ["RUN_MAX_BYTES", "EndpointClient", "Health", "RemoteJob"]
