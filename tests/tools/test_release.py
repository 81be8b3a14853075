"""A release in a throw-away repository: shown first, made whole or not at all."""

import subprocess
from datetime import UTC, datetime

import pytest

from tests.tools.conftest import ROOT

CODE = "client/slipway/__init__.py"
HEAD = "# Changelog\n\nThe form.\n\n"
NEWS = "### Added\n- A door.\n- A window.\n\n### Fixed\n- The roof."
OLD = "## [0.1.0] - 2025-01-01\n\n### Added\n- A house.\n"


@pytest.fixture
def house(repository):
    """A repository after its first release, with news."""
    repository.add(CODE, '"""Ours."""\n\n__version__ = "0.1.0"\n')
    write_news(repository, NEWS)
    return repository


def write_news(house, news, old=OLD):
    house.add("CHANGELOG.md", f"{HEAD}## [Unreleased]\n\n{news}\n\n{old}")
    house.git("commit", "--quiet", "--all", "-m", "Build")


def state(house):
    return house.git("log", "--format=%H"), house.git("tag"), house.git("diff", "HEAD")


def today():
    return datetime.now(UTC).date().isoformat()


def test_by_itself_it_only_shows(house):
    before = state(house)
    answer = house.tool("release", "0.2.0")
    assert answer.returncode == 0
    for line in (
        '-__version__ = "0.1.0"',
        '+__version__ = "0.2.0"',
        f"+## [0.2.0] - {today()}",
        "Tag: v0.2.0",
        "- The roof.",
    ):
        assert line in answer.stdout.splitlines()
    assert "make release VERSION=0.2.0 GO=1" in answer.stdout
    assert state(house) == before


def test_with_go_the_version_and_the_changelog_are_committed(house):
    answer = house.tool("release", "0.2.0", "--go")
    assert answer.returncode == 0, answer.stderr
    assert house.read(CODE) == '"""Ours."""\n\n__version__ = "0.2.0"\n'
    section = f"## [0.2.0] - {today()}\n\n{NEWS}"
    assert house.read("CHANGELOG.md") == f"{HEAD}## [Unreleased]\n\n{section}\n\n{OLD}"
    assert house.git("log", "-1", "--format=%s") == "Release 0.2.0"
    assert house.git("status", "--porcelain") == ""


def test_the_tag_is_annotated_with_the_section_and_its_headings(house):
    house.tool("release", "0.2.0", "--go")
    assert house.git("cat-file", "-t", "v0.2.0") == "tag"
    message = house.git("tag", "--list", "v0.2.0", "--format=%(contents)")
    assert message == f"Slipway 0.2.0\n\n{NEWS}"
    assert house.git("rev-parse", "v0.2.0^{commit}") == house.git("rev-parse", "HEAD")


def test_nothing_is_pushed_and_the_command_is_told(house, tmp_path_factory):
    remote = tmp_path_factory.mktemp("remote")
    house.git("init", "--quiet", "--bare", str(remote))
    house.git("remote", "add", "origin", str(remote))
    answer = house.tool("release", "0.2.0", "--go")
    assert house.git("ls-remote", "origin") == ""
    command = answer.stdout.strip().partition("git ")[2].split()
    house.git(*command)
    assert "refs/tags/v0.2.0" in house.git("ls-remote", "origin")


def test_one_release_follows_another(house):
    assert house.tool("release", "0.9.0", "--go").returncode == 0
    write_news(house, "- A cellar.", house.read("CHANGELOG.md").partition("]\n\n")[2])
    assert house.tool("release", "0.10.0", "--go").returncode == 0
    assert house.git("tag").split() == ["v0.10.0", "v0.9.0"]
    assert "- A door." not in house.git("tag", "-l", "v0.10.0", "--format=%(contents)")


def test_the_first_release_may_be_the_version_that_the_code_has(house):
    write_news(house, NEWS, old="")
    assert house.tool("release", "0.1.0", "--go").returncode == 0
    assert house.git("tag") == "v0.1.0"


def a_change_that_is_not_committed(house):
    house.write(CODE, house.read(CODE) + "x = 1\n")


def a_file_that_is_not_added(house):
    house.write("new.py", "")


def another_branch(house):
    house.git("switch", "--quiet", "--create", "attic")


def no_branch(house):
    house.git("switch", "--quiet", "--detach")


def the_tag(house):
    house.git("tag", "v0.2.0")


def a_newer_tag(house):
    house.git("tag", "v0.3.0")


def no_news(house):
    write_news(house, "")


def headings_without_news(house):
    write_news(house, "### Added\n\n### Fixed\n")


def no_section(house):
    house.add("CHANGELOG.md", HEAD + OLD)
    house.git("commit", "--quiet", "-m", "Forget")


@pytest.mark.parametrize("go", [(), ("--go",)], ids=["shown", "meant"])
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (a_change_that_is_not_committed, "not clean"),
        (a_file_that_is_not_added, "not clean"),
        (another_branch, "The branch is attic"),
        (no_branch, "The branch is none"),
        (the_tag, "The tag v0.2.0 exists"),
        (a_newer_tag, "0.2.0 is not higher than 0.3.0"),
        (no_news, "Nothing stands under [Unreleased]"),
        (headings_without_news, "Nothing stands under [Unreleased]"),
        (no_section, "no section [Unreleased]"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_changes(house, trouble, words, go):
    trouble(house)
    before = state(house)
    answer = house.tool("release", "0.2.0", *go)
    assert (answer.returncode, words in answer.stderr) == (1, True), answer.stderr
    assert state(house) == before


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "0.2", "v0.2.0", "0.02.0", ""])
def test_a_version_that_is_none_or_not_higher_is_refused(house, version):
    before = state(house)
    answer = house.tool("release", "--go", "--", version)
    assert answer.returncode == 1
    assert "not higher" in answer.stderr or "no version" in answer.stderr
    assert state(house) == before


def test_a_code_that_is_ahead_of_the_changelog_counts_too(house):
    house.add(CODE, '__version__ = "0.5.0"\n')
    house.git("commit", "--quiet", "-m", "Jump")
    assert "not higher than 0.5.0" in house.tool("release", "0.4.0").stderr


@pytest.mark.parametrize("hook", ["pre-commit", "reference-transaction"])
def test_where_git_refuses_all_is_as_before(house, hook):
    """By a hook for the commit, or for the tag when the commit is already made."""
    before = state(house)
    script = house.folder / ".git" / "hooks" / hook
    script.write_text(
        "#!/bin/sh\necho the hook says no >&2\n"
        + ("exit 1\n" if hook == "pre-commit" else "! grep -q refs/tags/\n")
    )
    script.chmod(0o755)
    answer = house.tool("release", "0.2.0", "--go")
    assert answer.returncode == 1
    assert "hook" in answer.stderr
    assert state(house) == before
    assert house.git("status", "--porcelain") == ""


def test_make_means_it_only_with_go():
    def last_line(*words):
        command = ["make", "--dry-run", "--no-print-directory", "release"]
        command += ["VERSION=9.9.9", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.stdout.splitlines()[-1]

    assert last_line().endswith('tools.release  -- "9.9.9"')
    assert last_line("GO=1").endswith('tools.release --go -- "9.9.9"')
    assert last_line("GO=0") == last_line()
