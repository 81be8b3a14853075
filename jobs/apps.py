"""The app's configuration. No signals."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers the models, the admin and the tasks."""

    name = "jobs"
    verbose_name = "Slipway"
