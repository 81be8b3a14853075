"""The JSON API, version 1: `/api/v1/…`, documented at `/api/v1/docs`."""

from jobs.api import (
    account,
    batch_downloads,
    batches,
    endpoints,
    errors,
    events,
    jobs,
    uploads,
    webhooks,
)
from jobs.api.auth import needs
from jobs.api.body import StrictParser
from jobs.api.document import Document

api = Document(
    title="Slipway API",
    version="1",
    description="Submit GPU jobs, watch them and fetch their results.",
    auth=needs(),
    parser=StrictParser(),
    urls_namespace="api",
)
errors.install(api)
api.add_router("/jobs", jobs.router, tags=["Jobs"])
api.add_router("/jobs", events.router, tags=["Jobs"])
api.add_router("/batches", batches.router, tags=["Batches"])
api.add_router("/batches", batch_downloads.router, tags=["Batches"])
api.add_router("/endpoints", endpoints.router, tags=["Endpoints"])
api.add_router("/uploads", uploads.router, tags=["Uploads"])
api.add_router("/webhooks", webhooks.router, tags=["Webhooks"])
api.add_router("", account.router, tags=["Account"])

__all__ = ["api"]
