"""Is the process alive, and can it work?"""

from celery import current_app
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from jobs.storage import StoreError, store


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process runs."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Check database, store and broker; name what is down, with 503.

    A missing broker costs seconds, not jobs, so it is reported but does not fail.
    """
    parts = {"database": _database(), "store": _store(), "broker": _broker()}
    is_ready = parts["database"] == parts["store"] == "ok"
    return JsonResponse(
        {"ready": is_ready, "parts": parts}, status=200 if is_ready else 503
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM jobs_job WHERE 1 = 0")
    except DatabaseError as error:
        return type(error).__name__
    return "ok"


def _store() -> str:
    try:
        store().size("readyz")
    except (OSError, StoreError) as error:
        return type(error).__name__
    return "ok"


def _broker() -> str:
    try:
        with current_app.connection_for_write(connect_timeout=0.5) as broker:
            broker.ensure_connection(max_retries=1, timeout=1)
    except Exception as error:  # noqa: BLE001 - brokers raise what they like
        return type(error).__name__
    return "ok"
