"""Django's PostgreSQL backend, but for how a kept connection is tried before use."""

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    """Tries a connection without a round trip."""

    @property
    def pool(self) -> Any:
        """Return the pool, with our way to try connections."""
        pool: Any = super().pool
        if pool is not None:
            pool._check = check  # Django passes its own, and takes no other
        return pool


def check(connection: Connection[Any]) -> None:
    """Raise if a pooled connection has died.

    One that the server has closed has something to read. Only then it is asked: asking
    each time would be one round trip more for every request.
    """
    if select.select([connection], [], [], 0)[0]:
        ConnectionPool.check_connection(connection)
