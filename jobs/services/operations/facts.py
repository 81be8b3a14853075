"""What is known about an endpoint whose jobs do not run. Values, no rows."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from jobs.runpod.rest import RemoteWorker

# Every sentence for a user ends with one of these.
SOON = "Your job keeps its place and starts by itself."
TOLD = "The operator can see why. Your job keeps its place."


@dataclass(frozen=True)
class Seen:
    """One answer of /health: workers and jobs by RunPod's names."""

    at: datetime
    idle: int = 0
    initializing: int = 0
    ready: int = 0
    running: int = 0
    throttled: int = 0
    unhealthy: int = 0
    in_queue: int = 0
    in_progress: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def has_no_worker(self) -> bool:
        """Whether all counts of workers are zero, except perhaps `throttled`."""
        return not (
            self.idle
            or self.initializing
            or self.ready
            or self.running
            or self.unhealthy
        )

    @property
    def counts(self) -> str:
        """Return the worker counts in words, as evidence."""
        names = ("idle", "initializing", "ready", "running", "throttled", "unhealthy")
        counted = [f"{getattr(self, n)} {n}" for n in names if getattr(self, n)]
        return f"workers: {', '.join(counted) or 'none in any state'}"


@dataclass(frozen=True)
class Facts:
    """Everything a rule may use. Empty means not known: nothing follows from it."""

    at: datetime
    samples: tuple[Seen, ...] = ()  # of the last half hour, oldest first
    is_local: bool = False
    is_active: bool = True
    # Our own jobs at the endpoint
    held: int = 0  # PENDING: not yet submitted
    at_backend: int = 0
    in_progress: int = 0
    waiting_seconds: float = 0.0
    window: int | None = None
    has_completed: bool = False
    # RunPod's answers
    not_found: bool = False
    refusal: str = ""  # key_refused, payment_required, no_answers, rate_limited
    # The account
    balance: Decimal | None = None
    is_listed: bool | None = None
    workers_max: int | None = None
    gpu_ids: tuple[str, ...] = ()
    has_volume: bool = False
    stock: dict[str, str] = field(default_factory=dict)  # {tier: "", "Low", …}
    image_gb: float = 0.0
    container_disk_gb: int = 0
    workers: tuple[RemoteWorker, ...] = ()
    log: tuple[str, ...] = ()
    release: str = ""  # status of the newest one
    # Local workers
    local_workers: int = 0
    local_trouble: str = ""

    @property
    def waiting(self) -> int:
        """Number of our jobs that no worker has."""
        return self.held + self.at_backend - self.in_progress

    @property
    def stale(self) -> int:
        """Number of workers that still run the previous release."""
        return sum(worker.is_stale for worker in self.workers)

    @property
    def last(self) -> Seen | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None

    def lasted(self, condition: str) -> float:
        """Return for how many seconds a property of the samples has now been true."""
        since = None
        for sample in reversed(self.samples):
            if not getattr(sample, condition):
                break
            since = sample.at
        return (self.at - since).total_seconds() if since else 0.0


@dataclass(frozen=True)
class Diagnosis:
    """Why nothing runs: a sentence, its evidence, and what to do.

    `for_user` says the same to someone who only wants their job done.
    """

    cause: str
    sentence: str
    evidence: tuple[str, ...]
    next_step: str
    for_user: str
    is_trouble: bool = True  # False: it passes without action
