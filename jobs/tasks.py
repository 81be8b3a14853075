"""Celery's way in. Each task finds rows and calls one service; none carries data.

No countdown, ETA, chord or result: what must happen later is in a row's `due_at`.
"""

from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.utils.timezone import now

from jobs.lib import conf, nudge
from jobs.local_endpoint import callbacks, queue, workers
from jobs.models import Job, Upload
from jobs.services.batching import enqueuing
from jobs.services.files import uploads
from jobs.services.lifecycle import completion, idempotency, reconcile, retention
from jobs.services.money import budgets, costs, totals
from jobs.services.notifications import alert_messages, webhooks
from jobs.services.operations import sampling
from jobs.services.people import passwords
from jobs.shifts import courier, runner
from jobs.shifts.loop import shift
from jobs.states import JobStatus


@shared_task(name="jobs.work_shift")
def work_shift() -> None:
    """Do a shift of the loop, unless another process has one; then the next."""
    if shift.work(conf.SHIFT_SECONDS):
        nudge.shift()


@shared_task(name="jobs.work_courier")
def work_courier() -> None:
    """Take messages to webhooks for a while, unless another process does; then go on."""
    if courier.work(conf.SHIFT_SECONDS):
        nudge.courier()


@worker_ready.connect
def _begin_shift(**_: object) -> None:
    nudge.shift()
    nudge.courier()


@worker_shutting_down.connect
def _end_shift(**_: object) -> None:
    runner.is_ending.set()


# Files may be large: hours, where a pool of processes enforces limits.
@shared_task(name="jobs.collect_job", soft_time_limit=6 * 3600, time_limit=6 * 3600)
def collect_job(pk: str) -> None:
    """Fetch the files of a plain endpoint's output. The loop asks again if this dies."""
    job = Job.objects.active().select_related("endpoint").filter(pk=UUID(pk)).first()
    if job is None or job.status != JobStatus.FINALIZING:
        return
    if reconcile.begin_step(job):
        completion.fetch(job)
        reconcile.end_step(job)


@shared_task(name="jobs.verify_upload", soft_time_limit=6 * 3600, time_limit=6 * 3600)
def verify_upload(pk: str) -> None:
    """Hash a large upload and call it ready."""
    upload = Upload.objects.filter(pk=UUID(pk)).first()
    if upload is not None:
        uploads.verify(upload)


@shared_task(name="jobs.enqueue_batch")
def enqueue_batch(pk: str) -> None:
    """Read some of a batch's items. The loop asks again if this dies."""
    enqueuing.enqueue(UUID(pk))


@shared_task(name="jobs.sweep_uploads")
def sweep_uploads() -> None:
    """Finish and expire uploads."""
    uploads.sweep()


@shared_task(name="jobs.sweep_retention")
def sweep_retention() -> None:
    """Delete what is older than it is to be kept."""
    retention.sweep()
    idempotency.sweep()
    webhooks.sweep()


@shared_task(name="jobs.sample_endpoints")
def sample_endpoints() -> None:
    """Look at the endpoints whose time has come."""
    sampling.sample_due()


@shared_task(name="jobs.settle_costs")
def settle_costs() -> None:
    """Calculate what ended jobs cost; warn about budgets."""
    while costs.settle() == costs.AT_ONCE:
        pass
    budgets.watch()


@shared_task(name="jobs.tell_alerts")
def tell_alerts() -> None:
    """Tell operators of alerts that opened or are over."""
    alert_messages.tell()


@shared_task(name="jobs.send_password_resets")
def send_password_resets() -> None:
    """Mail links to people who have forgotten their password."""
    passwords.send_due()


@shared_task(name="jobs.count_hours")
def count_hours() -> None:
    """Count what ended in the last hours, for the dashboard."""
    totals.count_hours()


@shared_task(name="jobs.sample_accounts")
def sample_accounts() -> None:
    """Look at balances; drop old samples."""
    sampling.sample_accounts()
    sampling.thin()


@shared_task(name="jobs.sweep_local_endpoint")
def sweep_local_endpoint() -> None:
    """Expire leases and forget what is old."""
    queue.expire(now())
    workers.forget_old()


@shared_task(name="jobs.ring_doorbell")
def ring_doorbell(item_id: str) -> None:
    """Tell the client of a finished queue item."""
    callbacks.ring(item_id)
