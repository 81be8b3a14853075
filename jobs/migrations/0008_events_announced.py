"""Announce nothing that happened before there were webhooks; restore the guard."""

from importlib import import_module
from typing import Any

from django.db import migrations


def call_announced(apps: Any, schema_editor: Any) -> None:
    """Mark every event there is."""
    apps.get_model("jobs", "JobEvent").objects.update(is_announced=True)


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [("jobs", "0007_webhooks")]
    operations = [
        migrations.RunPython(call_announced, migrations.RunPython.noop),
        migrations.RunPython(
            import_module("jobs.migrations.0005_uploads_of_jobs").guard,
            migrations.RunPython.noop,
        ),
    ]
