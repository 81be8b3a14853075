"""Why nothing runs at an endpoint: gathers the facts that `causes` judges.

It reads rows only, so a page may call it. `sampling` brings in what RunPod says.
"""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Min
from django.utils.timezone import now

from jobs.models import AccountSample, Endpoint, Job, LocalWorker
from jobs.runpod.rest import RemoteWorker
from jobs.services.operations import causes, endpoints
from jobs.services.operations.alerts import OF_REACH
from jobs.services.operations.facts import Diagnosis, Facts, Seen
from jobs.states import ACTIVE, AT_BACKEND, WAITING, JobStatus

HALF_HOUR = timedelta(minutes=30)
FRESH = timedelta(minutes=15)  # how long RunPod's answers prove anything
HEARD = timedelta(minutes=1)
COUNTS = (
    *("idle", "initializing", "ready", "running", "throttled", "unhealthy"),
    *("in_queue", "in_progress", "completed", "failed"),
)


def of(endpoint: Endpoint) -> Diagnosis | None:
    """Return why nothing runs; None if nothing is wrong and no job waits."""
    return causes.find(facts_of(endpoint))


def facts_of(endpoint: Endpoint) -> Facts:
    """Gather the known facts, in a constant number of queries."""
    at = now()
    samples = _samples(endpoint, at)
    most = max((one.idle + one.running for one in samples[-1:]), default=0)
    is_local = endpoint.kind == Endpoint.Kind.LOCAL
    backend_facts = _local(endpoint, at) if is_local else _remote(endpoint, at)
    return Facts(
        at=at,
        samples=samples,
        is_local=is_local,
        is_active=endpoint.is_active,
        window=endpoints.release_window(endpoint, workers=most),
        **_ours(endpoint, at),
        **backend_facts,
    )


def _samples(endpoint: Endpoint, at: Any) -> tuple[Seen, ...]:
    rows = endpoint.samples.filter(taken_at__gte=at - HALF_HOUR).order_by("taken_at")
    return tuple(
        Seen(taken_at, **dict(zip(COUNTS, counts, strict=True)))
        for taken_at, *counts in rows.values_list("taken_at", *COUNTS)
    )


def _ours(endpoint: Endpoint, at: Any) -> dict[str, Any]:
    active = Job.objects.filter(endpoint=endpoint, status__in=ACTIVE)
    rows = (
        active.order_by()
        .values("status")
        .annotate(n=Count("pk"), first=Min("moved_at"))
    )
    by_status = {row["status"]: (row["n"], row["first"]) for row in rows}
    firsts = [by_status[status][1] for status in WAITING if status in by_status]
    counted = {status: by_status.get(status, (0,))[0] for status in JobStatus}
    return {
        "held": counted[JobStatus.PENDING],
        "at_backend": sum(counted[status] for status in AT_BACKEND),
        "in_progress": counted[JobStatus.IN_PROGRESS],
        "waiting_seconds": (at - min(firsts)).total_seconds() if firsts else 0.0,
    }


def _local(endpoint: Endpoint, at: Any) -> dict[str, Any]:
    workers = LocalWorker.objects.filter(queue=endpoint.queue_name)
    alive = workers.filter(last_seen_at__gte=at - HEARD, gone_at=None).count()
    troubled = workers.exclude(unhealthy_reason="").filter(gone_at__gte=at - FRESH)
    trouble = troubled.order_by("-gone_at").values_list("unhealthy_reason", flat=True)
    return {"local_workers": alive, "local_trouble": trouble.first() or ""}


def _remote(endpoint: Endpoint, at: Any) -> dict[str, Any]:
    observed, remote = endpoint.observed, endpoint.remote
    is_fresh = _is_fresh(observed.get("at"), at)
    is_gone = endpoints.is_gone(endpoint)
    return {
        "not_found": is_gone,
        "refusal": _refusal(endpoint, observed, is_fresh=is_fresh),
        "balance": _balance(endpoint, at),
        "has_completed": is_gone and _has_completed(endpoint),
        "is_listed": observed.get("is_listed") if is_fresh else None,
        "workers_max": observed.get("workers_max") if is_fresh else None,
        "gpu_ids": tuple(remote.get("gpu_ids") or ()),
        "has_volume": bool(remote.get("volume_id")),
        "image_gb": float(remote.get("image_gb") or 0),
        "container_disk_gb": (remote.get("template") or {}).get("container_disk_gb", 0),
        "stock": dict(observed.get("stock") or {}) if is_fresh else {},
        "workers": _workers(observed) if is_fresh else (),
        "log": tuple(observed.get("log") or ()) if is_fresh else (),
        "release": str(observed.get("release") or "") if is_fresh else "",
    }


def _is_fresh(seen_at: Any, at: Any) -> bool:
    return bool(seen_at) and str(seen_at) >= (at - FRESH).isoformat()


def _refusal(endpoint: Endpoint, observed: dict[str, Any], *, is_fresh: bool) -> str:
    alerts = endpoint.alerts.filter(resolved_at=None, code__in=OF_REACH)
    for code in alerts.values_list("code", flat=True):
        if code != "endpoint_not_found":
            return str(code)
    return str(observed.get("refusal") or "") if is_fresh else ""


def _balance(endpoint: Endpoint, at: Any) -> Any:
    newest = AccountSample.objects.filter(
        key_name=endpoint.key_name, taken_at__gte=at - HALF_HOUR
    )
    return newest.order_by("-taken_at").values_list("balance", flat=True).first()


def _has_completed(endpoint: Endpoint) -> bool:
    return Job.objects.filter(endpoint=endpoint, status=JobStatus.COMPLETED).exists()


def _workers(observed: dict[str, Any]) -> tuple[RemoteWorker, ...]:
    return tuple(RemoteWorker(**one) for one in observed.get("workers") or ())
