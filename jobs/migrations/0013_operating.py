"""Samples, prices, costs, budgets, totals and the audit log."""

from importlib import import_module
from typing import Any

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


# Prices of flex workers as RunPod's operators noted them; the others are for them to fill in.
PRICES = {
    "AMPERE_16": ("A4000, RTX 4000, RTX 2000", 16, None),
    "AMPERE_24": ("RTX A5000, RTX 3090, L4", 24, "0.00031"),
    "ADA_24": ("RTX 4090", 24, "0.00031"),
    "AMPERE_48": ("A6000, A40", 48, "0.00053"),
    "ADA_48_PRO": ("L40, L40S, 6000 Ada", 48, "0.00053"),
    "AMPERE_80": ("A100", 80, "0.00076"),
    "ADA_80_PRO": ("H100", 80, None),
}


def seed(apps: Any, schema_editor: Any) -> None:
    """Enter the prices we know."""
    price = apps.get_model("jobs", "GpuPrice")
    for pool, (title, vram_gb, per_second) in PRICES.items():
        price.objects.get_or_create(
            pool=pool,
            defaults={"title": title, "vram_gb": vram_gb, "per_second": per_second},
        )


def old_ones_cost_nothing(apps: Any, schema_editor: Any) -> None:
    """Jobs that ended before there were prices are not reckoned afterwards."""
    from django.db.models import F

    ended = apps.get_model("jobs", "Job").objects.filter(finished_at__isnull=False)
    ended.update(costed_at=F("finished_at"))


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [
        ('jobs', '0012_batch_retry'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountSample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_name', models.CharField(blank=True, max_length=40)),
                ('taken_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('balance', models.DecimalField(decimal_places=4, max_digits=12)),
                ('spend_per_hour', models.DecimalField(decimal_places=4, max_digits=12)),
                ('spend_limit', models.DecimalField(decimal_places=2, max_digits=12, null=True)),
            ],
            options={
                'ordering': ['taken_at'],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('action', models.CharField(max_length=60)),
                ('target', models.CharField(blank=True, max_length=200)),
                ('detail', models.JSONField(blank=True, default=dict)),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit log',
                'ordering': ['-at'],
            },
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period', models.CharField(choices=[('day', 'each day'), ('month', 'each month')], default='month', max_length=8)),
                ('amount', models.DecimalField(decimal_places=2, help_text='US dollars. 0: nothing may be spent.', max_digits=10, validators=[django.core.validators.MinValueValidator(0)])),
                ('warn_percent', models.PositiveSmallIntegerField(default=80, help_text='Percent of the amount.', verbose_name='warn at')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='GpuPrice',
            fields=[
                ('pool', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='GPU tier')),
                ('title', models.CharField(blank=True, max_length=80, verbose_name='GPUs')),
                ('vram_gb', models.PositiveIntegerField(default=0, verbose_name='VRAM (GB)')),
                ('per_second', models.DecimalField(blank=True, decimal_places=7, help_text='US dollars. Blank: not known; jobs there have no cost.', max_digits=10, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='price per second')),
            ],
            options={
                'verbose_name': 'GPU price',
                'ordering': ['vram_gb', 'pool'],
            },
        ),
        migrations.CreateModel(
            name='HealthSample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('taken_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('idle', models.PositiveIntegerField(default=0)),
                ('initializing', models.PositiveIntegerField(default=0)),
                ('ready', models.PositiveIntegerField(default=0)),
                ('running', models.PositiveIntegerField(default=0)),
                ('throttled', models.PositiveIntegerField(default=0)),
                ('unhealthy', models.PositiveIntegerField(default=0)),
                ('in_queue', models.PositiveIntegerField(default=0)),
                ('in_progress', models.PositiveIntegerField(default=0)),
                ('completed', models.PositiveBigIntegerField(default=0)),
                ('failed', models.PositiveBigIntegerField(default=0)),
            ],
            options={
                'ordering': ['taken_at'],
            },
        ),
        migrations.CreateModel(
            name='JobHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('completed', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('cancelled', models.PositiveIntegerField(default=0)),
                ('timed_out', models.PositiveIntegerField(default=0)),
                ('run_p50', models.FloatField(null=True)),
                ('run_p95', models.FloatField(null=True)),
                ('wait_p50', models.FloatField(null=True)),
                ('wait_p95', models.FloatField(null=True)),
            ],
            options={
                'ordering': ['hour'],
            },
        ),
        migrations.CreateModel(
            name='Spend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('api_key_id', models.BigIntegerField(default=0)),
                ('jobs', models.PositiveBigIntegerField(default=0)),
                ('seconds', models.FloatField(default=0)),
                ('amount', models.DecimalField(decimal_places=6, default=0, max_digits=14)),
            ],
            options={
                'ordering': ['day'],
            },
        ),
        migrations.AddField(
            model_name='alert',
            name='severity',
            field=models.CharField(choices=[('error', 'error'), ('warning', 'warning')], default='error', max_length=10),
        ),
        migrations.AddField(
            model_name='alert',
            name='subject',
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='price_per_second',
            field=models.DecimalField(blank=True, decimal_places=7, help_text="US dollars for a worker's second. Blank: that of its first GPU tier with a price; on your own GPU, nothing.", max_digits=10, null=True, validators=[django.core.validators.MinValueValidator(0)]),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='remote',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='sampled_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='sight',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='job',
            name='api_key',
            field=models.ForeignKey(editable=False, help_text='The key it was created with, if any.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to='jobs.apikey'),
        ),
        migrations.AddField(
            model_name='job',
            name='cost',
            field=models.DecimalField(decimal_places=6, editable=False, help_text='US dollars, estimated from run time. Unknown without a price.', max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='cost_detail',
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='costed_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='alert',
            name='endpoint',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='jobs.endpoint'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('costed_at__isnull', True), ('finished_at__isnull', False)), fields=['finished_at'], name='job_to_cost'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('status__in', ['FAILED', 'TIMED_OUT'])), fields=['finished_at'], name='job_failed'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['finished_at', 'endpoint', 'status'], name='job_ended'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(condition=models.Q(('endpoint__isnull', True), ('resolved_at__isnull', True)), fields=('subject', 'code'), name='alert_open_once_of_subject'),
        ),
        migrations.AddIndex(
            model_name='accountsample',
            index=models.Index(fields=['key_name', 'taken_at'], name='account_newest'),
        ),
        migrations.AddField(
            model_name='auditentry',
            name='user',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='budget',
            name='api_key',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='jobs.apikey'),
        ),
        migrations.AddField(
            model_name='budget',
            name='endpoint',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='jobs.endpoint'),
        ),
        migrations.AddField(
            model_name='budget',
            name='user',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='healthsample',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='samples', to='jobs.endpoint'),
        ),
        migrations.AddField(
            model_name='jobhour',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='hours', to='jobs.endpoint'),
        ),
        migrations.AddField(
            model_name='spend',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spends', to='jobs.endpoint'),
        ),
        migrations.AddField(
            model_name='spend',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='healthsample',
            index=models.Index(fields=['endpoint', 'taken_at'], name='sample_newest'),
        ),
        migrations.AddIndex(
            model_name='healthsample',
            index=models.Index(fields=['taken_at'], name='sample_age'),
        ),
        migrations.AddConstraint(
            model_name='jobhour',
            constraint=models.UniqueConstraint(fields=('hour', 'endpoint'), name='job_hour_once'),
        ),
        migrations.AddConstraint(
            model_name='spend',
            constraint=models.UniqueConstraint(fields=('day', 'endpoint', 'user', 'api_key_id'), name='spend_once'),
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RunPython(old_ones_cost_nothing, migrations.RunPython.noop),
        migrations.RunPython(
            import_module("jobs.migrations.0005_uploads_of_jobs").guard,
            migrations.RunPython.noop,
        ),
    ]
