"""The contract of a store and its errors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from jobs.lib.errors import SlipwayError

# The names of stores, as rows keep them.
LOCAL, S3 = "local", "s3"


class StoreError(SlipwayError):
    """The store could not do it; what was stored before is untouched."""

    code = "store"
    http_status = 503


class StoreFull(StoreError):
    """No space left. Bytes acknowledged earlier are still there."""

    code = "no_space"
    http_status = 507


class WrongOffset(StoreError):
    """The file does not end where the caller wants to go on."""

    code = "wrong_offset"
    http_status = 409


class BadParts(StoreError):
    """The bucket cannot make a file of these parts, and never will."""


class NoSuchMultipart(StoreError):
    """The bucket knows no such unfinished file: finished, aborted, or never begun."""


@dataclass(frozen=True)
class Part:
    """One part that has arrived whole. `number` counts from 1."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True)
class Served:
    """How a file is to be served: response headers that a link carries."""

    content_type: str
    content_disposition: str


class Writer(Protocol):
    """One open file that grows. Only its holder may append."""

    offset: int

    def write(self, *pieces: bytes) -> None:
        """Append all of `pieces`, or raise and keep the offset where it was."""

    def flush_to_disk(self) -> None:
        """Return once every byte written survives a power cut."""


class Store(Protocol):
    """Holds files under server-made keys such as `in/<id>`."""

    name: str

    def size(self, key: str) -> int:
        """Return the number of bytes stored; 0 when there is no such file."""

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield bytes `start` to `end` (exclusive) in pieces."""

    def save(self, key: str, pieces: Iterable[bytes]) -> int:
        """Write a whole file, replacing any; return its size once it is durable.

        Whatever `pieces` raises passes through, and nothing is left then.
        """

    def delete(self, key: str) -> None:
        """Remove the file; no error when it is not there."""

    def free_bytes(self) -> int | None:
        """Return how much more this store can take; None when nobody knows a limit."""

    def link(self, key: str, served: Served, lives: timedelta) -> str:
        """Return an expiring URL of the store itself; empty where only we can serve."""
