"""`/api/v1/endpoints`: what can run, and how its input looks."""

from typing import Any

from ninja import Router

from jobs.api.auth import ApiRequest
from jobs.api.errors import require
from jobs.api.schemas import EndpointDetail, EndpointPage, Purged
from jobs.errors import Conflict, NotFound
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services import endpoints as service

router = Router()


@router.get("", response=EndpointPage, summary="List endpoints")
def list_endpoints(request: ApiRequest) -> dict[str, Any]:
    """Return every endpoint."""
    require(request, "endpoints:read")
    usual = service.usual_seconds()
    return {"data": [_json(endpoint, usual) for endpoint in Endpoint.objects.all()]}


@router.get("/{slug}", response=EndpointDetail, summary="Read an endpoint")
def read_endpoint(request: ApiRequest, slug: str) -> dict[str, Any]:
    """Return one endpoint with its input schema and its backend's health.

    `health` is null when the backend does not answer now.
    """
    require(request, "endpoints:read")
    endpoint = Endpoint.objects.filter(slug=slug).first()
    if endpoint is None:
        raise NotFound(f"There is no endpoint “{slug}”.")
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


@router.post("/{slug}/purge", response=Purged, summary="Purge the queue")
def purge_queue(request: ApiRequest, slug: str) -> dict[str, int]:
    """Drop the jobs that no worker has taken; Slipway's become CANCELLED (`purged`).

    Jobs that Slipway still holds are cancelled too. Staff only.
    """
    require(request, "endpoints:admin")
    endpoint = Endpoint.objects.filter(slug=slug).first()
    if endpoint is None or not request.auth.owner.is_staff:
        raise NotFound(f"There is no endpoint “{slug}”, or it is not yours.")
    try:
        return {"removed": service.purge_queue(endpoint)}
    except RunPodError as error:
        raise Conflict(f"RunPod did not purge: {error}.", code="not_purged") from error


def _json(endpoint: Endpoint, usual: dict[int, float]) -> dict[str, Any]:
    return {
        "slug": endpoint.slug,
        "title": endpoint.title,
        "description": endpoint.description,
        "kind": endpoint.kind,
        "is_active": endpoint.is_active,
        "usual_seconds": usual.get(endpoint.pk),
    }
