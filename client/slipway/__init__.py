"""Slipway from Python: submit GPU jobs, wait for them, fetch their results.

    from pathlib import Path
    from slipway import Client

    with Client("https://slipway.example", key="slipway_…") as slipway:
        job = slipway.run("anonymize", {"media": Path("clip.mp4")})
        slipway.download(job, "result/")

`AsyncClient` has the same methods, to be awaited.
"""

from slipway.client import AsyncClient, Client
from slipway.errors import ApiError, JobFailed, NoConnection, SlipwayError
from slipway.models import Event, Job, Output, Upload

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Event",
    "Job",
    "JobFailed",
    "NoConnection",
    "Output",
    "SlipwayError",
    "Upload",
]
# The only place where it stands: the server and both packages read it here.
__version__ = "0.1.0"
