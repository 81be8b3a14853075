"""The version: spelled once, and the same wherever it is shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from setuptools.config.pyprojecttoml import read_configuration

from slipway import __version__
from slipway.cli import main
from tests.factories import make_user

ROOT = Path(__file__).parent.parent
PLACE = "client/slipway/__init__.py"
# What quotes other versions: history, locks, and the code of others.
ELSEWHERE = re.compile(
    r"CHANGELOG\.md|requirements/.*\.txt|worker_handler/requirements.*"
    r"|bench/node/.*|static/vendor/.*|docs/decisions/.*|jobs/migrations/.*"
)
KINDS = {".py", ".toml", ".md", ".yml", ".yaml", ".json", ".html", ".js", ".sh", ""}
FOLDERS = ("client", "jobs", "webapp", "worker_handler", "tools", "templates", "static")


def texts():
    """Return {path: text} of the repository's own files."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files += [
        *ROOT.glob("*"),
        *(ROOT / "docs").rglob("*"),
        *(ROOT / "deploy").glob("*"),
    ]
    own = {str(path.relative_to(ROOT)): path for path in files if path.is_file()}
    return {
        name: path.read_text()
        for name, path in own.items()
        if path.suffix in KINDS and not ELSEWHERE.fullmatch(name)
    }


def test_the_version_is_spelled_in_one_place():
    """Also not its beginning: `Slipway/0.1` was wrong from the next release on.

    `make release VERSION=1.2.3` is an example, whichever version it may become.
    """
    beginning = re.escape(__version__.rpartition(".")[0])
    spelled = re.compile(
        rf"(?<![\w-])(?:__version__|[Vv]ersion|[Ss]lipway(?:-client)?)[\s'\"=:/@]+v?{beginning}(?!\d)"
    )
    assert [name for name, text in texts().items() if spelled.search(text)] == [PLACE]


@pytest.mark.parametrize("project", ["pyproject.toml", "client/pyproject.toml"])
def test_both_packages_carry_it(project, monkeypatch):
    monkeypatch.chdir((ROOT / project).parent)
    assert read_configuration("pyproject.toml")["project"]["version"] == __version__


def test_the_command_says_it():
    assert CliRunner().invoke(main, ["--version"]).output.split()[-1] == __version__


@pytest.mark.django_db
def test_operators_see_it_and_strangers_do_not(client):
    assert __version__ not in client.get("/admin/login/").content.decode()
    client.force_login(make_user("boss", is_staff=True, is_superuser=True))
    assert (
        f"Operator&#x27;s panel, {__version__}"
        in client.get("/admin/").content.decode()
    )


def test_the_image_of_the_web_side_holds_all_that_it_imports(tmp_path):
    """Docker installs the requirements only: the rest is what the Dockerfile copies."""
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / source).symlink_to(ROOT / source)
    [path] = re.findall(r"PYTHONPATH=(\S+)", text)
    ask = "import manage, jobs.urls, slipway; print(slipway.__file__)"
    environment = {
        **os.environ,
        "PYTHONPATH": path.replace("/app", str(tmp_path)),
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "DATA_DIR": str(tmp_path / "data"),
    }
    run = [sys.executable, "-c", f"import django; django.setup(); {ask}"]
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
