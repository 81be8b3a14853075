"""Routes below `/uploads/tus/`."""

from django.urls import path

from jobs.uploads import tus_views

urlpatterns = [
    path("", tus_views.create, name="tus"),
    path("<uuid:upload_id>", tus_views.resource, name="tus_upload"),
]
