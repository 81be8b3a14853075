"""The commands of docker-compose.yml, outside a container: web, tasks, beat, gpu."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from jobs.management.processes import end_with_parent
from tests.stack.stack import ROOT, create, free_port, until, wait_until

pytestmark = pytest.mark.stack


class Services:
    """The services of docker-compose.yml as processes of this machine."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DATA_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORT": self.url.rpartition(":")[2],
            "PUBLIC_URL": self.url,
            "SECRET_KEY": "deploy-test-0123456789-abcdefghijklmnopqrstuvwxyz",
            "HANDLER": str(ROOT / "worker_handler" / "handler.py"),
            "SLIPWAY_URL": self.url,
            "SLIPWAY_ENDPOINT": "echo",
            "HOME": str(folder),
            **environment,
        }
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(ROOT / "deploy" / name)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self.started.append(process)

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        return False

    def stop(self) -> None:
        for number in (15, 9):
            for process in self.started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            for process in self.started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)


@pytest.fixture
def services(tmp_path, installations):
    """Start web, then an endpoint, then the rest with that endpoint's key."""
    folder = tmp_path / "data"
    services = Services(folder, **installations.services(folder))
    services.start("web")
    wait_until(services.is_ready)
    code = (
        "from jobs.models import Endpoint;"
        "Endpoint.objects.create(slug='echo',title='Echo',kind='local',runner='echo')"
    )
    services.manage("shell", "-v", "0", "-c", code)
    printed = services.manage("worker_env", "echo").splitlines()
    key = dict(line.split("=", 1) for line in printed)["SLIPWAY_WORKER_KEY"]
    services.environment["SLIPWAY_WORKER_KEY"] = key.strip("'")
    plain = services.manage("worker_env", "echo", "--docker").splitlines()
    assert plain == [line.replace("'", "") for line in printed]
    for name in ("tasks", "beat", "gpu"):
        services.start(name)
    yield services
    services.stop()


@pytest.mark.smoke
def test_each_services_command_does_its_part(services):
    key = services.manage("create_api_key", "tester", "--create-user")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(
        base_url=services.url, headers=headers, trust_env=False
    ) as client:
        job = until(client, create(client, "echo", message="deployed"))
        assert (job["status"], job["output"]) == ("COMPLETED", {"message": "deployed"})
        css = client.get("/static/css/app.css")
        assert css.headers["Content-Type"].startswith("text/css")


def test_the_schema_is_taken_from_a_running_worker(services):
    schema = json.loads(services.manage("fetch_schema", "echo"))
    assert set(schema["properties"]) == {"message", "seconds", "megabytes", "error"}
    key = services.manage("create_api_key", "tester", "--create-user")
    response = httpx.get(
        f"{services.url}/api/v1/endpoints/echo",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    assert response.json()["input_schema"] == schema


def test_the_compose_file_names_a_command_that_exists_for_every_service():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("web", "tasks", "beat"):
        assert f"command: deploy/{name}" in text
        assert os.access(ROOT / "deploy" / name, os.X_OK)
