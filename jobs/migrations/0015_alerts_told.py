"""Operators are told of alerts; endpoints keep what was found about them."""

from typing import Any

from django.db import migrations, models


def old_ones_are_known(apps: Any, schema_editor: Any) -> None:
    """Do not tell of alerts from before there was telling."""
    alerts = apps.get_model("jobs", "Alert").objects
    alerts.update(told_at=models.F("raised_at"), over_told_at=models.F("resolved_at"))


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [
        ('jobs', '0014_batch_cost'),
    ]

    operations = [
        migrations.AddField(
            model_name='alert',
            name='mail_tries',
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='alert',
            name='over_told_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='alert',
            name='told_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='diagnosis',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.RunPython(old_ones_are_known, migrations.RunPython.noop),
    ]
