"""What tests of reading items share: a batch from a file, read to its end."""

import json

from jobs.services.batching import batches, enqueuing, item_sources
from jobs.services.batching.batches import Options
from tests.factories import make_endpoint, make_upload, make_user

PAYLOAD = {"type": "object", "properties": {"payload": {"type": "array"}}}


def lines(*values) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def of_file(content=b"", name="items.ndjson", *, schema=None, source=None, **options):
    """Return a batch whose items are read from an upload."""
    endpoint = make_endpoint("numbers", input_schema=schema or {})
    upload = make_upload(content, name=name)
    whole_source = {"kind": "file", "upload": f"upload:{upload.pk}", **(source or {})}
    return begun(endpoint, whole_source, **options)


def begun(endpoint, source, **options):
    owner = make_user()
    source = item_sources.check(source, owner=owner)
    return batches.create(
        owner=owner, endpoint=endpoint, source=source, options=Options(**options)
    )


def read(batch):
    enqueuing.enqueue(batch.pk)
    batch.refresh_from_db()


def all_inputs(batch):
    """Return the input of every job, once all have been made."""
    while not (batch.enqueued_at and batch.next_index >= batch.total):
        read(batch)
        batches.feed()
        batch.refresh_from_db()
    return [job.input for job in batch.jobs.order_by("batch_index")]
