"""What must hold after every fault (reliability.md, section 5): one checker for all.

I1 every accepted job has exactly one end, and stays there · I2 a shown file is the file
that was measured · I3 RunPod ran a job once, or we say that it may have run twice ·
I6 nothing waits for a look that is overdue · I8 no stored output without an owner ·
I9 no secret in a log.
"""

import hashlib
from collections import Counter

from tests.remote import RemoteEndpoint, mark_of
from tests.stack.stack import ENDS, RunningStack

CANARY = "canary-4f1c-runpod-key"
PARTS = ("web", "tasks", "beat", "gpu")


def check(stack: RunningStack, *endpoints: RemoteEndpoint) -> None:
    """Raise AssertionError naming every broken invariant."""
    broken = [
        *_one_end(stack),
        *_files_are_what_they_were(stack),
        *(line for endpoint in endpoints for line in _runs(stack, endpoint)),
        *_nothing_is_forgotten(stack),
        *_no_orphans(stack),
        *_no_secrets(stack),
    ]
    assert not broken, "\n".join(broken)


def _one_end(stack: RunningStack) -> list[str]:
    ends = ", ".join(f"'{end}'" for end in sorted(ENDS))
    moves = Counter(
        str(job)
        for (job,) in stack.query(
            f"SELECT job_id FROM jobs_jobevent WHERE new_status IN ({ends})"
        )
    )
    rows = stack.query("SELECT id, status FROM jobs_job")
    return [
        f"I1 job {id} is {status} with {moves[str(id)]} ends"
        for id, status in rows
        if moves[str(id)] != (status in ENDS)
    ]


def _files_are_what_they_were(stack: RunningStack) -> list[str]:
    broken = []
    for key, size, sha256 in stack.query("SELECT key, size, sha256 FROM jobs_artifact"):
        path = stack.folder / "store" / key
        content = path.read_bytes() if path.exists() else b""
        if (len(content), hashlib.sha256(content).hexdigest()) != (size, sha256):
            broken.append(f"I2 {key} is not the file that was measured")
    return broken


def _runs(stack: RunningStack, endpoint: RemoteEndpoint) -> list[str]:
    """RunPod's journal against ours: ids it accepted that we never learned are doubts."""
    sent = Counter(mark_of(row["input"]) for row in endpoint.journal())
    broken = []
    for job, twice, attempts, mark in stack.query(
        "SELECT j.id, j.has_maybe_run_twice, "
        "(SELECT count(*) FROM jobs_attempt a WHERE a.job_id = j.id), j.input "
        "FROM jobs_job j"
    ):
        name = next((m for m in sent if m and f'"{m}"' in _text(mark)), None)
        if name and sent[name] > attempts:
            broken.append(f"I3 job {job} ran {sent[name]} times in {attempts} attempts")
        if name and sent[name] > 1 and not (twice or attempts == sent[name]):
            broken.append(f"I3 job {job} ran {sent[name]} times and does not say so")
    return broken


def _text(value: object) -> str:
    return str(value).replace("'", '"')


def _nothing_is_forgotten(stack: RunningStack) -> list[str]:
    clock = "now() - interval '60 seconds'"
    if not stack.is_on_postgres:
        clock = "datetime('now', '-60 seconds')"
    late = stack.query(
        f"SELECT id, status FROM jobs_job WHERE status <> 'PENDING' AND due_at < {clock}"
    )
    return [
        f"I6 job {id} ({status}) waits for a look that is overdue"
        for id, status in late
    ]


def _no_orphans(stack: RunningStack) -> list[str]:
    owned = {key for (key,) in stack.query("SELECT key FROM jobs_artifact")}
    root = stack.folder / "store"
    stored = {
        str(path.relative_to(root)) for path in root.glob("out/**/*") if path.is_file()
    }
    return [f"I8 {key} has no owner" for key in sorted(stored - owned)]


def _no_secrets(stack: RunningStack) -> list[str]:
    return [
        f"I9 the RunPod key is in the log of {part}"
        for part in PARTS
        if CANARY in stack.log(part)
    ]
