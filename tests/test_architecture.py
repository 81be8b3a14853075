"""Taste that a machine keeps."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from jobs.states import JobStatus

ROOT = Path(__file__).parent.parent
OURS = [
    path
    for folder in ("webapp", "jobs", "worker_handler", "bench", "samples", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "migrations" not in path.parts
]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path):
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_only_advance_changes_a_status():
    """No `.status = …` anywhere, and `update(status=…)` only in the state machines."""
    allowed = {
        ROOT / "jobs" / path
        for path in (
            "models/job.py",
            "models/upload.py",
            "local_endpoint/queue.py",
            "services/notifications/webhooks.py",
        )
    }
    for path in OURS:
        text = path.read_text()
        assert not re.search(r"\b(job|attempt|upload|item)\.status\s*=[^=]", text), path
        if path not in allowed:
            assert not re.search(r"update\(\s*status=", text), path


def names_statuses(node):
    """Whether a literal is made of job statuses: `(JobStatus.A, JobStatus.B)`."""
    parts = getattr(node, "elts", ())
    return len(parts) > 1 and all(
        ast.unparse(part).startswith("JobStatus.")
        or (isinstance(part, ast.Constant) and part.value in set(JobStatus))
        for part in parts
    )


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_sets_of_statuses_have_their_names_in_one_place(path):
    if "jobs" not in path.parts or path.name == "states.py":
        return
    nodes = ast.walk(ast.parse(path.read_text()))
    assert [ast.unparse(node) for node in nodes if names_statuses(node)] == []


# They say nothing of what a variable holds.
EMPTY_NAMES = {"told", "found", "S", "some", "there", "said", "ours", "theirs", "how"}
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CLIENT = sorted((ROOT / "client").rglob("*.py"))


@pytest.mark.parametrize(
    "path", [*OURS, *CLIENT, *TESTS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_names_say_what_they_hold(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add(node.asname)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    assert names & EMPTY_NAMES == set()


def test_no_bare_save_on_our_rows():
    for path in OURS:
        if path.parent.name != "samples":
            assert not re.search(
                r"\b(job|attempt|upload|item)\.save\(\)", path.read_text()
            )


def test_the_worker_knows_nothing_of_the_web_side():
    for path in (ROOT / "worker_handler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {"django", "jobs", "webapp"} & {
                n.partition(".")[0] for n in names
            }


@pytest.mark.parametrize(
    ("document", "least"), [("docs/operating.md", 30), ("SECURITY.md", 12)]
)
def test_a_table_names_tests_that_there_are(document, least):
    text = (ROOT / document).read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > least
    missing = [
        f"{path}::{name}"
        for path, name in named
        if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


IMPORT = re.compile(
    r"\bfrom ((?:jobs|webapp|tests|bench|tools|slipway|slipway_worker)[\w.]*) import (\w+)"
)


def test_what_is_imported_inside_a_text_is_there_too():
    """Code for a shell, for another process or in a document, which no linter reads."""
    missing = []
    for folder in ("tests", "bench", "docs", "deploy", "README.md", "CONTRIBUTING.md"):
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]:
            if path.suffix not in {".py", ".md", ".sh"} or path == Path(__file__):
                continue
            for module, name in IMPORT.findall(path.read_text()):
                try:
                    exists = hasattr(importlib.import_module(module), name)
                    exists = exists or importlib.util.find_spec(f"{module}.{name}")
                except ImportError:
                    exists = False
                if not exists:
                    missing.append(f"{path.relative_to(ROOT)}: {module}.{name}")
    assert missing == []
