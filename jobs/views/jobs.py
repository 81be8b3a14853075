"""Pages about jobs: gallery, new job, list, one job."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from jobs.forms import InputForm, presets_of
from jobs.lib.errors import InvalidInput, SlipwayError
from jobs.models import Endpoint, Job
from jobs.services.files import downloads
from jobs.services.lifecycle import completion, examples, explain, inputs, retention
from jobs.services.lifecycle import jobs as service
from jobs.services.money import budgets, estimates
from jobs.states import JobStatus

PAGE = 25
FORM = ["GET", "HEAD", "POST"]


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Show what can run, and what ran lately."""
    active = Endpoint.objects.filter(is_active=True)
    usual = estimates.usual_of(active)
    cards = [(endpoint, usual.get(endpoint.pk)) for endpoint in active]
    recent = _visible(request).in_brief()[:5]
    return render(request, "home.html", {"cards": cards, "recent": recent})


@require_http_methods(FORM)
@login_required
def new_job(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the form of an endpoint, filled from `?from=<job>`; create the job."""
    endpoint = get_object_or_404(Endpoint, slug=slug, is_active=True)
    if request.method == "POST":
        form = InputForm(endpoint, request.user, request.POST)
        job = _create(request, form)
        if job:
            return redirect("job", job_id=job.pk)
    else:
        source = _source(request)
        initial = source.input if source else _preset(request, endpoint)
        form = InputForm(endpoint, request.user, initial=initial)
    context = {
        "endpoint": endpoint,
        "form": form,
        "usual": estimates.usual(endpoint),
        "budget_notes": budgets.notes(owner=request.user, endpoint=endpoint),
        "source": request.GET.get("from", ""),
        "examples": examples.examples(endpoint, request.build_absolute_uri("/")[:-1]),
        "status": 422 if form.errors else 200,
    }
    return render(request, "jobs/new.html", context, status=422 if form.errors else 200)


def _preset(request: HttpRequest, endpoint: Endpoint) -> dict[str, Any] | None:
    """Return what the preset named in the address fills in."""
    for preset in presets_of(endpoint):
        if preset["title"] == request.GET.get("preset"):
            values: dict[str, Any] = preset["input"]
            return values
    return None


def _create(request: HttpRequest, form: InputForm) -> Job | None:
    if not form.is_valid():
        return None
    try:
        return service.create(
            owner=request.user,
            endpoint=form.endpoint,
            input=form.job_input(),
            source_job=_source(request),
        )
    except InvalidInput as error:
        form.show(error)
    except SlipwayError as error:
        form.add_error(None, str(error))
    return None


def _source(request: HttpRequest) -> Job | None:
    try:
        pk = UUID(request.GET.get("from", ""))
    except ValueError:
        return None
    job: Job | None = _visible(request).filter(pk=pk).first()
    return job


@require_safe
@login_required
def job_list(request: HttpRequest) -> HttpResponse:
    """List jobs, newest first."""
    jobs = _visible(request).in_brief()
    status = request.GET.get("status", "")
    if status in JobStatus:
        jobs = jobs.filter(status=status)
    page = Paginator(jobs, PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "status": status,
        "query": f"status={status}" if status in JobStatus else "",
        "statuses": JobStatus.choices,
    }
    return render(request, "jobs/list.html", context)


@require_safe
@login_required
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Show one job; the page keeps itself up to date."""
    return render(request, "jobs/job.html", _context(_one(request, job_id)))


@require_safe
@login_required
def job_fragment(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "jobs/_job.html", _context(_one(request, job_id)))


@login_required
@require_POST
def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Cancel a job."""
    job = _one(request, job_id)
    if not service.request_cancel(job):
        messages.info(request, "The job had already ended or is being cancelled.")
    return redirect("job", job_id=job.pk)


@login_required
@require_POST
def keep(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Keep a job for ever, or let it go with its age again."""
    job = _one(request, job_id)
    try:
        retention.keep(job, is_kept=request.POST.get("kept") == "1")
    except SlipwayError as error:
        messages.error(request, str(error))
    return redirect("job", job_id=job.pk)


@require_http_methods(FORM)
@login_required
def delete(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Ask, then delete a job and its files."""
    job = _one(request, job_id)
    if request.method != "POST":
        return render(request, "jobs/delete.html", {"job": job})
    try:
        retention.delete_now(job)
    except SlipwayError as error:
        messages.error(request, str(error))
        return redirect("job", job_id=job.pk)
    messages.success(request, "The job and its files are being deleted.")
    return redirect("jobs")


@require_safe
@login_required
def output(request: HttpRequest, job_id: UUID, name: str) -> HttpResponse:
    """Redirect to a fresh link to one file of the result."""
    for artifact in completion.of_job(_one(request, job_id)):
        if artifact.name == name:
            return redirect(downloads.artifact_url(artifact))
    raise Http404


def _visible(request: HttpRequest) -> Any:
    return Job.objects.visible_to(request.user).select_related("endpoint", "owner")


def _one(request: HttpRequest, job_id: UUID) -> Job:
    job: Job = get_object_or_404(_visible(request), pk=job_id)
    return job


def _context(job: Job) -> dict[str, Any]:
    """Return what templates/jobs/_job.html shows."""
    fraction = job.progress.get("fraction")
    is_running = job.status == JobStatus.IN_PROGRESS
    attempts = list(job.attempts.all())
    return {
        "retention_until": retention.until(job),
        "inputs_until": retention.inputs_until(job),
        "job": job,
        "shown_input": inputs.for_people(job.input),
        "percent": round(fraction * 100)
        if is_running and fraction is not None
        else None,
        "steps": explain.steps(job),
        "sentence": explain.sentence(job),
        "next_step": explain.next_step(job),
        "artifacts": completion.of_job(job),
        "events": job.events.all(),
        "attempts": attempts,
        "notes": [n for a in attempts if a.number == job.attempt_no for n in a.notes],
    }
