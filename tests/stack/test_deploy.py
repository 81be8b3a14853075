"""The commands of docker-compose.yml, outside a container: web, tasks, beat, gpu."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.stack.stack import ROOT, create, free_port, until, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def services(tmp_path, own_database):
    """Start each service's own command; yield (url, run a management command)."""
    url = f"http://127.0.0.1:{free_port()}"
    folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DATA_DIR": str(tmp_path),
        "HOST": "127.0.0.1",
        "PORT": url.rpartition(":")[2],
        "PUBLIC_URL": url,
        "SECRET_KEY": "deploy-test-0123456789-abcdefghijklmnopqrstuvwxyz",
        "HANDLER": str(ROOT / "worker_handler" / "handler.py"),
        "SLIPWAY_URL": url,
        "SLIPWAY_ENDPOINT": "echo",
        "HOME": str(tmp_path),
        **own_database(),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    started = []

    def start(name):
        with (tmp_path / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [str(ROOT / "deploy" / name)],
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def manage(*arguments):
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def is_ready():
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/readyz", trust_env=False).is_success
        return False

    start("web")
    wait_until(is_ready)
    manage(
        "shell", "-v", "0", "-c",
        "from jobs.models import Endpoint;"
        "Endpoint.objects.create(slug='echo',title='Echo',kind='local',runner='echo')",
    )  # fmt: skip
    lines = dict(
        line.split("=", 1) for line in manage("worker_env", "echo").splitlines()
    )
    environment["SLIPWAY_WORKER_KEY"] = lines["SLIPWAY_WORKER_KEY"].strip("'")
    for name in ("tasks", "beat", "gpu"):
        start(name)
    yield url, manage
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
    for process in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def test_each_services_command_does_its_part(services):
    url, manage = services
    key = manage("create_api_key", "tester", "--create-user")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        job = until(client, create(client, "echo", message="deployed"))
        assert (job["status"], job["output"]) == ("COMPLETED", {"message": "deployed"})
        css = client.get("/static/css/app.css")
        assert css.headers["Content-Type"].startswith("text/css")


def test_the_compose_file_names_a_command_that_exists_for_every_service():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("web", "tasks", "beat"):
        assert f"command: deploy/{name}" in text
        assert os.access(ROOT / "deploy" / name, os.X_OK)
