"""`make release VERSION=1.2.3`: the version, the CHANGELOG's section, commit and tag.

Without `--go` it only shows what it would do. It never pushes.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path

from tools import changelog
from tools.changelog import BadChangelog
from tools.git import GitFailed, git, line

VERSION_FILE = "client/slipway/__init__.py"
CHANGELOG = "CHANGELOG.md"
BRANCH = "main"
_SPELLED = re.compile(r'^(__version__ = ")([^"]+)(")$', re.MULTILINE)
_NUMBERS = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Refused(Exception):
    """There can be no such release; the text says why."""


def main() -> int:
    """Show the release, or make it; return 1 where it is refused."""
    parser = argparse.ArgumentParser(prog="make release")
    parser.add_argument("version", metavar="VERSION", help="for example 1.2.3")
    parser.add_argument("--go", action="store_true", help="do it (make: GO=1)")
    arguments = parser.parse_args()
    try:
        root = Path(line(Path(), "rev-parse", "--show-toplevel"))
        release(root, arguments.version, is_meant=arguments.go)
    except (Refused, BadChangelog, GitFailed) as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    return 0


def release(root: Path, version: str, *, is_meant: bool) -> None:
    """Show or make one release of the checkout `root`, or raise why not."""
    files = changed(root, version)
    tag = f"v{version}"
    notes = changelog.section(files[CHANGELOG], version)
    message = f"Slipway {version}\n\n{notes}\n"
    obstacles = " ".join(standing_in_the_way(root))
    if is_meant:
        if obstacles:
            raise Refused(obstacles)
        commit(root, files, tag, message)
        print(f"{tag} is made. Publish it: git push --atomic origin {BRANCH} {tag}")
        return
    for name, text in files.items():
        print(difference(name, (root / name).read_text(), text), end="")
    print(f"\nCommit: Release {version}\nTag: {tag}\n\n{message}")
    if obstacles:
        raise Refused(f"it would be refused now. {obstacles}")
    print(f"Nothing is changed. Do it: make release VERSION={version} GO=1")


def changed(root: Path, version: str) -> dict[str, str]:
    """Return the new text of each file that a release changes, or raise why not."""
    code, history = ((root / name).read_text() for name in (VERSION_FILE, CHANGELOG))
    spelled = _SPELLED.search(code)
    if not spelled:
        raise Refused(f"{VERSION_FILE} has no line __version__ = …")
    tags = line(root, "tag", "--list", "v*").split()
    if f"v{version}" in tags:
        raise Refused(f"The tag v{version} exists.")
    before = [*changelog.versions(history), *(tag.removeprefix("v") for tag in tags)]
    last = max(map(numbers, filter(_NUMBERS.fullmatch, before)), default=(-1,))
    # The version that the code has may still be waiting for its release.
    if numbers(version) <= last or numbers(version) < numbers(spelled[2]):
        newest = ".".join(map(str, max(last, numbers(spelled[2]))))
        raise Refused(f"{version} is not higher than {newest}.")
    day = datetime.now(UTC).date().isoformat()
    return {
        VERSION_FILE: _SPELLED.sub(rf"\g<1>{version}\g<3>", code),
        CHANGELOG: changelog.released(history, version, day),
    }


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared, or raise `Refused`."""
    parts = _NUMBERS.fullmatch(version)
    if not parts:
        raise Refused(f"{version!r} is no version: three numbers, as in 1.2.3.")
    return tuple(map(int, parts.groups()))


def standing_in_the_way(root: Path) -> Iterator[str]:
    """Yield what in the checkout forbids a release now."""
    branch = line(root, "branch", "--show-current")
    if branch != BRANCH:
        yield f"The branch is {branch or 'none'}: git switch {BRANCH}."
    if git(root, "status", "--porcelain"):
        yield "The tree is not clean: commit or stash first (git status)."


def difference(name: str, old: str, new: str) -> str:
    """Return the change of one file as a diff."""
    before, after = (text.splitlines(keepends=True) for text in (old, new))
    return "".join(unified_diff(before, after, f"a/{name}", f"b/{name}"))


def commit(root: Path, files: dict[str, str], tag: str, message: str) -> None:
    """Write, commit and tag; where Git refuses, leave all as it was."""
    before = line(root, "rev-parse", "HEAD")
    for name, text in files.items():
        (root / name).write_text(text)
    try:
        git(
            root, "commit", "--quiet", "--all", "-m", f"Release {tag.removeprefix('v')}"
        )
        # Else Git takes the headings of the section for its own comments.
        options = ("--annotate", "--cleanup=whitespace", "--file=-")
        git(root, "tag", *options, tag, given=message.encode())
    except GitFailed:
        # The tree was clean: only what was written here is lost.
        git(root, "reset", "--quiet", "--hard", before)
        raise


if __name__ == "__main__":
    sys.exit(main())
