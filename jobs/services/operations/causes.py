"""The diagnosis: from facts to one cause. Pure; no rule makes a claim without proof.

The patterns come from RunPod's operators: running does not mean processing, all zeros
mean no capacity, and endless switching between ready and running means a crash loop.
"""

from collections.abc import Callable

from jobs.services.operations import account_causes, worker_causes
from jobs.services.operations.facts import SOON, TOLD, Diagnosis, Facts
from jobs.services.operations.worker_causes import NO_WORKER_SECONDS


def find(facts: Facts) -> Diagnosis | None:
    """Return the first proven cause; None if nothing is wrong.

    If jobs wait and no rule applies, the cause is "unknown", with the facts examined.
    """
    for rule in LOCAL if facts.is_local else RULES:
        diagnosis = rule(facts)
        if diagnosis:
            return diagnosis
    return _unknown(facts) if facts.waiting else None


# --- nothing is wrong, but jobs wait --------------------------------------------------
def _full(facts: Facts) -> Diagnosis | None:
    is_full = facts.window is not None and facts.at_backend >= facts.window
    if not facts.held or not is_full or not facts.in_progress:
        return None
    return Diagnosis(
        "window_full",
        f"RunPod has {facts.at_backend} jobs, as many as it may hold at once; "
        f"{facts.held} more wait in Slipway and take turns.",
        (f"the release window is {facts.window}", f"{facts.in_progress} jobs run"),
        "Add workers, or enlarge the release window.",
        f"Other jobs run first. {SOON}",
        is_trouble=False,
    )


def _all_work(facts: Facts) -> Diagnosis | None:
    if not facts.waiting or not facts.in_progress:
        return None
    return Diagnosis(
        "busy",
        f"Workers are processing {facts.in_progress} jobs; {facts.waiting} wait.",
        tuple([facts.last.counts] if facts.last else ["jobs are in progress"]),
        "Add workers if this continues.",
        f"Other jobs run first. {SOON}",
        is_trouble=False,
    )


def _paused(facts: Facts) -> Diagnosis | None:
    if facts.is_active or facts.waiting:
        return None
    return Diagnosis(
        "paused",
        "This endpoint accepts no new jobs: it is paused in Slipway.",
        ("“active” is off",),
        "Wake it to accept jobs again.",
        "The operator has paused this endpoint.",
        is_trouble=False,
    )


# --- local workers --------------------------------------------------------------------
def _local_trouble(facts: Facts) -> Diagnosis | None:
    if facts.local_workers or not facts.local_trouble:
        return None
    return Diagnosis(
        "worker_unfit",
        "The last worker of this queue could not start.",
        (f"it reported “{facts.local_trouble}”",),
        "Fix the reported problem and start the worker again.",
        TOLD,
    )


def _no_local(facts: Facts) -> Diagnosis | None:
    if facts.local_workers or not facts.waiting:
        return None
    return Diagnosis(
        "no_worker",
        "No worker of your own is connected to this queue.",
        ("no worker has asked for work in the last minute",),
        "Start one: manage.py worker_env SLUG prints the settings it needs.",
        f"No worker is connected at the moment. {SOON}",
    )


def _unknown(facts: Facts) -> Diagnosis:
    looked = [f"{facts.waiting} jobs wait, the first for {facts.waiting_seconds:.0f} s"]
    looked.append(facts.last.counts if facts.last else "no health sample yet")
    looked.append(
        f"RunPod's log: {len(facts.log)} lines" if facts.log else "no log lines"
    )
    if facts.workers_max is None and not facts.is_local:
        looked.append("the account was not checked: no key, or no answer")
    is_early = facts.waiting_seconds < NO_WORKER_SECONDS
    return Diagnosis(
        "unknown",
        "Jobs wait, and the reason is not known yet."
        if is_early
        else "Jobs wait, and nothing that Slipway can see explains why.",
        tuple(looked),
        "Wait a minute."
        if is_early
        else "Press “Look again now” on the endpoint's page to see the workers' logs.",
        f"Waiting for a free worker. {SOON}",
        is_trouble=False,
    )


Rule = Callable[[Facts], Diagnosis | None]
RULES: tuple[Rule, ...] = (
    account_causes.key,
    account_causes.balance,
    account_causes.never_started,
    account_causes.gone,
    account_causes.busy,
    account_causes.silent,
    worker_causes.asleep,
    worker_causes.broken,
    worker_causes.crash_loop,
    worker_causes.releasing,
    worker_causes.no_capacity,
    worker_causes.starting,
    worker_causes.loading,
    _full,
    _all_work,
    _paused,
)
LOCAL: tuple[Rule, ...] = (_local_trouble, _no_local, _full, _all_work, _paused)
