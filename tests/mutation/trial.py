"""What becomes of each mutant."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.mutation.forks import Job
from tests.mutation.reach import Reach, Tests
from tests.mutation.readers import lines_using
from tests.mutation.servers import Servers
from tests.mutation.sources import Mutant, Source

FIRST_SECONDS = 240.0  # a test may take so long before it is known how long it takes
SURVIVED, KILLED, TIMED_OUT = "SURVIVED", "killed", "timed out"
IMPOSSIBLE = "impossible"
# How a mutant can be put in place: its functions' code, its values, or by a new start.
SWAP, PATCH, START = "swap", "patch", "start"
Say = Callable[[Mutant, str, str], None]


class Trial:
    """A run over mutants."""

    def __init__(
        self, root: Path, sources: dict[str, Source], cache: Path, arguments: list[str]
    ) -> None:
        self._root, self._sources = root, sources
        self._reach = Reach(root, cache, sources)
        self._lock = threading.Lock()
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sound: set[tuple[str, str]] = set()  # tests that pass as the code is
        self.left_out: set[str] = set()
        self._arguments = arguments

    def __enter__(self) -> "Trial":
        telling = {one.file: one.telling() for one in self._sources.values()}
        self._servers = Servers(telling, self._arguments)
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def prepare(self, paths: list[str]) -> None:
        """Learn what is not known of which tests reach which lines."""
        by_file: dict[str, list[str]] = {}
        for test in self._servers.tests:
            by_file.setdefault(test.partition("::")[0], []).append(test)
        new = [file for file in by_file if not self._reach.is_known(file, paths)]
        if new:
            count = sum(len(by_file[file]) for file in new)
            print(f"Learning what {count} tests reach ...", flush=True)

        def learn(file: str, number: int) -> None:
            tests = tuple((test, FIRST_SECONDS) for test in by_file[file])
            words = self._servers.ask(number, Job(tests, is_recording=True))
            with self._lock:
                self._reach.learn(file, words)

        self._servers.share(new, learn)
        self._reach.known(self._servers.tests)
        self.left_out |= self._reach.failing

    def run(self, mutants: list[Mutant], say: Say) -> list[tuple[Mutant, str]]:
        """Try each; return what became of it."""
        outcomes: list[tuple[Mutant, str]] = []

        def one(mutant: Mutant, number: int) -> None:
            outcome, detail = self._outcome(mutant, number)
            with self._lock:
                outcomes.append((mutant, outcome))
                say(mutant, outcome, detail)

        self._servers.share(mutants, one)
        return outcomes

    def _outcome(self, mutant: Mutant, number: int) -> tuple[str, str]:
        """Try in memory; start anew where that cannot be, or may have shown too little."""
        if mutant.function:
            way, tests = SWAP, self._reach.reaching(mutant.path, {mutant.line})
            is_known = True
        else:
            way = PATCH if mutant.is_table else START
            lines = lines_using(self._root, self._sources[mutant.path], mutant)
            tests = self._reach.using(mutant.path, lines, mutant.names)
            is_known = lines is not None
        if not tests:
            return SURVIVED, "  (no test reaches it)"
        outcome, detail = self._tried(mutant, tests, number, way)
        is_doubtful = way == PATCH and outcome == SURVIVED and not is_known
        if outcome == IMPOSSIBLE or is_doubtful:
            outcome, detail = self._tried(mutant, tests, number, START)
        return outcome, detail

    def _tried(
        self, mutant: Mutant, tests: Tests, number: int, way: str
    ) -> tuple[str, str]:
        """Run the tests; leave out those that fail without the mutation, too."""
        while True:
            # What has noticed other edits of this module will notice more.
            killers = self._killers[mutant.path]
            tests = sorted(tests, key=lambda one: -killers.get(one[0], 0))
            tests = [one for one in tests if one[0] not in self._reach.failing]
            outcome, test = self._verdict(mutant, mutant.code, tests, number, way)
            if outcome in (SURVIVED, IMPOSSIBLE) or (test, way) in self._sound:
                killers.update([test] if outcome == KILLED else [])
                return outcome, test
            names = [name for name, _ in tests]
            if test not in names:  # it could not be imported
                return outcome, test
            before = tests[: names.index(test) + 1]
            usual = self._sources[mutant.path].code()
            if self._verdict(mutant, usual, before, number, way)[0] == SURVIVED:
                self._sound.add((test, way))
                return outcome, test
            self._reach.failing.add(test)
            self.left_out.add(test)

    def _verdict(
        self, mutant: Mutant, code: bytes, tests: Tests, number: int, way: str
    ) -> tuple[str, str]:
        """Return what came of some code, and of which test."""
        job = Job(
            tuple(tests),
            self._sources[mutant.path].file,
            code,
            mutant.function if way == SWAP else "",
            mutant.names if way == PATCH else frozenset(),
        )
        words = self._servers.ask(number, job, is_fresh=way == START)
        last = [word[1] for word in words if word[0] == "begins"][-1:] or ["the import"]
        match words[-1]:
            case ("done", "passed", _):
                return SURVIVED, ""
            case ("done", "impossible", _):
                return IMPOSSIBLE, ""
            case ("done", "failed", test):
                return KILLED, test
            case ("timeout",):
                return TIMED_OUT, last[0]
        return KILLED, last[0]  # its process died
