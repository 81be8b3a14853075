"""`manage.py demo`: the main job without a browser; prints one JSON line."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management import BaseCommand, CommandError

from jobs.states import ENDS

READY_SECONDS = 90
JOB_SECONDS = 180
SAMPLE = "portrait-clip.mp4"


class Command(BaseCommand):
    """Upload the sample over tus, submit it, wait, download the result."""

    help = "Run the main job on a temporary installation and print its outcome as JSON."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument("--keep", help="Folder in which to leave the result.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo; exit with the reason if the job does not complete."""
        with tempfile.TemporaryDirectory(prefix="slipway-demo-") as folder:
            environment = _environment(Path(folder))
            log = Path(folder) / "up.log"
            with log.open("wb") as output:
                up = _manage("up", "--no-sample", env=environment, stdout=output)
            try:
                target = Path(options["keep"] or folder)
                outcome = _main_job(environment, up, target)
            except (httpx.HTTPError, CommandError) as error:
                raise CommandError(f"{error}\n{log.read_text()[-2000:]}") from error
            finally:
                up.send_signal(signal.SIGINT)
                up.wait()
        self.stdout.write(json.dumps(outcome))
        if outcome["status"] != "COMPLETED":
            raise CommandError(f"The job ended {outcome['status']}.")


def _environment(folder: Path) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    unwanted = {"DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "INTERNAL_URL", "HOST"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "DATA_DIR": str(folder / "data"), "PORT": str(port)}


def _manage(
    *arguments: str, env: dict[str, str], stdout: Any
) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
    return subprocess.Popen(command, env=env, stdout=stdout, stderr=subprocess.STDOUT)


def _main_job(
    environment: dict[str, str], up: subprocess.Popen[bytes], folder: Path
) -> dict[str, Any]:
    base = f"http://127.0.0.1:{environment['PORT']}"
    with httpx.Client(base_url=base, timeout=30, trust_env=False) as client:
        _wait_until_ready(client, up)
        key, _ = _manage(
            "create_api_key", "demo", "--create-user", env=environment, stdout=-1
        ).communicate()
        client.headers["Authorization"] = f"Bearer {key.decode().strip()}"
        began = time.monotonic()
        media = (settings.BASE_DIR / "samples" / SAMPLE).read_bytes()
        upload_id = _upload(client, media)
        body = {"endpoint": "anonymize", "input": {"media": f"upload:{upload_id}"}}
        created = client.post("/api/v1/jobs", json=body)
        created.raise_for_status()
        job = _wait_for_end(client, created.json()["id"])
        outputs = [_fetch(client, output, folder) for output in job["outputs"]]
    if any(output["sha256"] == hashlib.sha256(media).hexdigest() for output in outputs):
        raise CommandError("The result is the same file as the input.")
    return {
        "status": job["status"],
        "job": job["id"],
        "outputs": outputs,
        "error": job["error"],
        "seconds": round(time.monotonic() - began, 2),
    }


def _wait_until_ready(client: httpx.Client, up: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and up.poll() is None:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise CommandError("Slipway did not start.")


def _upload(client: httpx.Client, media: bytes) -> str:
    tus = {"Tus-Resumable": "1.0.0"}
    opened = client.post(
        "/uploads/tus/", headers={**tus, "Upload-Length": str(len(media))}
    )
    opened.raise_for_status()
    place = opened.headers["Location"]
    headers = {
        **tus,
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }
    client.patch(place, content=media, headers=headers).raise_for_status()
    return str(place.rpartition("/")[2])


def _wait_for_end(client: httpx.Client, id: str) -> dict[str, Any]:
    until = time.monotonic() + JOB_SECONDS
    while time.monotonic() < until:
        job: dict[str, Any] = client.get(f"/api/v1/jobs/{id}").json()
        if job["status"] in ENDS:
            return job
        time.sleep(0.2)
    raise CommandError(f"The job did not end in {JOB_SECONDS} s.")


def _fetch(
    client: httpx.Client, output: dict[str, Any], folder: Path
) -> dict[str, Any]:
    answer = client.get(output["url"], follow_redirects=True)
    answer.raise_for_status()
    if hashlib.sha256(answer.content).hexdigest() != output["sha256"]:
        raise CommandError(f"{output['name']} arrived damaged.")
    (folder / output["name"]).write_bytes(answer.content)
    return {name: output[name] for name in ("name", "content_type", "size", "sha256")}
