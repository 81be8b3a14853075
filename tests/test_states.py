"""Every (source, target, actor): the table in docs/architecture.md, and nothing else."""

import itertools

import pytest

from jobs.errors import IllegalMove
from jobs.states import ACTIVE, ENDS, MOVES, Actor, JobStatus, check_move
from tests.factories import make_job

S = JobStatus

EVERY = list(itertools.product(JobStatus, JobStatus, Actor))


@pytest.mark.parametrize(("source", "to", "by"), EVERY)
def test_only_the_moves_of_the_table_are_legal(source, to, by):
    if by in MOVES.get((source, to), ()):
        check_move(source, to, by)
    else:
        with pytest.raises(IllegalMove):
            check_move(source, to, by)


def test_an_end_has_no_way_out():
    assert not [pair for pair in MOVES if pair[0] in ENDS]


def test_every_active_status_reaches_every_kind_of_end():
    for status in ACTIVE:
        reached, todo = set(), [status]
        while todo:
            here = todo.pop()
            new = {to for source, to in MOVES if source == here} - reached
            reached |= new
            todo += new
        # A result that has arrived is no longer cancelled or timed out.
        ends = {S.COMPLETED, S.FAILED} if status == S.FINALIZING else ENDS
        assert reached >= ends


@pytest.mark.db
@pytest.mark.django_db
def test_a_move_and_its_event_are_saved_together():
    job = make_job()
    assert job.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=1)
    event = job.events.get()
    assert (event.old_status, event.new_status) == ("PENDING", "SUBMITTING")
    assert event.actor == "submitter"
    job.refresh_from_db()
    assert (job.status, job.attempt_no, job.revision) == ("SUBMITTING", 1, 1)


@pytest.mark.db
@pytest.mark.django_db
def test_a_stale_job_moves_nothing():
    job = make_job()
    stale = type(job).objects.get(pk=job.pk)
    assert job.advance(JobStatus.CANCELLED, by=Actor.USER)
    assert not stale.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER)
    job.refresh_from_db()
    assert job.status == "CANCELLED"
    assert job.events.count() == 1
