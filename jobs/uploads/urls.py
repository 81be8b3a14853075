"""Routes below `/uploads/` that carry bytes, or say where they go."""

from django.urls import path

from jobs.uploads import open_views, tus_views

PART = "s3/multipart/<uuid:upload_id>"

urlpatterns = [
    path("tus/", tus_views.create, name="tus"),
    path("tus/<uuid:upload_id>", tus_views.resource, name="tus_upload"),
    path("open", open_views.open_upload, name="open_upload"),
    path("s3/multipart", open_views.create, name="multipart"),
    path(PART, open_views.resource, name="multipart_upload"),
    path(f"{PART}/sign", open_views.sign),
    path(f"{PART}/complete", open_views.complete),
]
