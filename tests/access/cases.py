"""Who is refused, and with which status: the matrix that tests are made of."""

import pytest

from tests.access.known_open import KNOWN_OPEN
from tests.access.rows import SAFE

# Secrets that open nothing, whatever they are sent to.
UNKNOWN = (
    "nobody",
    "a key that never was",
    "a revoked key",
    "an expired key",
    "a deactivated person's key",
    "a deactivated person's cookie",
)
FORGED = (
    "a cookie without token",
    "a cookie with another token",
    "a foreign site",
    "a site without a name",
)


def cases(rows, *callers, status):
    """Return (row, who, status) of each row and caller, as parameters of a test.

    `status` may be a function of the row; None leaves the row out.
    """
    answers = [(row, status(row) if callable(status) else status) for row in rows]
    return [
        pytest.param(row, who, code, id=f"{who}, {row.key}")
        for row, code in answers
        for who in callers
        if code is not None
    ]


def unsafe(rows):
    return [row for row in rows if row.verb not in SAFE]


def ids(row):
    return row.key


def check_refused(world, row, who, status):
    """Send a request that must be refused; nothing may come of it."""
    if (who, row.key) in KNOWN_OPEN:
        check_known_open(world, row, who)
        return
    if row.is_change:
        world.watch()
    answer = row.send(world.runner, world.callers[who], world.things[row.owner])
    assert answer.status == status, answer.text[-500:]
    if row.is_change:
        assert world.changed() == set()


def check_known_open(world, row, who):
    """Send a request that is let in today: to things that no other test needs."""
    status, _ = KNOWN_OPEN[who, row.key]
    check_let_in(world, row, world.callers[who], world.fresh(row), status)


def check_let_in(world, row, caller, things, status=None):
    """Send a request that must be let in; it does what it is for."""
    path = row.path(things)
    if row.is_change:
        world.watch()
    answer = row.send(world.runner, caller, things, path)
    assert answer.status == (status or row.status), answer.text[-500:]
    if row.is_change:
        assert world.changed() != set()
    return answer
