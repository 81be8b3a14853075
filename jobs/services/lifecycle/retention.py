"""How long jobs and their files are kept, and how they are deleted.

Mark, delete the files, delete the rows: each step may be repeated after a crash, and no
row is deleted before its files. A file that another job still needs stays.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils.timezone import now

from jobs.lib import conf
from jobs.lib.errors import Conflict
from jobs.models import Artifact, Batch, Endpoint, Job, Upload
from jobs.services.files import artifacts
from jobs.states import ACTIVE, ENDS, NOT_COMPLETED, JobStatus
from jobs.storage import StoreError

logger = logging.getLogger(__name__)
AT_ONCE = 200
AGED = Q(deleting_at=None, is_kept=False)


def until(job: Job) -> datetime | None:
    """Return when a job and its files are deleted; None for never or not yet known."""
    days = _days_of(job)
    if job.is_kept or not days or job.finished_at is None:
        return None
    return job.finished_at + timedelta(days=days)


def inputs_until(job: Job) -> datetime | None:
    """Return when the files of its input are deleted, if that is earlier."""
    days = _days(job.endpoint, "inputs")
    if job.is_kept or not days or job.finished_at is None or not job.uploads.exists():
        return None
    at, all_at = job.finished_at + timedelta(days=days), until(job)
    return at if all_at is None or at < all_at else None


def keep(job: Job, *, is_kept: bool) -> None:
    """Keep a job for ever, or stop keeping it. Raise `Conflict` when it is too late."""
    row = Job.objects.filter(pk=job.pk, deleting_at=None)
    if not row.update(is_kept=is_kept):
        raise Conflict("This job is being deleted.", code="deleting")
    job.is_kept = is_kept


def delete_now(job: Job) -> None:
    """Hide an ended job; the next sweep deletes it."""
    ended = Job.objects.filter(pk=job.pk, status__in=ENDS)
    if not ended.update(deleting_at=now()):
        raise Conflict("Only a job that has ended can be deleted.", code="active")


def sweep() -> None:
    """Delete a portion of what is due. The next sweep retries files that fail."""
    for endpoint in Endpoint.objects.all():
        _mark_old(endpoint)
        _expire_inputs(endpoint)
    for job in Job.objects.filter(deleting_at__isnull=False)[:AT_ONCE]:
        try:
            _delete(job)
        except StoreError as error:
            logger.warning("job=%s is deleted later: %s", job.pk, error)
    _drop_empty_batches()


def _mark_old(endpoint: Endpoint) -> None:
    for kind, statuses in (
        ("results", {JobStatus.COMPLETED}),
        ("failed", NOT_COMPLETED),
    ):
        days = _days(endpoint, kind)
        if not days:
            continue
        old = Job.objects.filter(
            AGED,
            endpoint=endpoint,
            status__in=statuses,
            finished_at__lt=now() - timedelta(days=days),
        )
        pks = list(old.order_by("finished_at").values_list("pk", flat=True)[:AT_ONCE])
        Job.objects.filter(AGED, pk__in=pks).update(deleting_at=now())


def _drop_empty_batches() -> None:
    """Delete ended batches whose jobs have all been deleted."""
    cutoff = now() - timedelta(days=1)
    ended = Batch.objects.filter(ended_at__lt=cutoff)
    empty = ended.filter(~Exists(Job.objects.filter(batch=OuterRef("pk"))))
    Batch.objects.filter(
        pk__in=list(empty.values_list("pk", flat=True)[:AT_ONCE])
    ).delete()


def _expire_inputs(endpoint: Endpoint) -> None:
    """Let uploads expire that only old jobs have used."""
    days = _days(endpoint, "inputs")
    if not days:
        return
    cutoff = now() - timedelta(days=days)
    users = Job.objects.filter(uploads=OuterRef("pk"))
    still_needed = users.filter(
        Q(status__in=ACTIVE) | Q(is_kept=True) | Q(finished_at__gte=cutoff)
    )
    old = Upload.objects.filter(
        Exists(users.filter(endpoint=endpoint, finished_at__lt=cutoff)),
        ~Exists(still_needed),
        expires_at=None,
    )
    pks = list(old.values_list("pk", flat=True)[:AT_ONCE])
    Upload.objects.filter(pk__in=pks).update(expires_at=now())


def _delete(job: Job) -> None:
    for artifact in Artifact.objects.filter(attempt__job=job):
        artifacts.forget(artifact)
        artifact.delete()
    others = Job.objects.filter(uploads=OuterRef("pk")).exclude(pk=job.pk)
    job.uploads.filter(~Exists(others), expires_at=None).update(expires_at=now())
    job.delete()


def _days_of(job: Job) -> int:
    is_result = job.status == JobStatus.COMPLETED
    return _days(job.endpoint, "results" if is_result else "failed")


def _days(endpoint: Endpoint, kind: str) -> int:
    """Return the days to keep `inputs`, `results` or `failed`; 0 means forever."""
    own = getattr(endpoint, f"keep_{kind}_days")
    return int(getattr(conf, f"KEEP_{kind.upper()}_DAYS") if own is None else own)
