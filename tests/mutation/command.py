"""What `make mutants` does, and what it prints."""

import argparse
import random
import time
import tomllib
from collections import Counter
from pathlib import Path

from tests.mutation.modules import LEAST, MODULES, ROOT
from tests.mutation.sources import Mutant, Source
from tests.mutation.trial import SURVIVED, Trial

ACCEPTED = Path(__file__).parent / "accepted.toml"
CACHE = ROOT / "var" / "mutation" / "reach.json"


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    paths = list(dict.fromkeys(options.only or MODULES))
    # Another project, or an older tree, may have only those that are named.
    known = [one for one in MODULES if not options.only or (ROOT / one).exists()]
    sources = {
        path: Source(ROOT, path, number)
        for number, path in enumerate(dict.fromkeys([*known, *paths]))
    }
    mutants = [one for path in paths for one in sources[path].mutants()]
    accepted, stale = sort_out(mutants, options.accepted, paths)
    tried = [one for one in mutants if one.key not in accepted]
    if options.sample:
        tried = random.Random(options.seed).sample(
            tried, min(options.sample, len(tried))
        )
    begun = time.monotonic()
    with Trial(ROOT, sources, options.cache, options.tests) as trial:
        trial.prepare(paths)
        outcomes = trial.run(tried, _say(options))
        for name in sorted(trial.left_out):
            print(f"LEFT OUT, it fails without a mutation: {name}")
    for one in mutants:
        if one.key in accepted:
            print(f"accepted  {_line(one)}  ({accepted[one.key]})")
    weak = _table(
        paths, outcomes, Counter(m.path for m in mutants if m.key in accepted)
    )
    for entry in stale:
        print(f"STALE in {options.accepted.name}, no such mutant: {entry}")
    print(f"{len(outcomes)} mutants in {time.monotonic() - begun:.0f} s")
    return 1 if weak or stale else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("only", nargs="*", help="modules; all of modules.py without")
    parser.add_argument("--sample", type=int, help="try so many, chosen by chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", default=["tests"], help="where tests are")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--all", action="store_true", help="tell of the killed too")
    return parser.parse_args(arguments)


def sort_out(
    mutants: list[Mutant], file: Path, paths: list[str]
) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """Return the accepted mutants with their reasons, and entries that match none."""
    entries = tomllib.loads(file.read_text()).get("accepted", [])
    keys = {one.key for one in mutants}
    accepted, stale = {}, []
    for entry in entries:
        key = tuple(entry[name] for name in ("file", "function", "before", "after"))
        if key in keys:
            accepted[key] = entry["reason"]
        elif entry["file"] in paths or not (ROOT / entry["file"]).exists():
            stale.append(" | ".join(key))
    return accepted, stale


def _line(mutant: Mutant) -> str:
    where = f"{mutant.path}:{mutant.line}"
    return f"{where}  {mutant.scope}: {mutant.before}  =>  {mutant.after}"


def _say(options: argparse.Namespace):
    def say(mutant: Mutant, outcome: str, detail: str) -> None:
        if outcome == SURVIVED:
            print(f"SURVIVED  {_line(mutant)}{detail}", flush=True)
        elif options.all:
            print(f"{outcome:9} {_line(mutant)}  by {detail}", flush=True)

    return say


def _table(
    paths: list[str], outcomes: list[tuple[Mutant, str]], accepted: Counter
) -> bool:
    """Print the score of each module; return whether one is too weak."""
    print(f"\n{'module':38} mutants  killed  (time-outs)  survived  accepted  score")
    is_weak, everything = False, Counter()
    for path in paths:
        counts = Counter(outcome for mutant, outcome in outcomes if mutant.path == path)
        everything += counts
        is_weak |= _row(path, counts, accepted[path]) < LEAST
    _row("all", everything, accepted.total())
    return is_weak


def _row(name: str, counts: Counter, accepted: int) -> float:
    total, survived = counts.total(), counts[SURVIVED]
    score = 100 * (total - survived) / total if total else 100.0
    slow = counts["timed out"]
    mark = "  TOO FEW" if score < LEAST else ""
    print(
        f"{name:38} {total:7} {total - survived:7} {slow:12} {survived:9} "
        f"{accepted:9} {score:6.1f}{mark}"
    )
    return score
