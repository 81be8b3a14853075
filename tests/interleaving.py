"""Another process that is quicker, at a chosen line."""

from contextlib import contextmanager

from django.db import connection


@contextmanager
def just_before(statement, act):
    """Call `act` once, just before the first SQL that contains `statement` is run."""
    was_called = False

    def run(execute, sql, *rest):
        nonlocal was_called
        if not was_called and statement in sql:
            was_called = True
            act()
        return execute(sql, *rest)

    with connection.execute_wrapper(run):
        yield
    assert was_called, f"nothing like {statement} was run"
