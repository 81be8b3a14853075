"""What happens when several processes want the same row, and what the database refuses."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connections

from jobs.local_endpoint import queue
from jobs.models import Job
from jobs.states import Actor, JobStatus
from tests.factories import make_job, make_local

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]
RACERS = 8


def race(function):
    def run(n):
        try:
            return function(n)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def test_of_eight_racing_moves_one_wins():
    job = make_job()
    stale = [Job.objects.get(pk=job.pk) for _ in range(RACERS)]
    won = race(
        lambda n: stale[n].advance(
            JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=1
        )
    )
    assert won.count(True) == 1
    assert job.events.count() == 1


def test_of_eight_racing_workers_each_item_goes_to_one():
    endpoint = make_local()
    for n in range(20):
        queue.put(endpoint, {"n": n}, policy={}, webhook="")
    taken = race(lambda n: [item.pk for item in queue.take("local", f"w{n}", 5)])
    # A racer may go away with little; what it missed is still waiting.
    taken.append([item.pk for item in queue.take("local", "late", 20)])
    handed_out = [pk for items in taken for pk in items]
    assert len(handed_out) == len(set(handed_out)) == 20


def test_the_database_refuses_a_job_that_the_loop_would_forget():
    job = make_job()
    with pytest.raises(IntegrityError):
        Job.objects.filter(pk=job.pk).update(due_at=None)
