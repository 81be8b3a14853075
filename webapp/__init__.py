"""The Django project: wiring only, no decisions."""

from webapp.celery import app as celery_app

__all__ = ["celery_app"]
