"""The JSON API, version 1: `/api/v1/…`, documented at `/api/v1/docs`."""

from ninja import NinjaAPI

from jobs.api import endpoints, errors, jobs, uploads
from jobs.api.auth import ApiRequest, KeyOrSession
from jobs.api.schemas import Me

api = NinjaAPI(
    title="Slipway API",
    version="1",
    description="Submit GPU jobs, watch them and fetch their results.",
    auth=KeyOrSession(),
    urls_namespace="api",
)
errors.install(api)
api.add_router("/jobs", jobs.router, tags=["Jobs"])
api.add_router("/endpoints", endpoints.router, tags=["Endpoints"])
api.add_router("/uploads", uploads.router, tags=["Uploads"])


@api.get("/me", response=Me, tags=["Account"], summary="Who am I")
def me(request: ApiRequest) -> Me:
    """Return the user, and what the key may do."""
    return Me(username=request.auth.owner.get_username(), scopes=request.auth.scopes)


__all__ = ["api"]
