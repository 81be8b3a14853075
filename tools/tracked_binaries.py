"""Gate: Git tracks no package archive, and no large binary file outside its places.

What was once committed stays in everybody's clone for ever. Reads the index, so a file
is refused before it is committed: `python -m tools.tracked_binaries [FOLDER]`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.git import git, is_tracked

MAX_BYTES = 100_000
PLACES = ("samples/", "docs/images/", "static/vendor/", "tests/data/")
ARCHIVES = (".whl", ".egg", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVE_REMEDY = (
    "packages are named with their hash in requirements/, archives for tests are made "
    "by the test. `git rm --cached` it, and add it to .gitignore"
)
BINARY_REMEDY = (
    f"binary files over {MAX_BYTES // 1000} KB belong in {', '.join(PLACES)} or outside "
    "the repository. Make it smaller, `git mv` it there, or `git rm --cached` it"
)
BEGINNING = 8000  # where Git looks for a zero byte


@dataclass(frozen=True)
class Entry:
    """A file of the index."""

    path: str
    blob: str
    size: int


def main() -> int:
    """Print what is refused; return 1 if anything is."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    if not is_tracked(folder):
        print(f"{folder} is no Git checkout: nothing is tracked.")
        return 0
    refusals = list(refused(folder))
    for entry, remedy in refusals:
        print(f"{entry.path} ({entry.size:,} bytes) is tracked: {remedy}.")
    return 1 if refusals else 0


def refused(folder: Path) -> Iterator[tuple[Entry, str]]:
    """Yield each file that may not be tracked, with the remedy."""
    for entry in tracked(folder):
        if entry.path.lower().endswith(ARCHIVES):
            yield entry, ARCHIVE_REMEDY
        elif is_misplaced(entry) and is_binary(folder, entry):
            yield entry, BINARY_REMEDY


def is_misplaced(entry: Entry) -> bool:
    """Whether a file is too large for where it lies, should it be binary."""
    return entry.size > MAX_BYTES and not entry.path.startswith(PLACES)


def is_binary(folder: Path, entry: Entry) -> bool:
    """Whether Git, too, would call a file binary."""
    return b"\0" in git(folder, "cat-file", "blob", entry.blob)[:BEGINNING]


def tracked(folder: Path) -> list[Entry]:
    """Return the files of the whole index, whatever folder of it is given."""
    rows = git(folder, "ls-files", "--stage", "--full-name", "-z", ":/").split(b"\0")
    blobs = {}
    for row in filter(None, rows):
        mode, blob, _ = row.partition(b"\t")[0].split()
        if mode != b"160000":  # another repository: its commit is not here
            blobs[row.partition(b"\t")[2].decode(errors="replace")] = blob.decode()
    ask = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    sizes = git(folder, "cat-file", "--batch-check=%(objectsize)", given=ask)
    return [
        Entry(path, blob, int(size))
        for (path, blob), size in zip(blobs.items(), sizes.split(), strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
