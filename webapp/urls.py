"""Mounts the doors: pages, JSON API, uploads, local endpoint, worker API, admin."""

from django.contrib import admin
from django.urls import include, path

from jobs.api import api, cortex
from jobs.views import errors

urlpatterns = [
    path("", include("jobs.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/batch/<slug:slug>", cortex.batch),
    path("batch/<slug:slug>", cortex.batch),
    path("api/v1/", api.urls),
    path("uploads/", include("jobs.uploads.urls")),
    path("v2/<slug:slug>/", include("jobs.local_endpoint.urls")),
    path("worker/v1/", include("jobs.worker_api.urls")),
]
handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
