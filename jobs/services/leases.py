"""Holding work that takes minutes, so that one process at a time does it."""

import threading
import time
import uuid
from collections.abc import Callable

from jobs.lib import conf
from jobs.models import Lease

RENEW_SECONDS = 3.0
_PROCESS = uuid.uuid4().hex


class Hold:
    """A lease that is renewed while the work goes on. `also` is done at every renewal."""

    def __init__(self, name: str, also: Callable[[], None] = lambda: None) -> None:
        self._name, self._also = name, also
        self._holder = f"{_PROCESS}:{threading.get_ident()}"
        self._renewed_at = 0.0

    def take(self) -> bool:
        """Become the only one; return False while somebody else is."""
        return self._lease()

    def keep(self) -> None:
        """Say that the work goes on; call it as often as you like."""
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            self._lease()
            self._also()

    def release(self) -> None:
        """Nothing is left to do, or somebody else shall try."""
        Lease.objects.filter(name=self._name, holder=self._holder).delete()

    def _lease(self) -> bool:
        self._renewed_at = time.monotonic()
        return Lease.take(self._name, holder=self._holder, seconds=conf.HOLD_SECONDS)
