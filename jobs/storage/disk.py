"""Files below one folder of the local disk.

The size of a file on disk *is* the offset of its upload: nothing else knows it better
after a crash.
"""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from jobs.storage.base import LOCAL, Served, StoreError, StoreFull, WrongOffset

PIECE = 1024 * 1024
_BUFFERS = 512  # at once; Linux takes 1,024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class LocalWriter:
    """Appends to one open file and never leaves half a piece behind."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self.offset = offset

    def write(self, *pieces: bytes) -> None:
        """Append all of `pieces`; on a full disk cut back to where they began."""
        size, written = sum(map(len, pieces)), 0
        try:
            for start in range(0, len(pieces), _BUFFERS):
                written += os.writev(self._descriptor, pieces[start : start + _BUFFERS])
            if written < size:  # on its way to a full disk
                self._write_again(b"".join(pieces))
        except OSError as error:
            os.ftruncate(self._descriptor, self.offset)
            if error.errno in _FULL:
                raise StoreFull("The disk is full.") from error
            raise StoreError(os.strerror(error.errno or 0)) from error
        self.offset += size

    def _write_again(self, content: bytes) -> None:
        # A short write may have been followed by others: begin where the file was whole.
        os.ftruncate(self._descriptor, self.offset)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def cut_back_to(self, offset: int) -> None:
        """Forget everything from `offset` on."""
        os.ftruncate(self._descriptor, offset)
        self.offset = offset

    def flush_to_disk(self) -> None:
        """Wait until the bytes are on the disk itself."""
        os.fdatasync(self._descriptor)


class LocalStore:
    """The store on a local disk."""

    name = LOCAL

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def writer(
        self, key: str, offset: int, *, cut: bool = False
    ) -> Iterator[LocalWriter]:
        """Open `key` for its only writer; raise `StoreError` if there is another.

        `cut` forgets what may lie behind `offset`.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        if offset == 0:
            flags |= os.O_CREAT
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreError(os.strerror(error.errno or 0)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(descriptor).st_size
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError("This is no file of ours.")
            if cut and size > offset:
                os.ftruncate(descriptor, offset)
                size = offset
            if size != offset:
                raise WrongOffset(f"The file has {size} bytes, not {offset}.")
            yield LocalWriter(descriptor, offset)
        except BlockingIOError as error:
            raise StoreError("Another writer holds the file.") from error
        finally:
            os.close(descriptor)

    def save(self, key: str, pieces: Iterable[bytes]) -> int:
        """Write a whole file and wait for the disk."""
        self.delete(key)
        try:
            with self.writer(key, 0) as writer:
                for piece in pieces:
                    writer.write(piece)
                writer.flush_to_disk()
                return writer.offset
        except BaseException:
            self.delete(key)
            raise

    def size(self, key: str) -> int:
        """Return the bytes on disk; nothing but a plain file of ours counts."""
        try:
            attributes = self._path(key).lstat()
        except FileNotFoundError:
            return 0
        return attributes.st_size if stat.S_ISREG(attributes.st_mode) else 0

    def path(self, key: str) -> Path:
        """Return where the file lies, for a proxy that serves it for us."""
        return self._path(key)

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` (exclusive)."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path(key), flags)
        except OSError as error:
            raise StoreError(os.strerror(error.errno or 0)) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError("This is no file of ours.")
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

    def link(self, key: str, served: Served, lives: timedelta) -> str:
        """Only we can serve these files."""
        return ""

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts or not path.is_relative_to(self._root):
            raise StoreError("A key never leaves the store.")
        return path
