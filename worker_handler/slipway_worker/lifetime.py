"""When a worker that runs itself ends: idle for long, one job for too long, or asked to.

RunPod ends its own workers; on one's own machine TERMINATE_IDLE_TIME and
WORK_TIMEOUT do it (seconds; unset or 0: never). Ending is SIGTERM to ourselves, which
the SDK takes as: finish what you have, take nothing more.
"""

import logging
import os
import signal
import threading
import time

logger = logging.getLogger("slipway")
LOOK_SECONDS = 0.5
GRACE_SECONDS = 10.0
TIMED_OUT = 3  # the exit code of a worker whose job would not stop


class Stop(threading.Event):
    """Set when a job is to stop; `limit` are the seconds it had, where that is why."""

    limit = 0.0


class Lifetime:
    """Watches one worker from a thread of its own."""

    def __init__(self) -> None:
        self._idle = _seconds("TERMINATE_IDLE_TIME")
        self._limit = _seconds("WORK_TIMEOUT")
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Stop]] = {}
        self._idle_since = time.monotonic()

    def watch(self) -> None:
        """Begin, if there is anything to watch."""
        if self._idle or self._limit:
            threading.Thread(target=self._watch, name="lifetime", daemon=True).start()

    def begin(self, id: str, cancel: Stop) -> None:
        """A job begins; `cancel` stops it."""
        with self._lock:
            self._running[id] = (time.monotonic(), cancel)

    def end(self, id: str) -> None:
        """A job has ended."""
        with self._lock:
            self._running.pop(id, None)
            self._idle_since = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                running = list(self._running.values())
                idle = 0.0 if running else now - self._idle_since
            if self._idle and idle > self._idle:
                logger.info("idle for %.0f s: the worker ends", idle)
                stop_worker()
                return
            for began, cancel in running:
                self._check(now - began, cancel)

    def _check(self, seconds: float, cancel: Stop) -> None:
        if not self._limit or seconds <= self._limit:
            return
        if not cancel.is_set():
            logger.error("a job takes longer than %.0f s: it is stopped", self._limit)
            cancel.limit = self._limit
            cancel.set()
        elif seconds > self._limit + GRACE_SECONDS:
            logger.error("the job does not stop: the worker ends")
            os._exit(TIMED_OUT)


def stop_worker() -> None:
    """Have this worker finish what it has and end."""
    os.kill(os.getpid(), signal.SIGTERM)


def _seconds(name: str) -> float:
    text = os.environ.get(name, "")
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        raise SystemExit(f"{name} is {text!r}; write seconds.") from None
