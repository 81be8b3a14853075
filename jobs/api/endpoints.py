"""`/api/v1/endpoints`: what can run, and how its input looks."""

from typing import Any

from ninja import Router

from jobs.api.auth import ApiRequest, needs
from jobs.api.schemas import EndpointDetail, EndpointPage, Purged
from jobs.errors import Conflict, NotFound
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services import endpoints as service

router = Router()
READ = needs("endpoints:read")


@router.get("", auth=READ, response=EndpointPage, summary="List endpoints")
def list_endpoints(request: ApiRequest) -> dict[str, Any]:
    """Return every endpoint."""
    usual = service.usual_seconds()
    mine = request.auth.allows_endpoint
    found = [one for one in Endpoint.objects.all() if mine(one.slug)]
    return {"data": [_json(endpoint, usual) for endpoint in found]}


@router.get(
    "/{slug:slug}", auth=READ, response=EndpointDetail, summary="Read an endpoint"
)
def read_endpoint(request: ApiRequest, slug: str) -> dict[str, Any]:
    """Return one endpoint with its input schema and its backend's health.

    `health` is null when the backend does not answer now.
    """
    endpoint = _endpoint(request, slug)
    try:
        health = service.workers_of(endpoint) if endpoint.client_key else None
    except RunPodError:
        health = None
    return {
        **_json(endpoint, service.usual_seconds()),
        "input_schema": endpoint.input_schema,
        "example_input": endpoint.example_input,
        "health": health,
        "alerts": list(endpoint.alerts.filter(resolved_at=None)),
        "unreachable_at": endpoint.unreachable_at,
    }


@router.post(
    "/{slug:slug}/purge",
    auth=needs("endpoints:admin"),
    response=Purged,
    summary="Purge the queue",
)
def purge_queue(request: ApiRequest, slug: str) -> dict[str, int]:
    """Drop the jobs that no worker has taken; Slipway's become CANCELLED (`purged`).

    Jobs that Slipway still holds are cancelled too. Staff only.
    """
    endpoint = _endpoint(request, slug)
    if not request.auth.owner.is_staff:
        raise NotFound(f"The endpoint “{slug}” is not yours.")
    try:
        return {"removed": service.purge_queue(endpoint)}
    except RunPodError as error:
        raise Conflict(f"RunPod did not purge: {error}.", code="not_purged") from error


def _endpoint(request: ApiRequest, slug: str) -> Endpoint:
    endpoint = Endpoint.by_slug(slug)
    if endpoint is None or not request.auth.allows_endpoint(slug):
        raise NotFound(f"There is no endpoint “{slug}”.")
    return endpoint


def _json(endpoint: Endpoint, usual: dict[int, float]) -> dict[str, Any]:
    return {
        "slug": endpoint.slug,
        "title": endpoint.title,
        "description": endpoint.description,
        "kind": endpoint.kind,
        "is_active": endpoint.is_active,
        "usual_seconds": usual.get(endpoint.pk),
    }
