"""Failed items are run again a few at a time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See the module."""

    dependencies = [
        ('jobs', '0011_batch_sources'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='retry_only',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='batch',
            name='retry_requested_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
