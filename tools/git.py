"""Git, as far as our tools need it."""

import subprocess
from pathlib import Path


class GitFailed(Exception):
    """Git refused; the text is its own."""


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Run Git in a folder and return what it prints, or raise `GitFailed`."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise GitFailed(words or f"git {arguments[0]} ended with {done.returncode}.")
    return done.stdout


def line(folder: Path, *arguments: str) -> str:
    """Return what Git prints, as text without the end of its line."""
    return git(folder, *arguments).decode().strip()


def is_tracked(folder: Path) -> bool:
    """Whether a folder lies in a checkout, not in an unpacked archive."""
    return any((one / ".git").exists() for one in (folder, *folder.parents))
