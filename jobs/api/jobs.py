"""`/api/v1/jobs`: create, list, read, cancel, run again, fetch outputs."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from ninja import Query, Router, Status

from jobs.api import wait
from jobs.api.auth import ApiRequest, needs
from jobs.api.conditional import with_etag
from jobs.api.filters import METADATA_PARAMETER, JobFilters
from jobs.api.once import PARAMETER, answer, once
from jobs.api.paging import page_of
from jobs.api.schemas import JobIn, JobOut, JobPage, JobWebhook, KeepIn
from jobs.lib.errors import InvalidInput, NotFound, Problem, TooLarge
from jobs.models import Endpoint, Job
from jobs.models.job import JobQuerySet
from jobs.services.files import downloads
from jobs.services.lifecycle import completion, retention
from jobs.services.lifecycle import jobs as service
from jobs.services.lifecycle.job_json import PREFETCHED, job_json
from jobs.services.lifecycle.job_lists import jobs_json

router = Router()
METADATA_MAX_BYTES = 16 * 1024
READ, WRITE = needs("jobs:read"), needs("jobs:write")


@router.post(
    "",
    auth=WRITE,
    response={201: JobOut, 202: JobOut},
    summary="Create a job",
    openapi_extra={"parameters": [PARAMETER, wait.PARAMETER]},
)
def create_job(request: ApiRequest, body: JobIn) -> HttpResponse:
    """Accept a job and answer at once; it is submitted in the background.

    With the header `Idempotency-Key` the request may be repeated for a day: it is
    answered as the first time, and there is one job. With `Prefer: wait=30` the answer
    comes when the job ends, 201, or after that many seconds, 202; at most 60.
    """
    if request.auth.endpoints:  # a stored answer is of an endpoint, too
        endpoint_of(request, body.endpoint)
    response = once(request, lambda: _create(request, body))
    wait.if_preferred(
        request,
        response,
        lambda pk, status: answer(_json(request, _job(request, pk)), status),
    )
    return response


def _create(request: ApiRequest, body: JobIn) -> dict[str, Any]:
    endpoint = endpoint_of(request, body.endpoint)
    check_metadata(body.metadata)
    hook = body.webhook
    if isinstance(hook, str):
        hook = JobWebhook(url=hook, events=[])
    job = service.create(
        owner=request.auth.owner,
        api_key_id=request.auth.key_id,
        endpoint=endpoint,
        input=body.input,
        metadata=body.metadata,
        priority=Job.Priority[body.priority.upper()],
        webhook_url=hook.url if hook else "",
        webhook_events=list(hook.events) if hook else [],
    )
    return job_json(
        job,
        base=base_of(request),
        position=service.queue_position(job, is_rough=True),
    )


def endpoint_of(request: ApiRequest, slug: str) -> Endpoint:
    """Return an endpoint that the caller names; raise `InvalidInput`."""
    endpoint = Endpoint.by_slug(slug)
    if endpoint is None or not request.auth.allows_endpoint(endpoint.slug):
        text = f"There is no endpoint “{slug}”."
        raise InvalidInput(Problem("/endpoint", text, "unknown"))
    return endpoint


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raise `TooLarge` over 16 KiB."""
    if len(json.dumps(metadata)) > METADATA_MAX_BYTES:
        raise TooLarge("metadata is larger than 16 KiB.")


@router.get(
    "",
    auth=READ,
    response=JobPage,
    summary="List jobs",
    openapi_extra={"parameters": [METADATA_PARAMETER]},
)
def list_jobs(request: ApiRequest, filters: Query[JobFilters]) -> HttpResponse:
    """Return the caller's jobs, newest first."""
    mine = request.auth.jobs().filter(owner=request.auth.owner)
    return job_page(request, mine, filters)


def job_page(
    request: ApiRequest, jobs: JobQuerySet, filters: JobFilters
) -> HttpResponse:
    """Return one page of those `jobs` that match."""
    matches = filters.apply(request, jobs.in_brief())
    page = page_of(
        request, matches.prefetch_related(*PREFETCHED), filters.limit, filters.cursor
    )
    positions = service.queue_positions(page["data"])
    shown = jobs_json(page["data"], base=base_of(request), positions=positions)
    return answer({**page, "data": shown})


@router.get("/{uuid:job_id}", auth=READ, response=JobOut, summary="Read a job")
def read_job(request: ApiRequest, job_id: UUID) -> HttpResponse:
    """Return one job with its progress, attempts and outputs.

    Send the `ETag` of the last answer as `If-None-Match`: 304 says that nothing has
    changed. `Retry-After` says when it is worth asking again.
    """
    job = _job(request, job_id)
    response = answer(_json(request, job))
    if not job.has_ended:
        response["Retry-After"] = "1"
    return with_etag(request, response)


@router.post(
    "/{uuid:job_id}/cancel", auth=WRITE, response={202: JobOut}, summary="Cancel a job"
)
def cancel_job(request: ApiRequest, job_id: UUID) -> HttpResponse:
    """Ask for the end of a job. A job that ended stays as it is."""
    job = _job(request, job_id)
    service.request_cancel(job)
    return answer(_json(request, job), 202)


@router.post(
    "/{uuid:job_id}/retry",
    auth=WRITE,
    response={201: JobOut},
    summary="Run a job again",
    openapi_extra={"parameters": [PARAMETER]},
)
def retry_job(request: ApiRequest, job_id: UUID) -> HttpResponse:
    """Create a new job with the same input; `source_job` names this one.

    Takes `Idempotency-Key`, too.
    """
    if request.auth.endpoints:
        _job(request, job_id)

    def retry() -> dict[str, Any]:
        job = service.run_again(
            _job(request, job_id),
            owner=request.auth.owner,
            api_key_id=request.auth.key_id,
        )
        return _json(request, job)

    return once(request, retry)


@router.post("/{uuid:job_id}/keep", auth=WRITE, response=JobOut, summary="Keep a job")
def keep_job(request: ApiRequest, job_id: UUID, body: KeepIn) -> HttpResponse:
    """Keep a job whatever its age (`kept`: true), or no longer."""
    job = _job(request, job_id)
    retention.keep(job, is_kept=body.kept)
    return answer(_json(request, job))


@router.delete(
    "/{uuid:job_id}", auth=WRITE, response={204: None}, summary="Delete a job"
)
def delete_job(request: ApiRequest, job_id: UUID) -> Status[None]:
    """Delete an ended job and its files; an input file stays while others need it."""
    retention.delete_now(_job(request, job_id))
    return Status(204, None)


@router.get(
    "/{uuid:job_id}/outputs/{name}",
    auth=READ,
    response={302: None},
    summary="Fetch an output",
)
def read_output(request: ApiRequest, job_id: UUID, name: str) -> HttpResponse:
    """Redirect to a fresh link to the file."""
    for artifact in completion.of_job(_job(request, job_id)):
        if artifact.name == name:
            return HttpResponseRedirect(downloads.artifact_url(artifact))
    raise NotFound("This job has no such output.")


def _job(request: ApiRequest, job_id: UUID) -> Job:
    job = Job.seen_by(request.auth.owner, job_id)
    if job is None or not request.auth.allows_endpoint(job.endpoint.slug):
        raise NotFound("There is no such job, or it is not yours.")
    return job


def _json(request: ApiRequest, job: Job) -> dict[str, Any]:
    return job_json(job, base=base_of(request), position=service.queue_position(job))


def base_of(request: ApiRequest) -> str:
    """Return how the caller reaches us."""
    return request.build_absolute_uri("/")[:-1]
