"""Which tests reach which lines, and how long they take; kept by content."""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.mutation.sources import LINES, Source

Tests = list[tuple[str, float]]  # with the time that each may take
ALIKE, REACHING_SECONDS, USING_SECONDS = 2, 5.0, 5.0


class Reach:
    """The map, by file of tests. `tests`: id -> seconds, failed, lines by module."""

    def __init__(self, root: Path, file: Path, sources: dict[str, Source]) -> None:
        self._root, self._file, self._sources = root, file, sources
        self._by_number = {source.number: path for path, source in sources.items()}
        self._files: dict[str, Any] = {}
        if file.exists():
            self._files = json.loads(file.read_text())
        self.failing: set[str] = set()

    def is_known(self, file: str, modules: Iterable[str]) -> bool:
        """Whether what is known of a file of tests is still so, as far as is asked."""
        entry = self._files.get(file)
        if not entry or entry["text"] != _hash(self._root / file):
            return False
        now = {path: _of(self._sources[path].text) for path in modules}
        if any(path not in entry["modules"] for path in now):
            return False
        changed = {path for path in now if now[path] != entry["modules"][path]}
        lines = [set(test["lines"]) for test in entry["tests"].values()]
        has_failed = any(test["failed"] for test in entry["tests"].values())
        return not has_failed and not any(changed & reached for reached in lines)

    def learn(self, file: str, words: list[tuple[Any, ...]]) -> None:
        """Take what a recording child told."""
        tests = {}
        for _, test, seconds, failed, places in (w for w in words if w[0] == "ran"):
            lines = defaultdict(list)
            for place in places:
                lines[self._by_number[place // LINES]].append(place % LINES)
            tests[test] = {"seconds": seconds, "failed": failed, "lines": lines}
        self._files[file] = {
            "text": _hash(self._root / file),
            "modules": {path: _of(one.text) for path, one in self._sources.items()},
            "tests": tests,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(self._files))
        draft.replace(self._file)

    def known(self, tests: list[str]) -> None:
        """Keep only tests that there are; note which of them fail as it is."""
        self._tests = {}
        for file in {test.partition("::")[0] for test in tests}:
            self._tests.update(self._files.get(file, {"tests": {}})["tests"])
        wanted = set(tests)
        self._tests = {n: t for n, t in self._tests.items() if n in wanted}
        self.failing = {name for name, test in self._tests.items() if test["failed"]}
        self.failing |= wanted - self._tests.keys()

    def reaching(self, path: str, lines: set[int] | None) -> Tests:
        """Return tests that reach lines of a module, cheapest first; None: any line.

        Of tests that go the same way through the module, two; of the others, as many
        as take a short while; all of its own tests.
        """
        stem, left = Path(path).stem, REACHING_SECONDS
        chosen, ways = [], Counter()
        for seconds, name in sorted((t["seconds"], n) for n, t in self._tests.items()):
            way = self._tests[name]["lines"].get(path, ())
            if not way or (lines is not None and lines.isdisjoint(way)):
                continue
            ways[tuple(way)] += 1
            left -= seconds
            is_other = ways[tuple(way)] <= ALIKE and seconds < REACHING_SECONDS
            if is_other or left > 0 or f"test_{stem}" in name:
                chosen.append((seconds, name))
        return self._allowed(chosen)

    def using(self, path: str, lines: set[int] | None, names: Iterable[str]) -> Tests:
        """Return tests for an edit that acts at import: first those that say its names.

        There can be very many, so they are as many as take a short while.
        """
        stem = Path(path).stem
        files = {one for one in self._files if _says(self._root / one, stem, names)}
        saying = self._allowed(
            (self._tests[name]["seconds"], name)
            for name in self._tests
            if name.partition("::")[0] in files
        )
        chosen, left = {}, USING_SECONDS
        for name, limit in saying + self.reaching(path, lines):
            left -= self._tests[name]["seconds"]
            if left > 0:
                chosen.setdefault(name, limit)
        return list(chosen.items())

    def _allowed(self, tests: Iterable[tuple[float, str]]) -> Tests:
        return [
            (name, 15 + 15 * seconds)
            for seconds, name in sorted(tests)
            if name not in self.failing
        ]


def _says(file: Path, stem: str, names: Iterable[str]) -> bool:
    """Whether a file of tests is the module's own, or says one of these names of it."""
    text = file.read_text() if file.exists() else ""
    words = "|".join(map(re.escape, names)) or "$."
    is_own = file.stem.startswith(f"test_{stem}")
    return is_own or bool(
        re.search(rf"import.*\b{stem}\b|\b{stem} import", text)
        and re.search(rf"\b({words})\b", text)
    )


def _hash(path: Path) -> str:
    return _of(path.read_text()) if path.exists() else ""


def _of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
