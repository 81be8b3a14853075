"""The mutation run itself, on a module of a few lines."""

import os
import subprocess
import sys

import pytest

from tests.mutation.modules import ROOT

COMMAND = ROOT / "tests" / "mutation" / "__main__.py"
MODULE = '''
"""What has a price."""
import logging

logger = logging.getLogger(__name__)
CHEAP = 3
FACTOR = 3


def is_cheap(price):
    """Whether anybody can pay it."""
    logger.info("asked")
    return price < CHEAP


def tripled(price):
    return price * FACTOR


def halved(price):
    return price // 2


def never_tried(price):
    return price
'''
TESTS = """
import subprocess, sys
import prices

def test_two_is_cheap_and_four_is_not():
    assert prices.is_cheap(2)
    assert not prices.is_cheap(4)

def test_five_halved_in_a_process_is_two():
    asked = "import prices; print(prices.halved(5))"
    assert subprocess.check_output([sys.executable, "-c", asked], env={}) == b"2\\n"

def test_three_times_one():
    assert prices.tripled(1) == 3

def test_that_fails_anyway():
    assert prices.tripled(2) == 7
"""
ACCEPTED = """
[[accepted]]
file = "prices.py"
function = "{function}"
before = "return price"
after = "return None"
reason = "nobody asks"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    (folder / "tests" / "test_prices.py").write_text(TESTS)
    (folder / "prices.py").write_text(MODULE)
    (folder / "accepted.toml").write_text(ACCEPTED.format(function="never_tried"))
    return folder


def run(project, *arguments, accepted="accepted.toml"):
    command = [sys.executable, COMMAND, "prices.py", "--all", *arguments]
    command += ["--accepted", project / accepted]
    # Not ours, that says where Django's settings are: this project has none.
    clean = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=project, env=clean, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def report(project):
    code, text, errors = run(project)
    assert code == 1, errors
    return text


@pytest.mark.parametrize(
    ("outcome", "edit"),
    [
        ("killed", "return price < CHEAP  =>  return price >= CHEAP"),
        ("killed", "return price // 2  =>  return price * 2"),
        ("killed", "return price * FACTOR  =>  return price / FACTOR"),
        ("killed", "FACTOR = 3  =>  FACTOR = 4"),
        ("SURVIVED", "return price < CHEAP  =>  return price <= CHEAP"),
        ("accepted", "return price  =>  return None"),
    ],
)
def test_an_edit_is_killed_survives_or_is_accepted(report, outcome, edit):
    [line] = [line for line in report.splitlines() if edit in line]
    assert line.startswith(outcome)


def test_the_table_counts_them(report):
    [row] = [
        line.split() for line in report.splitlines() if line.startswith("prices.py ")
    ]
    total, killed, _, survived, accepted = map(int, row[1:6])
    assert killed + survived == total
    assert (survived, accepted) == (report.count("SURVIVED"), 1)


def test_a_log_call_and_a_docstring_are_no_mutants(report):
    assert "logger" not in report
    assert "anybody" not in report


def test_a_test_that_fails_without_a_mutation_is_left_out_loudly(report):
    assert "LEFT OUT, it fails without a mutation: tests/test_prices.py" in report


def test_an_accepted_mutant_that_is_no_longer_there_fails_the_run(project):
    (project / "old.toml").write_text(ACCEPTED.format(function="gone"))
    code, text, errors = run(project, "--sample", "1", accepted="old.toml")
    assert code == 1, errors
    assert "STALE in old.toml" in text
