"""Which files the gate refuses, before they are in everybody's clone for ever."""

import subprocess

import pytest

from tests.tools.conftest import ROOT

LARGE = b"\0" * 100_001
GATE = "tracked_binaries"


def test_small_and_textual_files_pass(repository):
    repository.add("icon.png", b"\0" * 100_000)
    repository.add("requirements/runtime.txt", "a line of text\n" * 20_000)
    answer = repository.tool(GATE)
    assert (answer.returncode, answer.stdout) == (0, "")


def test_a_large_binary_file_is_refused_with_its_name_and_the_remedy(repository):
    repository.add("jobs/wéights.bin", LARGE)
    answer = repository.tool(GATE)
    assert answer.returncode == 1
    assert answer.stdout.startswith("jobs/wéights.bin (100,001 bytes) is tracked: ")
    assert "git rm --cached" in answer.stdout
    repository.git("rm", "--cached", "jobs/wéights.bin")
    assert repository.tool(GATE).returncode == 0


@pytest.mark.parametrize(
    "folder", ["samples", "docs/images", "static/vendor", "tests/data"]
)
def test_a_large_binary_file_may_lie_in_its_place(repository, folder):
    repository.add(f"{folder}/large.bin", LARGE)
    assert repository.tool(GATE).returncode == 0
    repository.add(f"elsewhere/{folder}/large.bin", LARGE)
    assert repository.tool(GATE).returncode == 1


@pytest.mark.parametrize(
    "name",
    [
        "a-1.0-py3-none-any.whl",
        "samples/a.WHL",
        "tests/data/a.zip",
        "a-1.0.tar.gz",
        "a.egg",
        "a.tgz",
        "a.tar.xz",
    ],
)
def test_a_package_archive_is_refused_everywhere_however_small(repository, name):
    repository.add(name, "small")
    answer = repository.tool(GATE)
    assert answer.returncode == 1
    assert name in answer.stdout
    assert ".gitignore" in answer.stdout


def test_each_refused_file_is_named(repository):
    for name in ("one.whl", "two.bin"):
        repository.add(name, LARGE)
    lines = repository.tool(GATE).stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["one.whl", "two.bin"]


def test_what_is_not_tracked_is_no_concern(repository):
    repository.write("large.bin", LARGE)
    repository.write("a.whl", LARGE)
    assert repository.tool(GATE).returncode == 0


def test_a_file_is_judged_as_it_will_be_committed(repository):
    repository.add("large.bin", LARGE)
    (repository.folder / "large.bin").unlink()
    assert repository.tool(GATE).returncode == 1


def test_the_whole_repository_is_looked_at_from_any_folder(repository):
    repository.add("large.bin", LARGE)
    repository.add("docs/small.md", "small")
    assert repository.tool(GATE, "docs").returncode == 1


def test_a_repository_inside_is_not_looked_into(repository):
    commit = "1234567890123456789012345678901234567890"
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
    assert repository.tool(GATE).returncode == 0


def test_an_unpacked_archive_of_the_source_passes(tmp_path, repository):
    (tmp_path / ".git").rename(tmp_path / "moved")
    answer = repository.tool(GATE)
    assert answer.returncode == 0
    assert "no Git checkout" in answer.stdout


def test_trouble_with_git_never_passes_for_clean(repository):
    repository.write(".git/HEAD", "broken")
    assert repository.tool(GATE).returncode != 0


def test_both_checks_of_the_makefile_run_the_gate():
    for target in ("check", "check-fast"):
        command = ["make", "--dry-run", target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert f"python -m tools.{GATE}\n" in done.stdout
