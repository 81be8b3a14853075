"""Every (source, target, actor): the table in docs/architecture.md, and nothing else."""

import itertools
from pathlib import Path

import pytest

from jobs.lib.errors import IllegalMove
from jobs.states import ACTIVE, ENDS, MOVES, REMOTE, Actor, JobStatus, check_move
from tests.factories import make_job

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"


def rows_of_the_document():
    """Return [from, to, who may, when] for each row of the state machine's table."""
    _, _, text = DOCUMENT.read_text().partition("\n## The state machine")
    section, _, _ = text.partition("\n## ")
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [
        [cell.strip() for cell in line[1:-1].split("|")] for line in lines
    ]
    assert head == ["from", "to", "who may", "when"]
    return rows


def moves_of_the_document():
    """Return {(from, to): actors}; refuse a row that could be read in two ways."""
    moves, above = {}, ""
    for source, to, who, when in rows_of_the_document():
        assert when, f"{source} to {to}: when?"
        above = source or above
        pairs = itertools.product(above.split(", "), to.split(", "))
        for pair in ((JobStatus(one), JobStatus(other)) for one, other in pairs):
            assert pair not in moves, f"{pair} is there twice"
            moves[pair] = {Actor(name) for name in who.split(", ")}
    return moves


TABLE = moves_of_the_document()
EVERY = list(itertools.product(JobStatus, JobStatus, Actor))


def is_legal(source, to, by):
    try:
        check_move(source, to, by)
    except IllegalMove:
        return False
    return True


@pytest.mark.parametrize(("source", "to", "by"), EVERY)
def test_a_move_is_legal_where_the_document_says_so(source, to, by):
    assert is_legal(source, to, by) == (by in TABLE.get((source, to), ()))


def test_the_document_tells_of_every_status_and_actor():
    assert {status for pair in TABLE for status in pair} == set(JobStatus)
    assert set().union(*TABLE.values()) == set(Actor)


def test_a_refused_move_says_who_wanted_what():
    with pytest.raises(IllegalMove, match="user may not move a job from FINALIZING"):
        check_move(JobStatus.FINALIZING, JobStatus.FAILED, Actor.USER)


def test_an_end_is_a_status_without_way_out():
    assert set(JobStatus) - {source for source, _ in TABLE} == ENDS
    assert {source for source, _ in MOVES} == ACTIVE


def test_the_backend_times_out_what_it_may_have_and_nothing_else():
    timed_out = {pair: by for pair, by in TABLE.items() if pair[1] == "TIMED_OUT"}
    assert {source for (source, _), by in timed_out.items() if "sync" in by} == REMOTE


def test_every_active_status_reaches_every_kind_of_end():
    for status in ACTIVE:
        reached, todo = set(), [status]
        while todo:
            here = todo.pop()
            new = {to for source, to in MOVES if source == here} - reached
            reached |= new
            todo += new
        # A result that has arrived is no longer cancelled or timed out.
        ends = (
            {JobStatus.COMPLETED, JobStatus.FAILED}
            if status == JobStatus.FINALIZING
            else ENDS
        )
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
