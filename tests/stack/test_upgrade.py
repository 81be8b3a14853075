"""An installation that was made step by step has what a new one has."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.stack.stack import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
SETTINGS = """
from webapp.settings import *
MIGRATION_MODULES = {"jobs": "steps"}
"""


@pytest.fixture
def migrate(tmp_path):
    """Migrate the database in a folder; return what was printed."""
    shutil.copytree(
        ROOT / "jobs" / "migrations",
        tmp_path / "steps",
        ignore=shutil.ignore_patterns("*_squashed_*", "__pycache__"),
    )
    (tmp_path / "stepwise.py").write_text(SETTINGS)

    def run(folder, settings="webapp.settings"):
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "manage.py", "migrate"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(tmp_path),
                "DATA_DIR": str(folder),
                "DJANGO_SETTINGS_MODULE": settings,
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    return run


def schema(folder):
    """Return tables (their columns in any order), indexes and triggers."""
    with sqlite3.connect(folder / "db.sqlite3") as database:
        rows = database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        prices = database.execute(
            "SELECT pool FROM jobs_gpuprice ORDER BY 1"
        ).fetchall()
    database.close()
    parts = {(kind, name): _parts(sql or "") for kind, name, sql in rows}
    return parts, prices


def _parts(sql):
    return sorted(piece.strip(" ()") for piece in re.sub(r"\s+", " ", sql).split(","))


def test_the_steps_end_where_a_new_installation_begins(migrate, tmp_path):
    stepwise, new = tmp_path / "stepwise", tmp_path / "new"
    assert "0005_uploads_of_jobs" in migrate(stepwise, "stepwise")
    assert "No migrations to apply" in migrate(stepwise)
    assert "0001_squashed_0017_names" in migrate(new)
    assert schema(stepwise) == schema(new)
