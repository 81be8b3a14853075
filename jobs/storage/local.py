"""Files below one folder of the local disk.

The size of a file on disk *is* the offset of its upload: nothing else knows it better
after a crash.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.storage.base import StoreError, StoreFull, WrongOffset

PIECE = 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class LocalWriter:
    """Appends to one open file and never leaves half a piece behind."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self.offset = offset

    def write(self, piece: bytes) -> None:
        """Append all of `piece`; on a full disk cut back to the last whole piece."""
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            os.ftruncate(self._descriptor, self.offset)
            if error.errno in _FULL:
                raise StoreFull("The disk is full.") from error
            raise StoreError(os.strerror(error.errno or 0)) from error
        self.offset += len(piece)

    def flush_to_disk(self) -> None:
        """Wait until the bytes are on the disk itself."""
        os.fdatasync(self._descriptor)


class LocalStore:
    """The store on a local disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def writer(self, key: str, offset: int) -> Iterator[LocalWriter]:
        """Open `key` for its only writer; raise `StoreError` if there is another."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        if offset == 0:
            flags |= os.O_CREAT
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreError(os.strerror(error.errno or 0)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(descriptor).st_size
            if size != offset:
                raise WrongOffset(f"The file has {size} bytes, not {offset}.")
            yield LocalWriter(descriptor, offset)
        except BlockingIOError as error:
            raise StoreError("Another writer holds the file.") from error
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int:
        """Return the bytes on disk."""
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return 0

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` (exclusive)."""
        with self._path(key).open("rb") as file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        self._path(key).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the free bytes of the disk that holds the store."""
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts or not path.is_relative_to(self._root):
            raise StoreError("A key never leaves the store.")
        return path
