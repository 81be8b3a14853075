"""Routes below `/v2/<slug>/`."""

from django.urls import path

from jobs.local_endpoint import client_views as client
from jobs.local_endpoint import worker_views as worker

urlpatterns = [
    path("run", client.run),
    path("runsync", client.runsync),
    path("status/<str:item_id>", client.status),
    path("stream/<str:item_id>", client.stream),
    path("cancel/<str:item_id>", client.cancel),
    path("retry/<str:item_id>", client.retry),
    path("purge-queue", client.purge_queue),
    path("health", client.health),
    path("job-take/<str:worker_id>", worker.job_take),
    path("job-take-batch/<str:worker_id>", worker.job_take_batch),
    path("job-stop/<str:worker_id>", worker.job_stop),
    path("ping/<str:worker_id>", worker.ping),
    path("job-done/<str:worker_id>/<str:item_id>", worker.job_done),
    path("job-stream/<str:worker_id>/<str:item_id>", worker.job_stream),
]
