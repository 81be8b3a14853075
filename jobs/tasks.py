"""Celery's way in. Each task finds rows and calls one service; none carries data.

No countdown, ETA, chord or result: what must happen later is in a row's `due_at`.
"""

from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils.timezone import now

from jobs import conf, nudge
from jobs.local_endpoint import doorbell, queue, workers
from jobs.models import Job, Upload
from jobs.services import endpoints, reconcile, uploads


@shared_task(name="jobs.reconcile_due_jobs")
def reconcile_due_jobs() -> None:
    """Beat calls this every second. Each due job goes to exactly one task."""
    lease = timedelta(seconds=conf.LEASE_SECONDS)
    for pk, due_at in Job.objects.due().values_list("pk", "due_at")[
        : conf.SWEEP_AT_ONCE
    ]:
        if Job.objects.filter(pk=pk, due_at=due_at).update(due_at=now() + lease):
            nudge.job(pk)


@shared_task(name="jobs.reconcile_job")
def reconcile_job(pk: str) -> None:
    """Take the step a job needs now. If this dies, the job's lease runs out."""
    job = Job.objects.active().select_related("endpoint").filter(pk=UUID(pk)).first()
    if job is None:
        return
    with endpoints.client_for(job.endpoint) as client:
        reconcile.reconcile(job, client)


@shared_task(name="jobs.verify_upload")
def verify_upload(pk: str) -> None:
    """Hash a large upload and call it ready."""
    upload = Upload.objects.filter(pk=UUID(pk)).first()
    if upload is not None:
        uploads.verify(upload)


@shared_task(name="jobs.sweep_uploads")
def sweep_uploads() -> None:
    """Finish and expire uploads."""
    uploads.sweep()


@shared_task(name="jobs.sweep_local_endpoint")
def sweep_local_endpoint() -> None:
    """Expire leases and forget what is old."""
    queue.expire(now())
    workers.forget_old()


@shared_task(name="jobs.ring_doorbell")
def ring_doorbell(item_id: str) -> None:
    """Tell the client of a finished queue item."""
    doorbell.ring(item_id)
