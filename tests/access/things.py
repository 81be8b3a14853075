"""What one person has: each thing is made when it is first named."""

import uuid
from datetime import timedelta
from functools import cached_property

from django.utils.timezone import now

from jobs.lib import links
from jobs.models import ApiKey, Artifact, LocalWorker, QueueItem
from jobs.services.files import downloads, uploads
from jobs.services.files.artifact_links import output_path
from jobs.services.notifications import subscriptions, webhooks
from jobs.storage import LOCAL, local
from tests.factories import (
    PNG,
    make_batch,
    make_endpoint,
    make_job,
    make_local,
    make_upload,
)

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {
        "text": {"type": "string"},
        "media": {"type": "string", "x-widget": "file", "x-accept": ["image/png"]},
    },
}
HOUR = timedelta(hours=1)


class Things:
    """The rows of `owner`; `name` makes the endpoints' names different."""

    def __init__(self, owner, name):
        self.owner, self.name_ = owner, name

    # --- where jobs run ---------------------------------------------------------------
    @cached_property
    def endpoint(self):
        """An endpoint whose RunPod key is not set: nothing leaves this machine."""
        fields = {"key_name": "NONE", "input_schema": SCHEMA}
        return make_endpoint(f"cloud-{self.name_}", **fields)

    @cached_property
    def local(self):
        return make_local(f"local-{self.name_}")

    @cached_property
    def free_slug(self):
        """An endpoint that takes any input, as Cortex's programs send groups."""
        return make_endpoint(f"free-{self.name_}", key_name="NONE").slug

    @property
    def slug(self):
        return self.endpoint.slug

    @property
    def local_slug(self):
        return self.local.slug

    @property
    def crowded_slug(self):
        """The local endpoint, while something waits there."""
        self.item_id  # noqa: B018 - is made
        return self.local.slug

    # --- jobs, batches, files ---------------------------------------------------------
    @cached_property
    def job(self):
        """A job that has ended, with a file."""
        fields = {"input": {"text": f"secret of {self.name_}"}, "finished_at": now()}
        job = make_job("COMPLETED", owner=self.owner, endpoint=self.endpoint, **fields)
        key = f"out/{job.pk.hex}/1/{uuid.uuid4().hex}"
        local().save(key, [PNG])
        Artifact.objects.create(
            attempt=job.attempts.get(),
            name=self.file_name,
            content_type="image/png",
            size=len(PNG),
            sha256="0" * 64,
            key=key,
        )
        return job

    @property
    def job_id(self):
        return self.job.pk

    @cached_property
    def waiting_job_id(self):
        return make_job(owner=self.owner, endpoint=self.endpoint).pk

    file_name = "out.png"

    @cached_property
    def batch_id(self):
        items = [{"text": "one"}]
        return make_batch(items, owner=self.owner, endpoint=self.endpoint).pk

    @cached_property
    def upload_id(self):
        return make_upload(owner=self.owner).pk

    @cached_property
    def unfinished_id(self):
        """An upload of four bytes, of which none is here."""
        fields = {"filename": "in.bin", "size": 4, "to": LOCAL}
        return uploads.open_upload(owner=self.owner, **fields).pk

    # --- the account ------------------------------------------------------------------
    @cached_property
    def key_id(self):
        return ApiKey.issue(owner=self.owner, name="mine")[0].pk

    @cached_property
    def hook(self):
        fields = {"url": "https://example.com/", "events": []}
        return subscriptions.subscribe(self.owner, **fields)

    @property
    def webhook_id(self):
        return self.hook.pk

    name = webhook_id  # as the pages call it

    @cached_property
    def delivery_id(self):
        return webhooks.send_test(self.hook).pk

    # --- at the local endpoint --------------------------------------------------------
    @property
    def worker_id(self):
        return self.worker.pk

    @property
    def taker_id(self):
        """The worker, while something waits for it."""
        self.item_id  # noqa: B018 - is made
        return self.worker.pk

    @property
    def stopped_id(self):
        """The worker, while it is to stop something."""
        self.stopped_item_id  # noqa: B018 - is made
        return self.worker.pk

    @cached_property
    def worker(self):
        name = f"worker-{self.name_}"
        return LocalWorker.objects.create(id=name, queue=self.local.queue_name)

    def item(self, status, **fields):
        """Return the id of a queue item."""
        return QueueItem.objects.create(
            endpoint_slug=self.local.slug,
            queue=self.local.queue_name,
            status=status,
            input={"a": 1},
            expires_at=now() + HOUR,
            **fields,
        ).pk

    @cached_property
    def item_id(self):
        """An item that waits."""
        return self.item("IN_QUEUE")

    @cached_property
    def done_item_id(self):
        fields = {"output": {"secret": self.name_}, "has_output": True}
        return self.item("COMPLETED", ended_at=now(), **fields)

    @cached_property
    def failed_item_id(self):
        return self.item("FAILED", ended_at=now(), error="no")

    @cached_property
    def running_item_id(self):
        return self.item("IN_PROGRESS", worker_id=self.worker.pk, taken_at=now())

    @cached_property
    def stopped_item_id(self):
        fields = {"worker_id": self.worker.pk, "is_stop_wanted": True}
        return self.item("CANCELLED", ended_at=now(), **fields)

    # --- of our own handler -----------------------------------------------------------
    @cached_property
    def attempt(self):
        fields = {"owner": self.owner, "endpoint": self.endpoint}
        return make_job("IN_PROGRESS", **fields, runpod_id="").attempts.get()

    @property
    def attempt_id(self):
        return self.attempt.pk.hex

    @cached_property
    def parted(self):
        """An attempt with a file that was opened in parts."""
        Artifact.objects.create(
            attempt=self.attempt,
            name="large.bin",
            size=4,
            key=f"out/{self.attempt_id}",
            store="s3",
            multipart_id="m",
            part_size=4,
        )
        return self.attempt.pk.hex

    # --- signed addresses -------------------------------------------------------------
    @property
    def signed(self):
        """The last part of a link to the job's file."""
        file = Artifact.objects.get(attempt__job=self.job)
        return downloads.artifact_url(file).removeprefix("/files/")

    @property
    def output(self):
        """The last part of the address of an output."""
        path = output_path(self.attempt, "new.bin", "text/plain", HOUR)
        return path.rpartition("/")[2]

    @property
    def ring(self):
        """The last part of the address that RunPod rings at."""
        return links.sign(links.DOORBELL, self.attempt_id, lives=HOUR)
