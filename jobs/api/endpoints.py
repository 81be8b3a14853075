"""`/api/v1/endpoints`: what can run, and how its input looks."""

from typing import Any

from ninja import Router

from jobs.api.auth import ApiRequest, needs
from jobs.api.schemas import (
    EndpointDetail,
    EndpointPage,
    EstimateIn,
    EstimateOut,
    Purged,
)
from jobs.lib.errors import Conflict, NotFound
from jobs.models import Endpoint
from jobs.runpod.errors import RunPodError
from jobs.services.money import costs, estimates
from jobs.services.money.estimates import Estimate
from jobs.services.operations import diagnosis
from jobs.services.operations import endpoints as service

router = Router()
READ = needs("endpoints:read")


@router.get("", auth=READ, response=EndpointPage, summary="List endpoints")
def list_endpoints(request: ApiRequest) -> dict[str, Any]:
    """Return every endpoint."""
    mine = request.auth.allows_endpoint
    endpoints = [one for one in Endpoint.objects.all() if mine(one.slug)]
    usual = estimates.usual_of(endpoints)
    return {"data": [_json(each, usual.get(each.pk)) for each in endpoints]}


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
        **_json(endpoint, estimates.usual(endpoint)),
        "input_schema": endpoint.input_schema,
        "example_input": endpoint.example_input,
        "health": health,
        "diagnosis": _diagnosis(endpoint, is_staff=request.auth.owner.is_staff),
        "alerts": list(endpoint.alerts.filter(resolved_at=None)),
        "unreachable_at": endpoint.unreachable_at,
    }


@router.post(
    "/{slug:slug}/estimate",
    auth=READ,
    response=EstimateOut,
    summary="Estimate a job",
)
def estimate(request: ApiRequest, slug: str, body: EstimateIn) -> dict[str, Any]:
    """Say how long a job with this input takes and what it costs, from similar ones.

    Similar: of this endpoint, with files of about the same size. Nothing is created, and
    everything is null before the first job was completed.
    """
    endpoint = _endpoint(request, slug)
    estimate = estimates.similar(endpoint, body.input, request.auth.owner)
    return {
        "seconds": estimate.seconds if estimate else None,
        "cost": float(estimate.cost)
        if estimate and estimate.cost is not None
        else None,
        "currency": costs.CURRENCY,
        "based_on": estimate.jobs if estimate else 0,
    }


@router.post(
    "/{slug:slug}/purge",
    auth=needs("endpoints:admin"),
    response=Purged,
    summary="Purge the queue",
)
def purge_queue(request: ApiRequest, slug: str) -> dict[str, int]:
    """Drop the jobs that no worker has taken; Slipway's become CANCELLED (`purged`).

    Jobs that Slipway still holds are cancelled too. Only for staff who may change
    endpoints, as in the panel.
    """
    endpoint = _endpoint(request, slug)
    user = request.auth.owner
    if not (user.is_staff and user.has_perm("jobs.change_endpoint")):
        raise NotFound(f"The endpoint “{slug}” is not yours.")
    try:
        return {"removed": service.purge_queue(endpoint, user=user)}
    except RunPodError as error:
        raise Conflict(f"RunPod did not purge: {error}.", code="not_purged") from error


def _endpoint(request: ApiRequest, slug: str) -> Endpoint:
    endpoint = Endpoint.by_slug(slug)
    if endpoint is None or not request.auth.allows_endpoint(slug):
        raise NotFound(f"There is no endpoint “{slug}”.")
    return endpoint


def _diagnosis(endpoint: Endpoint, *, is_staff: bool) -> dict[str, Any] | None:
    """Return why nothing runs there; evidence and remedy are the operator's."""
    verdict = diagnosis.of(endpoint)
    if verdict is None:
        return None
    fields = {"cause": verdict.cause, "sentence": verdict.for_user}
    if is_staff:
        fields["sentence"] = verdict.sentence
    evidence = list(verdict.evidence) if is_staff else []
    return {
        **fields,
        "evidence": evidence,
        "next_step": verdict.next_step if is_staff else "",
    }


def _json(endpoint: Endpoint, usual: Estimate | None) -> dict[str, Any]:
    return {
        "slug": endpoint.slug,
        "title": endpoint.title,
        "description": endpoint.description,
        "kind": endpoint.kind,
        "is_active": endpoint.is_active,
        "usual_seconds": usual.seconds if usual else None,
    }
