"""Progress: numbered, at most two reports a second, sent in order."""

import threading
import time
from typing import Any

from slipway_worker.contract import Slipway

MIN_PAUSE_SECONDS = 0.5


class Progress:
    """Counts and sends the reports of one job.

    Numbers begin at the clock's milliseconds, so a redelivered attempt on another
    worker still counts upwards.
    """

    def __init__(self, slipway: Slipway | None, cancel: threading.Event) -> None:
        self._slipway, self._cancel = slipway, cancel
        self._seq = int(time.time() * 1000)
        self._sent_at = 0.0
        self._stage = ""

    def report(self, fraction: float | None, stage: str, message: str) -> None:
        """Send unless the last report was a moment ago and the stage is the same."""
        now = time.monotonic()
        is_news = stage != self._stage or now - self._sent_at >= MIN_PAUSE_SECONDS
        if self._slipway is None or not is_news:
            return
        self._sent_at, self._stage = now, stage
        self._seq += 1
        body: dict[str, Any] = {
            "seq": self._seq,
            "fraction": fraction,
            "stage": stage,
            "message": message,
        }
        if not self._slipway.progress(body):
            self._cancel.set()
