"""A lease: which process does work that needs only one process."""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import models
from django.utils.timezone import now

from jobs.lib import conf

RENEW_SECONDS = 3.0


class Lease(models.Model):
    """Saves effort but protects no row: every step is safe to take twice."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @classmethod
    def take(cls, name: str, *, holder: str, seconds: float) -> bool:
        """Take or renew a lease; return False while another process holds it."""
        until = now() + timedelta(seconds=seconds)
        mine_or_old = models.Q(holder=holder) | models.Q(until__lt=now())
        if cls.objects.filter(mine_or_old, name=name).update(
            holder=holder, until=until
        ):
            return True
        _, is_new = cls.objects.get_or_create(
            name=name, defaults={"holder": holder, "until": until}
        )
        return is_new

    @classmethod
    def release(cls, name: str, *, holder: str) -> None:
        """Let another process take the lease immediately."""
        cls.objects.filter(name=name, holder=holder).delete()

    @classmethod
    @contextmanager
    def held(
        cls,
        name: str,
        *,
        seconds: float | None = None,
        on_renewal: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Iterator["HeldLease | None"]:
        """Hold a lease while the block runs; yield None if another process has it.

        `seconds` is its lifetime without renewal, HOLD_SECONDS by default.
        """
        held = HeldLease(name, seconds or conf.HOLD_SECONDS, on_renewal, monotonic)
        if not held.renew():
            yield None
            return
        try:
            yield held
        finally:
            cls.release(name, holder=held.holder)


class HeldLease:
    """A lease that this process holds. Long work must call `keep` repeatedly."""

    def __init__(
        self,
        name: str,
        seconds: float,
        on_renewal: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"[
            -64:
        ]
        self._name, self._seconds = name, seconds
        self._on_renewal, self._monotonic = on_renewal, monotonic
        self._renewed_at = 0.0

    def keep(self) -> bool:
        """Renew the lease if it is due; return False if another process has it."""
        if not self.is_due:
            return True
        self._on_renewal()
        return self.renew()

    @property
    def is_due(self) -> bool:
        """Whether the lease should be renewed now."""
        pause = min(RENEW_SECONDS, self._seconds / 4)
        return self._monotonic() - self._renewed_at > pause

    def renew(self) -> bool:
        """Take the lease for `seconds` from now; return False if another has it."""
        self._renewed_at = self._monotonic()
        return Lease.take(self._name, holder=self.holder, seconds=self._seconds)
