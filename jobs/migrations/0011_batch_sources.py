"""Items of batches from files and buckets; signatures of errors."""

from importlib import import_module
from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


def came_whole(apps: Any, schema_editor: Any) -> None:
    """So far all items came with the request."""
    batches = apps.get_model("jobs", "Batch").objects
    batches.update(enqueued_at=models.F("created_at"), enqueue_due_at=None)


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [
        ('jobs', '0010_guard_again'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='batch_size',
            field=models.PositiveIntegerField(help_text="Items in one job's `payload`. Blank: a job is one item.", null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='completion',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='jobs.job'),
        ),
        migrations.AddField(
            model_name='batch',
            name='config',
            field=models.JSONField(blank=True, default=dict, help_text="Wins over the endpoint's own."),
        ),
        migrations.AddField(
            model_name='batch',
            name='cursor',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='enqueue_due_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='enqueue_error',
            field=models.CharField(blank=True, editable=False, max_length=500),
        ),
        migrations.AddField(
            model_name='batch',
            name='enqueue_tries',
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='enqueued_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='has_completion',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='is_timed_out',
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='max_attempts',
            field=models.PositiveSmallIntegerField(help_text="Of each job, whatever its error. Blank: the endpoint's.", null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='source',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='timeout_seconds',
            field=models.PositiveIntegerField(help_text='From its creation on; what has not ended then is stopped.', null=True),
        ),
        migrations.AddField(
            model_name='batchchunk',
            name='problems',
            field=models.JSONField(default=dict, help_text='{place in items: why it cannot become a job}'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='config',
            field=models.JSONField(blank=True, default=dict, help_text="What a batch handler is given; a batch's own config wins, key by key."),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='overflow',
            field=models.ForeignKey(blank=True, help_text='An endpoint with the same handler that takes a part of large batches.', null=True, on_delete=django.db.models.deletion.SET_NULL, to='jobs.endpoint'),
        ),
        migrations.AddField(
            model_name='job',
            name='error_signature',
            field=models.CharField(blank=True, editable=False, help_text='The message without what differs from job to job.', max_length=200),
        ),
        migrations.AlterField(
            model_name='batch',
            name='next_index',
            field=models.PositiveIntegerField(default=0, help_text='Those before this one have been made.'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='total',
            field=models.PositiveIntegerField(default=0, help_text='Jobs, as far as the source has been read.'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch', 'batch_index'], name='job_batch_index'),
        ),
        migrations.RunPython(came_whole, migrations.RunPython.noop),
        migrations.RunPython(
            import_module("jobs.migrations.0005_uploads_of_jobs").guard,
            migrations.RunPython.noop,
        ),
    ]
