"""Processes side by side, prepared once, that are given jobs."""

import multiprocessing
import queue
import threading
from collections.abc import Callable
from typing import Any

from tests.mutation import fresh, live
from tests.mutation.forks import Job, die_with_parent

SIDE_BY_SIDE = 2


class Servers:
    """Pairs of a prepared process and one that has imported nothing of ours."""

    def __init__(self, telling: dict[str, Any], arguments: list[str]) -> None:
        """Start them. None of them, nor we, has threads when it forks."""
        self._processes: list[Any] = []
        self._arguments = arguments
        self._live = [self._start(live.serve, telling) for _ in range(SIDE_BY_SIDE)]
        hellos = [connection.recv() for connection in self._live]
        self.tests: list[str] = hellos[0][0]
        self._fresh = [self._start(fresh.serve, template) for _, template in hellos]

    def _start(self, serve: Callable[..., None], given: Any) -> Any:
        forking = multiprocessing.get_context("fork")
        here, child_end = forking.Pipe()
        arguments = (serve, child_end, given, self._arguments)
        process = forking.Process(target=_begin, args=arguments)
        process.start()
        self._processes.append(process)
        child_end.close()
        return here

    def close(self) -> None:
        """End them."""
        for connection in (*self._live, *self._fresh):
            connection.send(None)
        for process in self._processes:
            process.join()

    def ask(self, number: int, job: Job, *, is_fresh: bool = False) -> list[tuple]:
        """Have one do a job; return what its child told."""
        connection = (self._fresh if is_fresh else self._live)[number]
        connection.send(job)
        return connection.recv()

    @staticmethod
    def share(things: list[Any], do: Callable[[Any, int], None]) -> None:
        """Call `do(thing, number of a pair)` for each, the pairs at once."""
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for thing in things:
            waiting.put(thing)
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=_work, args=(waiting, do, number, errors))
            for number in range(SIDE_BY_SIDE)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def _begin(serve: Callable[..., None], *arguments: Any) -> None:
    die_with_parent()
    serve(*arguments)


def _work(
    waiting: queue.SimpleQueue[Any],
    do: Callable[[Any, int], None],
    number: int,
    errors: list[BaseException],
) -> None:
    try:
        while not errors:
            do(waiting.get_nowait(), number)
    except queue.Empty:
        pass
    except BaseException as error:  # noqa: BLE001 - raised where the threads are joined
        errors.append(error)
