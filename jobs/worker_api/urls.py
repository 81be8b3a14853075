"""Routes below `/worker/v1/`. PUT of `outputs/<signed>` is in `uploads.outputs`."""

from django.urls import path

from jobs.worker_api import views

urlpatterns = [
    path("attempts/<str:attempt_id>/claim", views.claim),
    path("attempts/<str:attempt_id>/progress", views.progress),
    path("attempts/<str:attempt_id>/inputs", views.fresh_inputs),
    path("attempts/<str:attempt_id>/outputs", views.open_output),
    path("attempts/<str:attempt_id>/outputs/parts", views.output_parts),
    path("attempts/<str:attempt_id>/finish", views.finish),
]
