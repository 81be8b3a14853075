"""What a worker with our handler reports about its attempt: claim, progress, finish."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils.timezone import now

from jobs.lib.errors import Conflict, NotFound
from jobs.models import Attempt, Job
from jobs.services.lifecycle import inputs, sync
from jobs.states import ACTIVE, REMOTE, JobStatus


def find(pk: str) -> Attempt:
    """Return an attempt with its job and endpoint; raise `NotFound`."""
    try:
        id = UUID(pk)
    except ValueError:
        raise NotFound("This attempt does not exist.") from None
    attempt = Attempt.objects.select_related("job__endpoint").filter(pk=id).first()
    if attempt is None:
        raise NotFound("This attempt does not exist.")
    return attempt


def claim(attempt: Attempt, *, worker_id: str, runpod_id: str) -> None:
    """Let a worker start. Raise `Conflict` when no work is left to do.

    RunPod may redeliver an attempt, so the same or another worker may claim it again.
    The claim also proves that RunPod has the job, and gives us RunPod's id.
    """
    job = attempt.job
    if attempt.number != job.attempt_no or job.has_ended:
        _stop_late(attempt, runpod_id)
        raise Conflict("This attempt has ended; no work is left to do.", code="over")
    if attempt.manifest is not None:
        raise Conflict("This attempt already has its result.", code="done")
    changes: dict[str, Any] = {"claimed_at": now(), "worker_id": worker_id[:128]}
    if runpod_id and not attempt.runpod_id:
        changes["runpod_id"] = runpod_id[:128]
    Attempt.objects.filter(pk=attempt.pk).update(**changes)
    if job.status in REMOTE and job.status != JobStatus.IN_PROGRESS:
        sync.move_on(job, JobStatus.IN_PROGRESS)


def fresh_links(attempt: Attempt) -> dict[str, str]:
    """Return {field: new link} for a worker whose links expired; raise `Conflict`.

    Works only while the attempt is active: its token must not open files forever.
    """
    job = attempt.job
    if attempt.number != job.attempt_no or job.has_ended:
        raise Conflict("This attempt has ended; no work is left to do.", code="over")
    return inputs.fresh_links(job)


def report_progress(attempt: Attempt, progress: dict[str, Any]) -> bool:
    """Save a progress report if it is newer; return whether the worker should go on."""
    job = attempt.job
    current = Job.objects.filter(
        pk=job.pk, attempt_no=attempt.number, status__in=ACTIVE
    )
    current.filter(progress_seq__lt=progress["seq"]).update(
        progress=progress, progress_seq=progress["seq"], revision=F("revision") + 1
    )
    return current.filter(cancel_requested_at=None).exists()


def finish(attempt: Attempt, manifest: dict[str, Any]) -> bool:
    """Store the manifest. Only the first one counts; return False for any later one.

    A stopped worker reports “cancelled”. If we did not ask for that, the backend did,
    and its own answer gives the reason.
    """
    error = manifest.get("error") or {}
    if error.get("code") == "cancelled" and not attempt.job.cancel_requested_at:
        return False
    first = Attempt.objects.filter(pk=attempt.pk, manifest__isnull=True).update(
        manifest=manifest, ended_at=now()
    )
    if not first:
        return False
    sync.apply_manifest(attempt.job)
    return True


def ring(rung: Mapping[UUID, Callable[[], str]]) -> set[UUID]:
    """RunPod's webhook arrived for these attempts: have the loop poll their jobs now.

    `rung` is {attempt: function that returns the RunPod id the caller claims}. That id
    is used only where we have none, and only to ask RunPod, whose answer decides.
    Return the attempts that exist. Three queries for any number, plus two for each
    unknown id; rows are not loaded, they may be megabytes.
    """
    attempts = Attempt.objects.filter(pk__in=rung)
    rows = list(attempts.values_list("pk", "job_id", "runpod_id"))
    for pk, _, runpod_id in rows:
        if not runpod_id:
            _learn_id(pk, rung[pk]()[:128])
    attempts.update(rung_at=now())
    # Even those that are due: a poll of them may be under way, too early.
    jobs = Job.objects.active().filter(pk__in=[job for _, job, _ in rows])
    jobs.update(due_at=now())
    return {pk for pk, _, _ in rows}


def _learn_id(pk: UUID, runpod_id: str) -> None:
    if runpod_id and not Attempt.objects.filter(runpod_id=runpod_id).exists():
        unknown = Attempt.objects.filter(pk=pk, runpod_id="")
        unknown.update(runpod_id=runpod_id)


def unwanted(limit: int) -> list[Attempt]:
    """Return attempts that lost to another one and that RunPod must stop."""
    attempts = Attempt.objects.filter(is_unwanted=True).exclude(runpod_id="")
    return list(attempts.select_related("job__endpoint")[:limit])


def stopped(attempt: Attempt) -> None:
    """Note that RunPod was told to stop it."""
    Attempt.objects.filter(pk=attempt.pk).update(is_unwanted=False, ended_at=now())


def _stop_late(attempt: Attempt, runpod_id: str) -> None:
    """A lost attempt turned up: store its id, so that RunPod can be told to stop it."""
    unknown = Attempt.objects.filter(pk=attempt.pk, runpod_id="")
    if runpod_id:
        unknown.update(runpod_id=runpod_id[:128], is_unwanted=True)
