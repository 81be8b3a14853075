"""What goes in and out of `/batches`."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BeforeValidator, Field

from jobs.api.schemas import PartNumber, StrictSchema, whole

Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
Seconds = Annotated[int, Field(ge=1, le=31_536_000), BeforeValidator(whole)]
Attempts = Annotated[int, Field(ge=1, le=100), BeforeValidator(whole)]
# A JSON value whose kind depends on the endpoint.
Items = Annotated[list[Any], Field(min_length=1)]


class ItemList(StrictSchema):
    """Items in the request."""

    items: Items
    batch_size: PartNumber | None = Field(None, description="Items in one job.")


class Files(StrictSchema):
    """Files in a bucket, as Cortex has it."""

    s3_paths: list[Text] = Field(
        ...,
        min_length=1,
        max_length=1000,
        description="Prefixes or keys.",
        examples=[["s3://media/clips/"]],
    )
    includes: list[Text] = Field(
        [], max_length=100, description="Globs over the whole path; empty: all."
    )
    excludes: list[Text] = Field([], max_length=100)
    batch_size: PartNumber | None = Field(None, description="Items in one job.")


class BatchIn(StrictSchema):
    """Many inputs for one endpoint, from exactly one source."""

    endpoint: str = Field(..., max_length=60, examples=["echo"])
    items: Items | None = Field(
        None,
        description="Inputs, as the endpoint's input schema says; each is one job. A "
        "text stands for the field `field`.",
        examples=[[{"message": "one"}, {"message": "two"}]],
    )
    item_list: ItemList | None = None
    file: str | None = Field(
        None,
        max_length=60,
        description="`upload:<id>` of a file with one item in each line or row.",
    )
    format: Literal["ndjson", "json", "csv", "text"] | None = Field(
        None, description="Of `file`; where its name does not say it."
    )
    file_path_lister: Files | None = Field(
        None, description="Each file found is an item: its path."
    )
    delimited_files: Files | None = Field(
        None, description="Each JSON value in the files found is an item."
    )
    field: str = Field(
        "",
        max_length=80,
        pattern=r"^[^\x00]*$",
        description="Which field of the input an item that is a text is for. Empty: "
        "the first that takes a file, or that is required.",
    )
    input: dict[str, Any] = Field({}, description="What all inputs have.")
    batch_size: PartNumber | None = Field(
        None, description="Items in one job, as its `payload`; for batch handlers."
    )
    name: str = Field("", max_length=80, pattern=r"^[^\x00]*$")
    metadata: dict[str, Any] = {}
    priority: Literal["low", "normal", "high"] = "normal"
    workers: PartNumber | None = Field(
        None, description="How many of its jobs may be on their way at a time."
    )
    timeout: Seconds | None = Field(
        None, description="Seconds from now on, for all of it."
    )
    max_attempts: Attempts | None = Field(
        None, description="Of each job, whatever its error."
    )
    config: dict[str, Any] = Field(
        {}, description="For batch handlers; wins over the endpoint's, key by key."
    )
    on_job_complete: bool | None = Field(
        None,
        description="One more job, with an empty payload, when all have ended. By "
        "default where our own handler is given payloads.",
    )


class BatchCounts(Schema):
    """How many items are where; `waiting` are no jobs yet, `deleted` are gone by age."""

    waiting: int
    active: int
    completed: int
    failed: int
    cancelled: int
    deleted: int


class AmountOut(Schema):
    """Money."""

    amount: float
    currency: str


class BatchOut(Schema):
    """A batch. `status` is counted, not stored; `total` grows until it is `enqueued`."""

    id: str
    endpoint: str
    name: str
    status: str
    total: int
    enqueued: bool
    enqueue_error: str | None
    counts: BatchCounts
    metadata: dict[str, Any]
    workers: int
    batch_size: int | None
    timeout: int | None
    max_attempts: int | None
    config: dict[str, Any]
    cost: AmountOut = Field(description="Of the jobs that have ended.")
    completion_job: str | None = Field(description="The job that came after all.")
    cancel_requested: bool
    created_at: datetime
    ended_at: datetime | None
    urls: dict[str, str]


class FailureOut(Schema):
    """Failed items whose messages differ in names and numbers only."""

    code: str
    signature: str
    count: int
    first_index: int
    example: str
    retryable: bool


class BatchDetail(BatchOut):
    """A batch with how fast it goes and why items failed."""

    items_per_minute: float = Field(description="Over the last five minutes.")
    average_run_seconds: float | None
    eta: datetime | None = Field(description="When the last item ends at this rate.")
    failures: list[FailureOut]


class BatchPage(Schema):
    """One page of batches, newest first."""

    data: list[BatchOut]
    next: str | None
    previous: str | None


class BatchProblem(Schema):
    """An item that would fail."""

    index: int
    message: str


class BatchPlan(Schema):
    """What a dry run found. `total` is null where there is more than was looked at."""

    endpoint: str
    total: int | None
    checked: int
    estimated_cost: float | None = Field(
        description="US dollars, from earlier jobs. Null where that is not known."
    )
    workers: int
    files: list[str]
    problems: list[BatchProblem]


class Retried(Schema):
    """How many items are run again."""

    retried: int
