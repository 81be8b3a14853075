"""Why nothing runs: for each cause a series of facts, and what is said of it.

Every scenario is also run without its proof: then the cause must not be claimed.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from jobs.runpod.rest import RemoteWorker
from jobs.services.operations import causes
from jobs.services.operations.facts import Facts, Seen

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def series(*counts, every=30, **common):
    """Return samples of workers and jobs, the last one now."""
    begin = NOW - timedelta(seconds=every * (len(counts) - 1))
    return tuple(
        Seen(begin + timedelta(seconds=every * n), **{**common, **one})
        for n, one in enumerate(counts)
    )


def waiting(**changes):
    """Return facts with three jobs in RunPod's queue."""
    facts = {"at": NOW, "at_backend": 3, "waiting_seconds": 300.0, "workers_max": 3}
    return Facts(**{**facts, **changes})


ZERO = series(*[{}] * 6, in_queue=3)
FLIPS = series(
    *({"running": 1}, {"ready": 1, "idle": 1}) * 4,
    {"running": 1},
    in_queue=3,
    completed=9,
)
ENDED = RemoteWorker("w1", "UNHEALTHY")
SCENARIOS = {
    "key_refused": (
        waiting(refusal="key_refused"),
        "RunPod refuses the API key",
        {"refusal": ""},
    ),
    "balance": (
        waiting(not_found=True, balance=Decimal("-0.42")),
        "balance is used up",
        {"balance": Decimal(3)},
    ),
    "balance by 402": (
        waiting(refusal="payment_required"),
        "balance is used up",
        {"refusal": ""},
    ),
    "never_started": (
        waiting(not_found=True, is_listed=True, balance=Decimal(5)),
        "No worker of this endpoint has ever started",
        {"has_completed": True},
    ),
    "endpoint_gone": (
        waiting(not_found=True, is_listed=False, balance=Decimal(5)),
        "no longer knows this endpoint",
        {"not_found": False},
    ),
    "rate_limited": (waiting(refusal="rate_limited"), "(429)", {"refusal": ""}),
    "no_answers": (waiting(refusal="no_answers"), "does not answer", {"refusal": ""}),
    "scaled_to_zero": (
        waiting(workers_max=0, samples=ZERO),
        "its maximum is 0",
        {"workers_max": None, "samples": ()},
    ),
    "image_missing": (
        waiting(
            samples=series({"initializing": 1}, in_queue=3),
            log=("Error: manifest for you/worker:3 not found: manifest unknown",),
        ),
        "cannot pull the worker's image",
        {"log": ()},
    ),
    "handler_missing": (
        waiting(
            samples=series({"unhealthy": 1}, in_queue=3),
            log=(
                "python: can't open file '/runpod-volume/repo/handler.py': [Errno 2]",
                "worker exited with exit code 2",
            ),
        ),
        "handler is not where its start command looks",
        {"log": ()},
    ),
    "handler_missing by its code": (
        waiting(
            workers=(replace(ENDED, exit_code=2),), samples=series({"unhealthy": 1})
        ),
        "does not find a file",
        {"workers": ()},
    ),
    "out_of_memory": (
        waiting(workers=(ENDED,), log=("torch.OutOfMemoryError: CUDA out of memory.",)),
        "runs out of memory",
        {"log": ()},
    ),
    "out_of_memory by its code": (
        waiting(log=("worker exited with exit code 137",)),
        "killed (exit code 137)",
        {"log": ()},
    ),
    "disk_full": (
        waiting(
            workers=(ENDED,),
            log=("OSError: [Errno 28] No space left on device", "exit code 139"),
            image_gb=16.0,
            container_disk_gb=20,
        ),
        "The worker's disk is full",
        {"log": ()},
    ),
    "disk_full by its code": (
        waiting(workers=(replace(ENDED, exit_code=139),)),
        "crashed (139)",
        {"workers": ()},
    ),
    "python_error": (
        waiting(workers=(ENDED,), log=("ModuleNotFoundError: No module named 'x'",)),
        "start-up code fails",
        {"log": ()},
    ),
    "worker_ends": (
        waiting(log=("worker exited with exit code 77",)),
        "ends with an error",
        {"log": ()},
    ),
    "unhealthy": (
        waiting(samples=series({"unhealthy": 2}, in_queue=3)),
        "unhealthy (2)",
        {"samples": ()},
    ),
    "crash_loop": (
        waiting(samples=FLIPS),
        "end before they take a job",
        {"samples": FLIPS[:2]},
    ),
    "release_in_progress": (
        waiting(
            release="IN_PROGRESS", workers=(RemoteWorker("w", "IDLE", is_stale=True),)
        ),
        "A release is being rolled out",
        {"release": "COMPLETED", "workers": ()},
    ),
    "no_capacity throttled": (
        waiting(
            samples=series({"throttled": 1}, in_queue=3),
            gpu_ids=("AMPERE_48",),
            stock={"AMPERE_48": "", "ADA_24": "High"},
        ),
        "no free GPU of the wanted kind",
        {"samples": ()},
    ),
    "no_capacity all zeros": (
        waiting(samples=ZERO, has_volume=True),
        "no free GPU of the wanted kind",
        {"samples": ZERO[-2:]},
    ),
    "cold_start": (
        waiting(samples=series({"initializing": 1}, in_queue=3)),
        "image is being pulled",
        {"samples": ()},
    ),
    "loading": (
        waiting(samples=series(*[{"running": 1}] * 4, in_queue=3)),
        "loading its model",
        {"samples": series({"running": 1, "in_progress": 1})},
    ),
    "startup_hangs": (
        waiting(samples=series(*[{"running": 1}] * 20, every=60, in_queue=3)),
        "its start-up hangs or fails",
        {"samples": series(*[{"running": 1}] * 4, in_queue=3)},
    ),
    "window_full": (
        waiting(held=40, at_backend=16, in_progress=3, window=16),
        "40 more wait in Slipway",
        {"window": 32},
    ),
    "busy": (
        waiting(in_progress=2, samples=series({"running": 2, "in_progress": 2})),
        "processing 2 jobs; 1 wait",
        {"in_progress": 0, "samples": ()},
    ),
    "paused": (
        Facts(at=NOW, is_active=False),
        "it is paused in Slipway",
        {"is_active": True},
    ),
    "worker_unfit": (
        waiting(is_local=True, local_trouble="_runner_is_ready: no weights here"),
        "could not start",
        {"local_trouble": ""},
    ),
    "no_worker": (
        waiting(is_local=True),
        "No worker of your own is connected",
        {"local_workers": 1},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_cause_is_found_by_its_proof_and_claimed_only_with_it(name):
    facts, words, without = SCENARIOS[name]
    diagnosis = causes.find(facts)
    assert diagnosis.cause == name.split()[0]
    assert words in diagnosis.sentence
    assert all(diagnosis.evidence), "a claim without evidence"
    assert diagnosis.next_step.endswith(".")
    assert diagnosis.for_user.endswith(".")
    left = causes.find(replace(facts, **without))
    assert left is None or left.cause != diagnosis.cause


def test_there_are_enough_of_them():
    assert len({name.split()[0] for name in SCENARIOS}) >= 14


def test_the_evidence_says_what_it_rests_on():
    diagnosis = causes.find(SCENARIOS["disk_full"][0])
    assert "container disk 20 GB; the image of 16.0 GB compressed needs 60 GB" in (
        diagnosis.evidence
    )
    diagnosis = causes.find(SCENARIOS["no_capacity throttled"][0])
    assert "out of stock: AMPERE_48" in diagnosis.evidence
    assert diagnosis.next_step == "Add GPU tiers: ADA_24 are in stock."
    diagnosis = causes.find(SCENARIOS["no_capacity all zeros"][0])
    assert "for 2 min, with jobs in RunPod's queue" in diagnosis.evidence
    assert "remove the network volume" in diagnosis.next_step
    diagnosis = causes.find(SCENARIOS["crash_loop"][0])
    assert "the first job has waited 300 s" in diagnosis.evidence
    assert "manifest unknown" not in causes.find(SCENARIOS["cold_start"][0]).sentence


@pytest.mark.parametrize(
    "facts",
    [
        Facts(at=NOW),
        Facts(at=NOW, samples=series({}, {})),
        Facts(at=NOW, samples=series({"idle": 1, "ready": 1})),
        Facts(at=NOW, samples=FLIPS),
        Facts(at=NOW, stock={"ADA_24": ""}, gpu_ids=("ADA_24",)),
    ],
)
def test_where_nothing_waits_nothing_is_wrong(facts):
    assert causes.find(facts) is None


@pytest.mark.parametrize("samples", [(), series({"idle": 1, "ready": 1}, in_queue=3)])
def test_unknown_stays_unknown_with_what_was_looked_at(samples):
    diagnosis = causes.find(waiting(samples=samples, workers_max=None))
    assert diagnosis.cause == "unknown"
    assert "3 jobs wait, the first for 300 s" in diagnosis.evidence
    assert any("health sample" in one or "1 idle" in one for one in diagnosis.evidence)
    assert "the account was not checked: no key, or no answer" in diagnosis.evidence


def test_running_is_not_processing():
    """The same counts: with a job in progress it is work, without one it is start-up."""
    idle = waiting(samples=series({"running": 1}, in_queue=3))
    assert causes.find(idle).cause == "loading"
    at_work = series({"running": 1, "in_progress": 1}, in_queue=2)
    assert causes.find(waiting(samples=at_work, in_progress=1)).cause == "busy"


def test_zeros_for_a_minute_are_no_proof():
    short = series({"running": 1, "in_progress": 1}, {}, {}, in_queue=3)
    assert causes.find(waiting(samples=short)).cause == "unknown"
