"""A job: a user's request to run a worker on some input, until it ends."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.expressions import CombinedExpression
from django.utils.timezone import now

from jobs.lib.error_signatures import signature
from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from jobs.models.endpoint import Endpoint
from jobs.models.ids import new_id
from jobs.models.prepared import Prepared
from jobs.models.upload import Upload
from jobs.states import ACTIVE, ENDS, FAILURES, Actor, JobStatus, Reason, check_move

logger = logging.getLogger(__name__)

# How long after a move to a status the loop handles the job.
FIRST_LOOK = {
    JobStatus.PENDING: timedelta(0),
    JobStatus.SUBMITTING: timedelta(seconds=45),
    JobStatus.UNCONFIRMED: timedelta(seconds=5),
    JobStatus.IN_QUEUE: timedelta(seconds=1),
    JobStatus.IN_PROGRESS: timedelta(seconds=1),
    JobStatus.FINALIZING: timedelta(seconds=2),
}


class JobQuerySet(models.QuerySet["Job"]):
    """The shared filters."""

    def visible_to(self, user: Any) -> Self:
        """Select only what `user` may see. This is the only filter by owner."""
        undeleted = self.filter(deleting_at=None)
        return undeleted if user.is_staff else undeleted.filter(owner=user)

    def with_endpoint(self) -> Self:
        """Also load the endpoint, without fields that only its own pages need."""
        large = [f"endpoint__{name}" for name in Endpoint.LARGE]
        return self.select_related("endpoint").defer(*large)

    def in_brief(self) -> Self:
        """Skip input and output, which may be megabytes: for lists."""
        return self.with_endpoint().defer("input", "output")

    def active(self) -> Self:
        """Select the jobs that have not ended."""
        return self.filter(status__in=ACTIVE)

    def due(self) -> Self:
        """Select the jobs that are due, the most overdue first."""
        return self.filter(due_at__lte=now()).order_by("due_at")

    def held(self) -> Self:
        """Select the jobs that we hold, in the order in which they are sent."""
        pending = self.filter(status=JobStatus.PENDING)
        return pending.order_by("priority", "turn", "created_at", "id")


class Job(models.Model):
    """See docs/architecture.md for a job's life. Only `advance` changes `status`."""

    class Priority(models.IntegerChoices):
        HIGH = 0, "high"
        NORMAL = 1, "normal"
        LOW = 2, "low"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs"
    )
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="jobs")
    status = models.CharField(
        max_length=12, choices=JobStatus, default=JobStatus.PENDING, editable=False
    )
    reason = models.CharField(max_length=24, choices=Reason, blank=True, editable=False)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    input = models.JSONField()
    output = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    webhook_url = models.CharField(max_length=2000, blank=True, editable=False)
    webhook_events = models.JSONField(
        default=list, blank=True, editable=False, help_text="Empty: the end."
    )
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    error_signature = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="The message without what differs from job to job.",
    )
    is_error_retryable = models.BooleanField(default=False)
    attempt_no = models.PositiveIntegerField(default=0)
    turn = models.BigIntegerField(
        default=0,
        editable=False,
        help_text="Held jobs go by priority, then turn: owners take turns.",
    )
    unfinished_steps = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        help_text="How often in a row a step for this job began and did not end.",
    )
    progress = models.JSONField(default=dict, blank=True)
    progress_seq = models.BigIntegerField(default=0)
    revision = models.BigIntegerField(default=0, help_text="Rises with every change.")
    source_job = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="reruns"
    )
    batch = models.ForeignKey(
        Batch,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="jobs",
    )
    api_key = models.ForeignKey(
        ApiKey,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="jobs",
        help_text="The key it was created with, if any.",
    )
    batch_index = models.PositiveIntegerField(null=True, editable=False)
    is_replaced = models.BooleanField(
        default=False,
        editable=False,
        help_text="Another job of the batch stands for this item now.",
    )
    has_maybe_run_twice = models.BooleanField(default=False)
    not_found_count = models.PositiveSmallIntegerField(default=0)
    not_found_since = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, default=now, editable=False)
    moved_at = models.DateTimeField(default=now, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    uploads = models.ManyToManyField(
        Upload, related_name="jobs", editable=False, help_text="The files it needs."
    )
    cost = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        editable=False,
        help_text="US dollars, estimated from run time. Unknown without a price.",
    )
    cost_detail = models.JSONField(null=True, editable=False)
    costed_at = models.DateTimeField(null=True, editable=False)
    is_kept = models.BooleanField(
        "kept", default=False, help_text="Never deleted for its age."
    )
    deleting_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Marked: gone for everybody, while its files are being deleted.",
    )

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # The loop: what is due at an endpoint, and what is due anywhere.
            models.Index(fields=["endpoint", "status", "due_at"], name="job_due"),
            models.Index(fields=["status", "due_at"], name="job_status_due"),
            # Lists of one owner, newest first.
            models.Index(
                fields=["owner", "-created_at", "-id"], name="job_owner_newest"
            ),
            # The status of a batch and its items.
            models.Index(
                fields=["batch", "is_replaced", "status"],
                name="job_batch",
                condition=Q(batch__isnull=False),
            ),
            # The items of a batch in order.
            models.Index(
                fields=["batch", "batch_index"],
                name="job_batch_index",
                condition=Q(batch__isnull=False),
            ),
            # Jobs old enough to be deleted.
            models.Index(
                fields=["finished_at"],
                name="job_retention",
                condition=Q(finished_at__isnull=False, is_kept=False),
            ),
            # Ended jobs whose cost is not set yet.
            models.Index(
                fields=["finished_at"],
                name="job_to_cost",
                condition=Q(finished_at__isnull=False, costed_at__isnull=True),
            ),
            # Failures grouped by message, and jobs that ended in an hour.
            models.Index(
                fields=["finished_at"],
                name="job_failed",
                condition=Q(status__in=sorted(FAILURES)),
            ),
            models.Index(
                fields=["finished_at", "endpoint", "status"],
                name="job_ended",
                condition=Q(finished_at__isnull=False),
            ),
            # The next turn among the held jobs of an endpoint, and positions.
            models.Index(
                fields=["endpoint", "status", "priority", "turn", "created_at"],
                name="job_turn",
            ),
            # The last turn of one owner.
            models.Index(
                fields=["endpoint", "owner", "status", "priority", "turn"],
                name="job_owner_turn",
            ),
        ]
        constraints = [
            # The database itself refuses a job that the loop would forget.
            models.CheckConstraint(
                name="job_active_is_due",
                condition=Q(status__in=sorted(ENDS), due_at__isnull=True)
                | Q(status__in=sorted(ACTIVE), due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def has_ended(self) -> bool:
        """Whether no further move is possible."""
        return self.status in ENDS

    @property
    def is_cancellable(self) -> bool:
        """Whether a cancellation can still be requested."""
        return not self.has_ended and self.cancel_requested_at is None

    def advance(self, to: JobStatus, *, by: Actor, **changes: Any) -> bool:
        """Move to `to`, with `changes`, if the job still has the status we last read.

        Return False and change nothing if another process moved it first. The move and
        its event are saved together or not at all.
        """
        source = JobStatus(self.status)
        check_move(source, to, by)
        moved_at = now()
        changes = {
            "due_at": None if to in ENDS else moved_at + FIRST_LOOK[to],
            **({"finished_at": moved_at} if to in ENDS else {}),
            # Only the sweeper moves a job without having finished a step for it.
            **({} if by is Actor.SWEEPER else {"unfinished_steps": 0}),
            **_signed(changes),
            **changes,
            "status": to,
            "moved_at": moved_at,
        }
        here = Job.objects.filter(pk=self.pk, status=source, attempt_no=self.attempt_no)
        with transaction.atomic():
            if not here.update(**changes, revision=F("revision") + 1):
                return False
            self.events.create(
                old_status=source,
                new_status=to,
                actor=by,
                attempt_no=changes.get("attempt_no", self.attempt_no),
                note=str(changes.get("reason") or changes.get("error_code") or ""),
            )
        for name, value in changes.items():
            if not isinstance(value, CombinedExpression):
                setattr(self, name, value)
        logger.info(
            "job=%s attempt=%s %s→%s by=%s", self.pk, self.attempt_no, source, to, by
        )
        return True

    def look_again_in(self, seconds: float) -> None:
        """Make the loop handle this job again after `seconds`, unless it has moved."""
        Job.objects.active().filter(pk=self.pk, status=self.status).update(
            due_at=now() + timedelta(seconds=seconds)
        )

    @classmethod
    def seen_by(cls, user: Any, pk: UUID) -> "Job | None":
        """Return a job that `user` may see, with its endpoint but no large fields."""
        job: Job | None = _SEEN_BY[user.is_staff].first(pk=pk, user_id=user.pk)
        return job


def _signed(changes: dict[str, Any]) -> dict[str, str]:
    message = changes.get("error_message")
    return {"error_signature": signature(message)} if message else {}


def _seen_by(pk: UUID, user_id: int, *, is_staff: bool) -> JobQuerySet:
    user = get_user_model()(pk=user_id, is_staff=is_staff)
    return Job.objects.visible_to(user).filter(pk=pk).with_endpoint()


_SAMPLES = {"pk": (UUID(int=1), UUID(int=2)), "user_id": (-1, -2)}
_SEEN_BY = {
    is_staff: Prepared(partial(_seen_by, is_staff=is_staff), **_SAMPLES)
    for is_staff in (True, False)
}
