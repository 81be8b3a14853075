"""`manage.py doctor [SLUG]`: try out what this installation stands on, or one endpoint.

With a slug: why its jobs do not run, in a sentence, with the evidence and the next step.
"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from jobs.lib import conf
from jobs.management.slugs import endpoint_named
from jobs.models import Endpoint
from jobs.services.files import bucket_checks
from jobs.services.files.bucket_checks import Finding
from jobs.services.operations import diagnosis, sampling
from jobs.storage import StoreError, local

GIB = 1024**3


class Command(BaseCommand):
    """Check database, disk and bucket. Exit code 1 when something needs doing."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("slug", nargs="?", default="")
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *, json: bool, slug: str, **_: Any) -> None:
        """Print the findings."""
        findings = [_endpoint(slug)] if slug else list(_findings())
        self.stdout.write(_as_json(findings) if json else _as_text(findings))
        wrong = sum(not finding.is_ok for finding in findings)
        if wrong:
            raise CommandError(f"{wrong} of {len(findings)} checks need you.")


def _findings() -> Iterator[Finding]:
    yield _database()
    yield _disk()
    if settings.S3_BUCKET:
        yield from bucket_checks.run()
    else:
        yield Finding("bucket", "S3_BUCKET is not set: files are kept on the disk.")
    for slug in Endpoint.objects.values_list("slug", flat=True):
        yield _endpoint(slug)


def _endpoint(slug: str) -> Finding:
    endpoint = endpoint_named(slug)
    sampling.sample(endpoint, is_asked=True)
    verdict = diagnosis.of(endpoint)
    if verdict is None:
        return Finding(slug, "Nothing waits, and nothing is wrong.")
    text = f"{verdict.sentence} [{verdict.cause}: {'; '.join(verdict.evidence)}]"
    return Finding(slug, text, verdict.next_step if verdict.is_trouble else "")


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM jobs_job")
            [jobs] = cursor.fetchone() or (0,)
    except DatabaseError as error:
        text = f"{connection.vendor} does not answer ({type(error).__name__})."
        return Finding("database", text, "Check DATABASE_URL, then manage.py migrate.")
    return Finding("database", f"{connection.vendor} answers and holds {jobs} jobs.")


def _disk() -> Finding:
    try:
        local().save("doctor", [b"hello"])
        local().delete("doctor")
        free = local().free_bytes()
    except (OSError, StoreError) as error:
        text = f"{settings.STORE_DIR} cannot be written: {error}"
        return Finding("disk", text, "Give it to the user that runs Slipway.")
    text = f"{settings.STORE_DIR} has {free / GIB:.1f} GiB free."
    is_low = free < conf.DISK_RESERVE_BYTES
    return Finding("disk", text, "Free some space." if is_low else "")


def _as_json(findings: list[Finding]) -> str:
    rows = [{**vars(finding), "ok": finding.is_ok} for finding in findings]
    return json.dumps({"ok": all(row["ok"] for row in rows), "findings": rows})


def _as_text(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(
            f"{'ok ' if finding.is_ok else '-> '} {finding.name}: {finding.text}"
        )
        if finding.remedy:
            lines.append(f"    {finding.remedy}")
    return "\n".join(lines)
