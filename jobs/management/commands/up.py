"""`manage.py up`: everything on this machine, in one foreground process group."""

import fcntl
import shutil
import signal
import socket
import time
from typing import IO, Any
from urllib.request import urlopen

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections

from jobs.management import stack
from jobs.management.processes import Stack
from jobs.services.people import bootstrap

READY_SECONDS = 60


class Command(BaseCommand):
    """Migrate, create what a new installation needs, run all processes."""

    help = "Run web, Celery worker and beat, and one local GPU worker. Ctrl-C ends all."

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        parser.add_argument(
            "--no-sample", action="store_true", help="Do not submit the sample job."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C."""
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        lock = _only_one()
        _check_port()
        self._prepare(with_sample=not options["no_sample"])
        connections.close_all()
        running = Stack(stack.children(settings.DATA_DIR / "logs"), self._say)
        signal.signal(signal.SIGINT, running.ask_to_end)
        signal.signal(signal.SIGTERM, running.ask_to_end)
        try:
            running.start()
            self._announce()
            running.watch()
        finally:
            self._say("Stopping …")
            running.end()
            lock.close()

    def _prepare(self, *, with_sample: bool) -> None:
        call_command("migrate", verbosity=0)
        if not settings.REDIS_URL:
            # Messages are hints; the rows know better what is due.
            shutil.rmtree(settings.BROKER_DIR, ignore_errors=True)
        operator, password = bootstrap.ensure_operator()
        if password:
            self._say(f"Created the operator: user {operator}, password {password}")
            self._say("The password is not shown again.")
        bootstrap.ensure_local_endpoints(stack.read_runners())
        if with_sample:
            sample = settings.BASE_DIR / "samples" / "portrait-clip.mp4"
            bootstrap.ensure_sample_job(operator, sample)

    def _announce(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                with urlopen(f"{stack.own_url()}/healthz", timeout=1):  # noqa: S310 - http
                    self._say(
                        f"Slipway runs at {settings.PUBLIC_URL}   (Ctrl-C ends it)"
                    )
                    return
            except OSError:
                time.sleep(0.1)
        self._say(
            f"The web process is not up yet. See {settings.DATA_DIR}/logs/web.log"
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _only_one() -> IO[str]:
    """Refuse a second `up` on the same DATA_DIR; the lock ends with the process."""
    file = (settings.DATA_DIR / "up.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"Slipway already runs with DATA_DIR={settings.DATA_DIR}. "
            "Stop it first, or choose another DATA_DIR."
        ) from None
    return file


def _check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"{settings.HOST}:{settings.PORT} cannot be used ({error.strerror}). "
                "Choose another port: PORT=8001 make up"
            ) from None
