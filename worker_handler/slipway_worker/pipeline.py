"""Three stages at once: read, work, write, with little between them.

Reading and writing have a thread each, working has the caller's. An error in one stage
stops the others; whatever happens, no thread is left behind.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

HELD = 6  # items between two stages
LOOK_SECONDS = 0.1
_END = object()


class _Stopped(Exception):
    """Another stage has failed, or nobody wants the rest."""


def run(
    read: Iterable[Any], work: Callable[[Any], Any], write: Callable[[Any], None]
) -> None:
    """Hand every item of `read` through `work` to `write`, in their order.

    Raise what the first failing stage raised.
    """
    _Pipeline(read, work, write).run()


class _Pipeline:
    def __init__(
        self,
        read: Iterable[Any],
        work: Callable[[Any], Any],
        write: Callable[[Any], None],
    ) -> None:
        self._read, self._work, self._write = read, work, write
        self._stop = threading.Event()
        self._before, self._after = _Between(self._stop), _Between(self._stop)
        self._errors: list[BaseException] = []

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._guarded, args=[stage], name=stage.__name__)
            for stage in (self._reading, self._writing)
        ]
        for thread in threads:
            thread.start()
        self._guarded(self._working)
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._errors.append(error)
            self._stop.set()

    def _reading(self) -> None:
        for item in self._read:
            self._before.put(item)
        self._before.put(_END)

    def _working(self) -> None:
        while (item := self._before.get()) is not _END:
            self._after.put(self._work(item))
        self._after.put(_END)

    def _writing(self) -> None:
        while (item := self._after.get()) is not _END:
            self._write(item)


class _Between:
    """Holds a few items; waiting ends when the work is stopped."""

    def __init__(self, stop: threading.Event) -> None:
        self._items: queue.Queue[Any] = queue.Queue(HELD)
        self._stop = stop

    def put(self, item: Any) -> None:
        """Add an item, when there is room."""
        while not self._stop.is_set():
            try:
                self._items.put(item, timeout=LOOK_SECONDS)
            except queue.Full:
                continue
            return
        raise _Stopped

    def get(self) -> Any:
        """Return the next item, when there is one."""
        while not self._stop.is_set():
            try:
                return self._items.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
        raise _Stopped
