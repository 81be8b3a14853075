"""Batches know their key and their cost."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0013_operating'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='api_key',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='batches', to='jobs.apikey'),
        ),
        migrations.AddField(
            model_name='batch',
            name='cost',
            field=models.DecimalField(decimal_places=6, default=0, editable=False, help_text='US dollars, of the jobs that have ended.', max_digits=14),
        ),
    ]
