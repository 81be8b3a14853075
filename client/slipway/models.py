"""What the server tells, typed; `raw` is all of it."""

from dataclasses import dataclass, field
from typing import Any

ENDS = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})
Json = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """A file that a job made; `size` in bytes."""

    name: str
    content_type: str
    size: int
    sha256: str
    url: str


@dataclass(frozen=True)
class Job:
    """A job as it was when the server was asked."""

    id: str
    endpoint: str
    status: str
    output: Any = None
    outputs: list[Output] = field(default_factory=list)
    error: Json | None = None
    progress: Json = field(default_factory=dict)
    position: int | None = None
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, raw: Json) -> "Job":
        """Read a job."""
        return cls(
            id=raw["id"],
            endpoint=raw["endpoint"],
            status=raw["status"],
            output=raw["output"],
            outputs=[Output(**file) for file in raw["outputs"]],
            error=raw["error"],
            progress=raw["progress"],
            position=raw["queue"]["position"],
            raw=raw,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDS

    @property
    def web_url(self) -> str:
        """The page that shows it to people."""
        return str(self.raw["urls"]["web"])


@dataclass(frozen=True)
class Upload:
    """A file at the server; name it as `reference` in a job's input."""

    id: str
    filename: str
    size: int
    was_known: bool = False

    @property
    def reference(self) -> str:
        """What stands for it in `input`."""
        return f"upload:{self.id}"


@dataclass(frozen=True)
class Event:
    """What a job's live stream said: `job`, `status`, `progress`, `output` or `done`."""

    id: str
    kind: str
    data: Json
