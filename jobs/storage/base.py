"""The contract of a store and its errors."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class StoreError(Exception):
    """The store could not do it; what was stored before is untouched."""


class StoreFull(StoreError):
    """No space left. Bytes acknowledged earlier are still there."""


class WrongOffset(StoreError):
    """The file does not end where the caller wants to go on."""


class Writer(Protocol):
    """One open file that grows. Only its holder may append."""

    offset: int

    def write(self, piece: bytes) -> None:
        """Append all of `piece`, or raise and keep the offset where it was."""

    def flush_to_disk(self) -> None:
        """Return once every byte written survives a power cut."""


class Store(Protocol):
    """Holds files under server-made keys such as `in/<id>`."""

    def writer(self, key: str, offset: int) -> AbstractContextManager[Writer]:
        """Open `key` for appending at `offset`; create it when offset is 0."""

    def size(self, key: str) -> int:
        """Return the number of bytes stored; 0 when there is no such file."""

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield bytes `start` to `end` (exclusive) in pieces."""

    def delete(self, key: str) -> None:
        """Remove the file; no error when it is not there."""

    def free_bytes(self) -> int:
        """Return how much more this store can take."""
