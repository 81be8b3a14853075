"""A lease: which process does something that one process is enough for."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import models
from django.utils.timezone import now


class Lease(models.Model):
    """Saves effort, never guards a row: every step is safe to be taken twice."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @classmethod
    def take(cls, name: str, *, holder: str, seconds: float) -> bool:
        """Take or renew a lease; return False while another holds it."""
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
    def give_back(cls, name: str, *, holder: str) -> None:
        """Let the next one begin at once."""
        cls.objects.filter(name=name, holder=holder).update(until=now())

    @classmethod
    @contextmanager
    def held(cls, name: str, *, seconds: float) -> Iterator[str]:
        """Hold a lease while the block runs, as whom it yields; "" if somebody has it.

        Whoever works for longer than `seconds` takes it again meanwhile.
        """
        holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"[:64]
        if not cls.take(name, holder=holder, seconds=seconds):
            yield ""
            return
        try:
            yield holder
        finally:
            cls.give_back(name, holder=holder)
