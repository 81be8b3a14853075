"""RunPod's webhook rings here. Its body is never read: it only makes us look."""

from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from jobs import links, nudge
from jobs.errors import LinkRefused, NotFound
from jobs.models import Job
from jobs.services import attempts


@csrf_exempt
@require_POST
def runpod(request: HttpRequest, secret: str) -> HttpResponse:
    """Look at the job now; 404 when the secret is not ours."""
    try:
        attempt = attempts.find(links.read(links.DOORBELL, secret))
    except (LinkRefused, NotFound):
        return HttpResponse(status=404)
    if Job.objects.active().filter(pk=attempt.job_id).update(due_at=now()):
        nudge.job(attempt.job_id)
    return HttpResponse()
