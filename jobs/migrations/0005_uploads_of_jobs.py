"""Link jobs to the uploads in their input, and restore what rebuilding the table took.

SQLite drops the triggers of a table that a migration rebuilds.
"""

import json
import re
from importlib import import_module
from typing import Any

from django.db import migrations

_UPLOAD = re.compile(r'"upload:([0-9a-f-]{32,36})"')
AT_ONCE = 500


def link(apps: Any, schema_editor: Any) -> None:
    """Fill `Job.uploads`."""
    job_model = apps.get_model("jobs", "Job")
    existing = set(apps.get_model("jobs", "Upload").objects.values_list("pk", flat=True))
    names = {pk.hex: pk for pk in existing}
    links = []
    for pk, input in job_model.objects.values_list("pk", "input").iterator():
        found = {
            names.get(id.replace("-", "")) for id in _UPLOAD.findall(json.dumps(input))
        }
        links += [
            job_model.uploads.through(job_id=pk, upload_id=upload)
            for upload in found - {None}
        ]
    job_model.uploads.through.objects.bulk_create(links, batch_size=AT_ONCE)


def guard(apps: Any, schema_editor: Any) -> None:
    """Create the trigger anew where it is gone."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER IF EXISTS job_end_stays")
        import_module("jobs.migrations.0003_ended_jobs_stay").guard(apps, schema_editor)


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [("jobs", "0004_storage_retention")]
    operations = [
        migrations.RunPython(link, migrations.RunPython.noop),
        migrations.RunPython(guard, migrations.RunPython.noop),
    ]
