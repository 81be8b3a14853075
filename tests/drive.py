"""Takes one step for one job, as the loop does, over a blocking client."""

from typing import Any

from jobs.models import Attempt, Job
from jobs.runpod import EndpointClient
from jobs.runpod.errors import RunPodError
from jobs.services.lifecycle import reconcile, submission, sync
from jobs.states import REMOTE


def submit(job: Job, client: EndpointClient) -> Job:
    """Hand a held job over."""
    sending = submission.prepare(job)
    if sending:
        submission.heard(
            sending,
            heard(
                lambda: client.run(
                    sending.input, policy=sending.policy, webhook=sending.webhook
                )
            ),
        )
    job.refresh_from_db()
    return job


def look(job: Job, client: EndpointClient) -> Job:
    """Take the step a job needs now."""
    job = Job.objects.select_related("endpoint").get(pk=job.pk)
    if job.status == "PENDING":
        return submit(job, client)
    attempt = job.attempts.filter(number=job.attempt_no).first()
    if job.status in REMOTE and attempt and attempt.runpod_id:
        if job.cancel_requested_at:
            heard(lambda: client.cancel(attempt.runpod_id))
        outcome = heard(lambda: client.status(attempt.runpod_id))
        attempt = Attempt.objects.select_related("job__endpoint").get(pk=attempt.pk)
        sync.heard(attempt.job, attempt, outcome)
    else:
        reconcile.step(job)
    job.refresh_from_db()
    return job


def heard(call: Any) -> Any:
    """Return a call's answer, or the error it raised."""
    try:
        return call()
    except RunPodError as error:
        return error
