"""One world for all tests of a module.

The servers' threads have connections of their own, so its rows are committed. Who is
refused changes nothing (each test looks), and who is let in has things of their own:
nothing need be made anew for every test.
"""

import pytest
from django.core.management import call_command

from tests.access.world import World


@pytest.fixture(scope="module")
def transactional_db(django_db_setup, django_db_blocker):
    """As pytest-django's, but emptied at the end of the module."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(scope="module")
def world(transactional_db):
    made = World()
    yield made
    made.close()
