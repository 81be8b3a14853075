"""Pages of jobs in constant memory, however large their inputs and outputs are."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Q

from jobs.models import Job
from jobs.models.text_bytes import AT_MOST, TextBytes
from jobs.services.lifecycle.job_json import Json, job_json


def jobs_json(
    jobs: Collection[Job], *, base: str, positions: dict[UUID, int]
) -> list[Json]:
    """Return jobs that were read `in_brief`, with those values that are small enough.

    `left_out` names the omitted fields; read the single job to get them. This takes two
    queries for any number of jobs.
    """
    inputs = _small("input", [job.pk for job in jobs])
    outputs = _small("output", [job.pk for job in jobs])
    rows = []
    for job in jobs:
        job.input, job.output = inputs.get(job.pk), outputs.get(job.pk)
        kept = {"input": inputs, "output": outputs}
        left_out = [name for name, values in kept.items() if job.pk not in values]
        shown = job_json(job, base=base, position=positions.get(job.pk))
        rows.append({**shown, "left_out": left_out})
    return rows


def _small(field: str, pks: list[UUID]) -> dict[UUID, Any]:
    """Return a column's values, for rows where it is null or small."""
    rows = Job.objects.filter(pk__in=pks).annotate(bytes=TextBytes(field))
    small = rows.filter(Q(bytes__lte=AT_MOST) | Q(**{f"{field}__isnull": True}))
    return dict(small.values_list("pk", field))
