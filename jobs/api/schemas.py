"""What goes in and out of the JSON API. No logic."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field

EventType = Literal[
    "job.queued",
    "job.started",
    "job.completed",
    "job.failed",
    "job.cancelled",
    "job.timed_out",
]


def whole(value: Any) -> Any:
    """Take 5.0 for 5: to JSON Schema it is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


PartNumber = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(whole)]
Size = Annotated[int, Field(ge=0, lt=2**53), BeforeValidator(whole)]


AlertEventType = Literal["alert.raised", "alert.resolved"]
BatchEventType = Literal[
    "batch.completed",
    "batch.completed_with_failures",
    "batch.cancelled",
    "batch.failed",
]


class StrictSchema(Schema):
    """A body whose unknown fields, and numbers in quotes, are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class JobWebhook(StrictSchema):
    """The webhook of one job."""

    url: str = Field(..., max_length=2000, examples=["https://example.com/hooks/jobs"])
    events: list[EventType] = Field([], description="Empty: only the end.")


class JobIn(StrictSchema):
    """A job to create."""

    endpoint: str = Field(
        ..., description="Slug of the endpoint.", max_length=60, examples=["anonymize"]
    )
    input: dict[str, Any] = Field(
        ...,
        description='As the endpoint\'s input schema says. Files: "upload:<id>" or a URL.',
        examples=[{"media": "https://example.com/clip.mp4"}],
    )
    metadata: dict[str, Any] = Field(
        {}, description="Yours; comes back unchanged. At most 16 KiB."
    )
    priority: Literal["low", "normal", "high"] = "normal"
    webhook: str | JobWebhook | None = Field(
        None, description="An address to tell of the end, or {url, events}."
    )


class Problem(Schema):
    """What is wrong with a request (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str = Field(..., description="Stable; for programs.")
    detail: str = Field(..., description="For people, with the remedy.")
    errors: list["ProblemPlace"] = []


class ProblemPlace(Schema):
    """One mistake and where it stands."""

    pointer: str = Field(..., description="RFC 6901, as a fragment: #/input/scale")
    message: str
    code: str


class Progress(Schema):
    """How far a job is. `fraction` is 0 to 1, or null when nobody knows."""

    fraction: float | None = None
    message: str = ""
    stage: str = ""
    seq: int = 0


class Queue(Schema):
    """Where a waiting job stands; null once it has started.

    In the answer to creating a job also null where more than a thousand are ahead of it.
    """

    position: int | None = None


class OutputFile(Schema):
    """A file that a job made."""

    name: str
    content_type: str
    size: int
    sha256: str
    url: str


class JobError(Schema):
    """Why a job failed."""

    code: str
    message: str
    retryable: bool


class AttemptOut(Schema):
    """One try at a backend."""

    n: int
    backend_id: str
    worker: str
    status: str
    notes: list[str]
    started_at: datetime | None
    finished_at: datetime | None


class CostOut(Schema):
    """What a job cost, estimated from what ran: every attempt, and cold starts."""

    amount: float
    currency: str
    basis: str
    price_per_second: float
    run_s: float
    cold_start_s: float


class JobOut(Schema):
    """A job."""

    id: str
    endpoint: str
    status: str
    reason: str
    explanation: str
    cancel_requested: bool
    may_have_run_twice: bool
    priority: str
    progress: Progress
    queue: Queue
    input: dict[str, Any]
    output: Any
    outputs: list[OutputFile]
    error: JobError | None
    attempts: list[AttemptOut]
    metrics: dict[str, float | None]
    cost: CostOut | None
    eta: datetime | None
    metadata: dict[str, Any]
    webhook: dict[str, Any] | None
    batch: str | None
    batch_index: int | None
    source_job: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    kept: bool
    retention_until: datetime | None
    urls: dict[str, str]


class KeepIn(StrictSchema):
    """Whether to keep a job."""

    kept: bool


class ListedJob(JobOut):
    """A job in a list; what is over 64 KiB is null here and named in `left_out`."""

    input: dict[str, Any] | None  # type: ignore[assignment] # a list tells less
    left_out: list[Literal["input", "output"]]


class JobPage(Schema):
    """One page of jobs, newest first."""

    data: list[ListedJob]
    next: str | None
    previous: str | None


class EndpointOut(Schema):
    """Something that runs jobs."""

    slug: str
    title: str
    description: str
    kind: str
    is_active: bool
    usual_seconds: float | None


class AlertOut(Schema):
    """A problem with an endpoint that only an operator can fix."""

    code: str
    message: str
    remedy: str
    raised_at: datetime


class Purged(Schema):
    """How many jobs the backend dropped."""

    removed: int


class EstimateIn(StrictSchema):
    """The input that a job would have."""

    input: dict[str, Any] = {}


class EstimateOut(Schema):
    """The median of similar jobs. Null before there are any, or without a price."""

    seconds: float | None
    cost: float | None
    currency: str
    based_on: int


class DiagnosisOut(Schema):
    """Why jobs wait at an endpoint. Evidence and next step are shown to staff."""

    cause: str
    sentence: str
    evidence: list[str]
    next_step: str


class EndpointDetail(EndpointOut):
    """An endpoint with what its input looks like, and how it is doing."""

    diagnosis: DiagnosisOut | None
    alerts: list[AlertOut]
    unreachable_at: datetime | None
    input_schema: dict[str, Any]
    example_input: dict[str, Any]
    health: dict[str, Any] | None


class EndpointPage(Schema):
    """All endpoints."""

    data: list[EndpointOut]
    next: str | None = None
    previous: str | None = None


class UploadIn(StrictSchema):
    """A file to upload."""

    filename: str = Field(..., max_length=1000)
    size: Size
    sha256: str = Field("", pattern="^(|[0-9a-fA-F]{64})$")
    fingerprint: str = Field(
        "",
        pattern="^(|[0-9a-fA-F]{64})$",
        description="What you know the file by; finds its unfinished upload again.",
    )


class PartNumbers(StrictSchema):
    """Parts to get links for."""

    numbers: list[PartNumber] = Field(..., min_length=1, max_length=100)


class PartLink(Schema):
    """Where to PUT one part, and exactly how many bytes."""

    number: int
    size: int
    url: str


class PartLinks(Schema):
    """Links for parts."""

    parts: list[PartLink]


class PartOut(Schema):
    """A part that has arrived."""

    number: int
    size: int


class UploadOut(Schema):
    """An upload. `method` tus: PATCH to `url`; `s3_multipart`: PUT parts by links."""

    id: str
    filename: str
    size: int
    received: int
    status: str
    content_type: str
    sha256: str
    problem: str
    method: str
    url: str
    part_size: int | None
    part_count: int | None
    parts: list[PartOut] = []
    deduplicated: bool = False
    expires_at: datetime | None


class BudgetOut(Schema):
    """A limit on money that binds the caller."""

    amount: float
    period: str
    endpoint: str | None
    left: float


class Me(Schema):
    """The caller."""

    username: str
    scopes: list[str]
    endpoints: list[str] = Field([], description="The only ones; empty: all.")
    spent_today: float
    spent_this_month: float
    currency: str
    budgets: list[BudgetOut]
