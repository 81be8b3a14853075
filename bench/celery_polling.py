"""The usual way: a Celery task polls a job, saves what it heard, and comes back in 5 s.

It uses our rows and our moves, so that only the way of asking differs.
"""

import os

import django
from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from jobs.models import Attempt  # noqa: E402 - after setup
from jobs.runpod import EndpointClient  # noqa: E402
from jobs.runpod.errors import RunPodError  # noqa: E402
from jobs.services.lifecycle import sync  # noqa: E402

PAUSE = 5
app = Celery("polling")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = "polling"
clients: dict[str, EndpointClient] = {}


@app.task(name="bench.poll")
def poll(pk: str) -> None:
    attempt = Attempt.objects.select_related("job__endpoint").get(pk=pk)
    base = attempt.job.endpoint.base_url
    if base not in clients:
        clients[base] = EndpointClient(base, attempt.job.endpoint.client_key)
    try:
        heard = clients[base].status(attempt.runpod_id)
    except RunPodError as error:
        heard = error
    sync.heard(attempt.job, attempt, heard)
    if not attempt.job.has_ended:
        poll.apply_async(args=[pk], countdown=PAUSE)


if __name__ == "__main__":
    for pk in Attempt.objects.filter(job__status="IN_QUEUE").values_list(
        "pk", flat=True
    ):
        poll.apply_async(args=[str(pk)])
    print("asked", settings.CELERY_BROKER_URL[:5])
