"""Which processes make up a running Slipway, and how each is started."""

import json
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings

from jobs.local_endpoint import workers
from jobs.management.processes import Child
from jobs.models import Endpoint
from jobs.services.people.bootstrap import LOCAL_QUEUE

HANDLER = Path("worker_handler") / "handler.py"


def read_runners() -> list[dict[str, Any]]:
    """Ask the handler which runners it has and what their input looks like."""
    command = [sys.executable, str(settings.BASE_DIR / HANDLER), "--schema"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    runners: list[dict[str, Any]] = json.loads(printed)
    return runners


def own_url() -> str:
    """Return the address at which processes on this machine reach the web process."""
    host = "127.0.0.1" if settings.HOST in {"0.0.0.0", "::"} else settings.HOST  # noqa: S104
    return f"http://{host}:{settings.PORT}"


def children(logs: Path) -> list[Child]:
    """Return web, tasks, beat and one GPU worker."""
    logs.mkdir(parents=True, exist_ok=True)
    return [
        Child("web", _web(), logs / "web.log"),
        Child("tasks", _celery("worker"), logs / "tasks.log"),
        Child("beat", _celery("beat"), logs / "beat.log"),
        Child(
            "gpu",
            [sys.executable, "-u", str(settings.BASE_DIR / HANDLER)],
            logs / "gpu.log",
            gpu_environment,
        ),
    ]


def _web() -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "webapp.asgi:application"),
        *("--worker-class", "uvicorn_worker.UvicornWorker"),
        *("--bind", f"{settings.HOST}:{settings.PORT}"),
        *("--workers", "1", "--timeout", "120", "--graceful-timeout", "2"),
        *("--log-level", "warning", "--no-control-socket"),
        # Django alone decides whether a proxy is believed (TRUST_PROXY).
        *("--forwarded-allow-ips", ""),
    ]


def _celery(kind: str) -> list[str]:
    common = [sys.executable, "-m", "celery", "-A", "webapp", "-q", kind, "-l", "INFO"]
    if kind == "beat":
        schedule = settings.DATA_DIR / "beat-schedule"
        return [*common, "--schedule", str(schedule), "--pidfile="]
    # Tasks wait for the network, not for a processor: threads of one process.
    return [
        *(*common, "--pool", "threads", "--concurrency", "6"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def gpu_environment() -> dict[str, str]:
    """Return what makes an SDK worker take jobs from our local endpoint.

    Called at every start of the worker, so the one before is gone: its jobs go back to
    the queue at once. The new one gets a new id, and pings that name the old are ignored.
    """
    prefix = f"up-{socket.gethostname()}-"
    workers.retire(prefix)
    endpoint = Endpoint.objects.filter(
        kind=Endpoint.Kind.LOCAL, queue=LOCAL_QUEUE
    ).earliest("pk")
    base = f"{own_url()}/v2/{endpoint.slug}"
    home = settings.DATA_DIR / "gpu-home"
    home.mkdir(exist_ok=True)
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=LOCAL",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=LOCAL",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=LOCAL",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=LOCAL",
        "RUNPOD_AI_API_KEY": endpoint.worker_key,
        "RUNPOD_POD_ID": f"{prefix}{uuid.uuid4().hex[:12]}",
        "RUNPOD_LOG_LEVEL": "INFO",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "SLIPWAY_URL": own_url(),
        # The SDK would take a key from ~/.runpod before ours.
        "HOME": str(home),
    }
