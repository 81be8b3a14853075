"""Restore the guard of ended jobs, which SQLite lost with the rebuilt table."""

from importlib import import_module

from django.db import migrations


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [("jobs", "0009_batches")]
    operations = [
        migrations.RunPython(
            import_module("jobs.migrations.0005_uploads_of_jobs").guard,
            migrations.RunPython.noop,
        ),
    ]
