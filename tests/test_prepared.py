"""Queries compiled once give what the queryset would give."""

import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection, connections

from jobs.models import ApiKey, Endpoint, Job
from jobs.models.prepared import Prepared
from jobs.services.lifecycle import jobs, release
from tests.factories import make_endpoint, make_job, make_key, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_a_job_comes_with_its_endpoint_in_one_query(django_assert_num_queries):
    job = make_job("IN_PROGRESS", metadata={"a": [1]})
    with django_assert_num_queries(1):
        loaded = Job.seen_by(job.owner, job.pk)
        assert loaded.endpoint.slug == "blur"
    assert loaded.pk == job.pk
    assert (loaded.metadata, loaded.created_at) == ({"a": [1]}, job.created_at)
    assert Job.seen_by(make_user("bob"), job.pk) is None
    assert Job.seen_by(make_user("boss", is_staff=True), job.pk).pk == job.pk


def test_a_job_that_is_being_deleted_is_gone_for_everybody():
    job = make_job("COMPLETED", deleting_at=datetime(2026, 1, 1, tzinfo=UTC))
    for user in (job.owner, make_user("boss", is_staff=True)):
        assert Job.seen_by(user, job.pk) is None


def test_each_call_has_its_own_values():
    for slug in ("one", "two"):
        make_endpoint(slug)
    assert [Endpoint.by_slug(s).slug for s in ("two", "one")] == ["two", "one"]
    assert Endpoint.by_slug("three") is None


def test_a_key_is_found_by_its_secret_only():
    secret = make_key()
    assert ApiKey.objects.find(secret).owner.username == "alice"
    assert ApiKey.objects.find(secret + "x") is None


def test_values_that_come_several_times_are_put_in_everywhere():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    early = Prepared(
        lambda at, pk: (
            Job.objects.filter(created_at__lt=at) | Job.objects.filter(pk=pk)
        ),
        at=(at, datetime(2026, 1, 2, tzinfo=UTC)),
        pk=(UUID(int=1), UUID(int=2)),
    )
    job = make_job()
    assert [one.pk for one in early.all(at=at, pk=job.pk)] == [job.pk]
    assert early.count(at=datetime(2100, 1, 1, tzinfo=UTC), pk=UUID(int=9)) == 1
    assert early.count(at=at, pk=UUID(int=9)) == 0


def test_the_position_is_what_ranking_all_gives():
    endpoint, bob = make_endpoint(), make_user("bob")
    made = [make_job("IN_QUEUE"), make_job("IN_QUEUE"), make_job("IN_PROGRESS")]
    for owner, priority in ((None, 1), (bob, 1), (None, 1), (bob, 0), (None, 2)):
        made.append(
            jobs.create(
                owner=owner or make_user(),
                endpoint=endpoint,
                input={"a": 1},
                priority=priority,
            )
        )
    ranked = jobs.queue_positions(made)
    assert [jobs.queue_position(job) for job in made] == [
        ranked.get(job.pk) for job in made
    ]
    assert sorted(ranked.values()) == list(range(1, 8))


def test_a_rough_position_is_none_behind_very_many(monkeypatch):
    near = Prepared(
        lambda **parameters: jobs._ahead_of_held(**parameters)[:2], **jobs._HELD
    )
    monkeypatch.setattr(jobs, "ROUGHLY", 2)
    monkeypatch.setattr(jobs, "_NEAR_HELD", near)
    endpoint = make_endpoint()
    made = [
        jobs.create(owner=make_user(), endpoint=endpoint, input={"a": 1})
        for _ in range(4)
    ]
    positions = [jobs.queue_position(job, is_rough=True) for job in made]
    assert positions == [1, 2, None, None]


def test_turns_go_on_behind_the_owners_last():
    endpoint, alice, bob = make_endpoint(), make_user(), make_user("bob")
    assert release.next_turn(endpoint, alice, 1) == 0
    for turn in (4, 5):
        make_job(endpoint=endpoint, owner=alice, turn=turn)
    assert release.next_turn(endpoint, alice, 1) == 6
    assert release.next_turn(endpoint, bob, 1) == 4
    assert release.next_turn(endpoint, bob, 0) == 0


@pytest.mark.django_db(transaction=True)
def test_another_thread_uses_its_own_connection():
    make_endpoint()
    assert Endpoint.by_slug("blur")
    slugs = []

    def look():
        try:
            slugs.append(Endpoint.by_slug("blur").slug)
        finally:
            connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert slugs == ["blur"]


@pytest.mark.django_db(transaction=True)
def test_a_kept_connection_that_the_server_has_closed_is_not_used_again():
    make_endpoint()
    pids = []

    def look():
        try:
            assert Endpoint.by_slug("blur")
            if connection.vendor == "postgresql":
                pids.append(connection.connection.info.backend_pid)
        finally:
            connections.close_all()

    def in_another_thread():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    in_another_thread()
    for pid in pids:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    count = len(pids)
    in_another_thread()
    assert len(pids) == 2 * count
    assert len(set(pids)) == len(pids)
