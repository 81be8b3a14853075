"""Diagnosis rules about workers' states, logs and exit codes. Pure."""

import re
from itertools import pairwise

from jobs.lib.sizes import disk_plan
from jobs.services.operations.facts import SOON, TOLD, Diagnosis, Facts

LOADING_SECONDS = 15 * 60
NO_WORKER_SECONDS = 120
CRASH_LOOP_FLIPS = 3
_EXIT = re.compile(r"exit(?:ed)?(?: with)?(?: exit)? code:? (\d+)", re.IGNORECASE)
_NO_IMAGE = re.compile(
    r"manifest (?:for \S+ )?(?:unknown|not found)|pull access denied|ErrImagePull|"
    r"ImagePullBackOff|repository does not exist|failed to pull image",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_MEMORY = re.compile(r"out of memory|OOMKilled|oom-kill", re.IGNORECASE)
_NO_FILE = re.compile(r"can't open file|handler\S*: No such file", re.IGNORECASE)
_PYTHON = re.compile(r"(ModuleNotFoundError|ImportError|[A-Z]\w+Error): ?(.{0,120})")
RELEASING = {"IN_PROGRESS", "PENDING", "ROLLING", "ROLLING_OUT", "DEPLOYING", "CREATED"}


_MORE_DISK = (
    "Give it more container disk or volume (manage.py disk_size), then release."
)
_MORE_MEMORY = "Choose GPU tiers with more VRAM, or a smaller model or batch."
_FIND_IT = (
    "Compare the path in the start command with the file's path in the image or clone. "
    "A private repository that cannot be cloned looks the same."
)
LOOKS = (
    (
        _NO_IMAGE,
        "image_missing",
        (
            "RunPod cannot pull the worker's image.",
            "Check its name and tag and, if it is private, the registry's credentials.",
        ),
    ),
    (
        _NO_SPACE,
        "disk_full",
        (
            "The worker's disk is full.",
            _MORE_DISK,
        ),
    ),
    (
        _NO_MEMORY,
        "out_of_memory",
        (
            "The worker runs out of memory.",
            _MORE_MEMORY,
        ),
    ),
    (
        _NO_FILE,
        "handler_missing",
        (
            "The worker's handler is not where its start command looks for it.",
            _FIND_IT,
        ),
    ),
    (
        _PYTHON,
        "python_error",
        (
            "The worker's start-up code fails.",
            "Fix it, push a new tag, and release it.",
        ),
    ),
)
# An exit code proves less than a log: these are the most frequent reasons.
CODES: dict[int | None, tuple[str, tuple[str, str]]] = {
    1: (
        "python_error",
        (
            "The worker's code ends with an exception.",
            "Read its log, fix the cause, and release.",
        ),
    ),
    2: (
        "handler_missing",
        (
            "The worker's start command does not find a file, usually handler.py.",
            _FIND_IT,
        ),
    ),
    137: (
        "out_of_memory",
        (
            "The worker was killed (exit code 137), usually because it ran out of memory.",
            _MORE_MEMORY,
        ),
    ),
    139: (
        "disk_full",
        ("The worker crashed (139), usually because its disk is full.", _MORE_DISK),
    ),
}


def asleep(facts: Facts) -> Diagnosis | None:
    """The endpoint may have no worker: its maximum is 0."""
    if facts.workers_max != 0:
        return None
    return Diagnosis(
        "scaled_to_zero",
        "The endpoint cannot have a worker: its maximum is 0.",
        ("the account says workersMax 0; RunPod sets this after idle days",),
        "Wake it.",
        f"The operator has to wake this endpoint. {SOON}",
    )


def broken(facts: Facts) -> Diagnosis | None:
    """Workers end; the exit code or the log says why."""
    last = facts.last
    is_broken = bool(last and last.unhealthy) or any(
        worker.status == "UNHEALTHY" for worker in facts.workers
    )
    log = "\n".join(facts.log)
    codes = [w.exit_code for w in facts.workers if w.exit_code is not None]
    codes += [int(code) for code in _EXIT.findall(log)]
    code = codes[-1] if codes else None
    if not is_broken and not code and not _NO_IMAGE.search(log):
        return None
    for looks, cause, words in LOOKS:
        match = looks.search(log)
        if match:
            quoted = f"its log says “{match.group(0)[:160]}”"
            return _ended(facts, cause, words, code, quoted)
    if code:
        unknown = ("The worker ends with an error.", "Read its log.")
        return _ended(facts, *CODES.get(code, ("worker_ends", unknown)), code)
    if last is None:
        return None
    return Diagnosis(
        "unhealthy",
        f"Workers are unhealthy ({last.unhealthy}): they keep ending.",
        (last.counts,),
        "Press “Look again now”: the endpoint's page shows the worker's log. Usual "
        "causes: too little disk or memory, a missing file.",
        TOLD,
    )


def _ended(
    facts: Facts, cause: str, words: tuple[str, str], code: int | None, *quotes: str
) -> Diagnosis:
    sentence, next_step = words
    evidence = list(quotes)
    evidence += [f"a worker ended with exit code {code}"] if code else []
    evidence += [facts.last.counts] if facts.last else []
    evidence += _disk_evidence(facts) if cause == "disk_full" else []
    return Diagnosis(cause, sentence, tuple(evidence), next_step, TOLD)


def _disk_evidence(facts: Facts) -> list[str]:
    if not facts.image_gb or not facts.container_disk_gb:
        return []
    needed = disk_plan(facts.image_gb).container_disk_gb
    return [
        f"container disk {facts.container_disk_gb} GB; the image of {facts.image_gb:.1f} GB "
        f"compressed needs {needed} GB"
    ]


def crash_loop(facts: Facts) -> Diagnosis | None:
    """Workers keep starting, and no job completes or fails."""
    samples = facts.samples
    if len(samples) < CRASH_LOOP_FLIPS + 1 or not facts.waiting:
        return None
    if any(one.in_progress for one in samples) or facts.in_progress:
        return None
    first, last = samples[0], samples[-1]
    if (first.completed, first.failed) != (last.completed, last.failed):
        return None
    states = [one.running > 0 for one in samples if one.running or one.ready]
    flips = sum(a != b for a, b in pairwise(states))
    if flips < CRASH_LOOP_FLIPS:
        return None
    evidence = [
        f"workers switched {flips} times between ready and running in "
        f"{(last.at - first.at).total_seconds() / 60:.0f} min",
        "no job completed or failed in that time",
    ]
    evidence.append(f"the first job has waited {facts.waiting_seconds:.0f} s")
    return Diagnosis(
        "crash_loop",
        "Workers start, end before they take a job, and start again.",
        (*evidence, *_disk_evidence(facts)),
        "Read the worker's log: start-up code fails, usually because models do not fit "
        "on the disk. Purge the queue before the next release: its jobs would fail.",
        TOLD,
    )


def releasing(facts: Facts) -> Diagnosis | None:
    """A release is being rolled out."""
    stale = facts.stale
    is_new = facts.release.upper() in RELEASING
    if not facts.waiting or not (is_new or stale) or facts.in_progress:
        return None
    evidence = [f"the newest release is {facts.release.lower()}"] if is_new else []
    evidence += [f"{stale} workers still run the previous release"] if stale else []
    return Diagnosis(
        "release_in_progress",
        "A release is being rolled out; workers are replaced.",
        tuple(evidence),
        "Wait some minutes. If this continues, release again on the endpoint's page.",
        f"The endpoint is being updated. {SOON}",
        is_trouble=False,
    )


def no_capacity(facts: Facts) -> Diagnosis | None:
    """No GPU is free: all counts are zero or throttled, tiers are out of stock."""
    last = facts.last
    if last is None or not facts.waiting or not last.has_no_worker:
        return None
    seconds = facts.lasted("has_no_worker")
    is_asked = last.in_queue > 0 or facts.at_backend > 0
    if not last.throttled and not (is_asked and seconds >= NO_WORKER_SECONDS):
        return None
    evidence = [last.counts]
    if not last.throttled:
        evidence.append(f"for {seconds / 60:.0f} min, with jobs in RunPod's queue")
    out = [
        tier for tier in facts.gpu_ids if tier in facts.stock and not facts.stock[tier]
    ]
    if out:
        evidence.append(f"out of stock: {', '.join(out)}")
    if facts.has_volume:
        evidence.append("its network volume ties it to one data centre")
    others = [t for t, stock in facts.stock.items() if stock and t not in facts.gpu_ids]
    add = (
        f"Add GPU tiers: {', '.join(others)} are in stock."
        if others
        else "Add GPU tiers."
    )
    return Diagnosis(
        "no_capacity",
        "RunPod has no free GPU of the wanted kind.",
        tuple(evidence),
        f"{add}{' Or remove the network volume.' if facts.has_volume else ''}",
        f"No GPU of the wanted kind is free at RunPod right now. {SOON}",
    )


def starting(facts: Facts) -> Diagnosis | None:
    """A worker is starting."""
    last = facts.last
    if last is None or not facts.waiting or last.running or last.ready or last.idle:
        return None
    if not last.initializing:
        return None
    return Diagnosis(
        "cold_start",
        "A worker is starting: its image is being pulled.",
        (last.counts,),
        "Wait. The first start with a large image takes many minutes.",
        f"A GPU is starting for this endpoint, which takes some minutes. {SOON}",
        is_trouble=False,
    )


def loading(facts: Facts) -> Diagnosis | None:
    """A worker runs start-up code and takes no job yet: running is not processing."""
    last = facts.last
    if last is None or not last.running or not facts.waiting:
        return None
    if last.in_progress or facts.in_progress:
        return None
    seconds = 0.0
    for sample in reversed(facts.samples):
        if not sample.running or sample.in_progress:
            break
        seconds = (facts.at - sample.at).total_seconds()
    evidence = (
        last.counts,
        f"{last.in_queue or facts.at_backend} jobs in RunPod's queue, none in progress",
        f"for {seconds / 60:.0f} min",
    )
    if seconds < LOADING_SECONDS:
        return Diagnosis(
            "loading",
            "A worker is running but takes no job yet: it is loading its model.",
            evidence,
            "Wait. The first download of a large model takes 15 to 20 minutes.",
            f"A GPU is loading the model for this endpoint. {SOON}",
            is_trouble=False,
        )
    return Diagnosis(
        "startup_hangs",
        "A worker has run for a long time without taking a job: its start-up hangs or "
        "fails.",
        evidence,
        "Read its log. Compare the models' real size (manage.py model_size) with the disk.",
        TOLD,
    )
