"""How many jobs the backend may hold, whose turn comes, and which held jobs end."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.services.lifecycle import release
from jobs.services.operations import endpoints
from tests.factories import make_endpoint, make_job, make_user
from tests.rows import ago, reread

pytestmark = [pytest.mark.db, pytest.mark.django_db]
HOUR = 3600


@pytest.fixture
def endpoint():
    return make_endpoint(contract="plain", max_workers=2)


def held(endpoint, name="alice", **fields):
    return make_job(endpoint=endpoint, owner=make_user(name), **fields)


# --- room --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "is_there"),
    [
        ("PENDING", False),
        ("SUBMITTING", True),
        ("UNCONFIRMED", True),
        ("IN_QUEUE", True),
        ("IN_PROGRESS", True),
        ("FINALIZING", False),
        ("COMPLETED", False),
    ],
)
def test_a_job_takes_room_while_the_backend_may_have_it(endpoint, status, is_there):
    endpoint.release_window = 5
    make_job(status, endpoint=endpoint)
    make_job("IN_QUEUE", endpoint=make_endpoint("other"))
    assert release.room(endpoint, workers=0) == 5 - is_there


def test_room_is_never_less_than_none(endpoint):
    endpoint.release_window = 1
    for n in range(3):
        make_job("IN_QUEUE", endpoint=endpoint, runpod_id=f"j{n}")
    assert release.room(endpoint, workers=0) == 0


@pytest.mark.parametrize(
    ("most", "workers", "at_once", "window"),
    [
        (2, 0, 1, 12),
        (2, 1, 1, 12),
        (2, 3, 1, 13),
        (10, 0, 1, 20),
        (2, 0, 3, 16),
        (4, 8, 2, 32),
    ],
)
def test_a_window_has_a_margin_of_ten_or_as_many_again(most, workers, at_once, window):
    endpoint = make_endpoint(max_workers=most, worker_concurrency=at_once)
    assert endpoints.release_window(endpoint, workers=workers) == window


@pytest.mark.parametrize("own", [1, 500, None])
def test_a_window_of_its_own_stands_whatever_workers_there_are(endpoint, own):
    endpoint.release_window = own
    assert endpoints.release_window(endpoint, workers=99) == own


# --- turns -------------------------------------------------------------------------------
def turn(endpoint, name="alice", priority=1):
    return release.next_turn(endpoint, make_user(name), priority)


def test_where_nobody_waits_the_first_turn_is_nought(endpoint):
    assert turn(endpoint) == 0


def test_a_turn_comes_after_the_owners_last_and_not_before_the_endpoints(endpoint):
    for number in (8, 7):
        held(endpoint, turn=number)
    assert (turn(endpoint), turn(endpoint, "bob")) == (9, 7)


@pytest.mark.parametrize(
    "elsewhere", [{"priority": 0}, {"status": "IN_QUEUE"}, {"endpoint": "other"}]
)
def test_only_those_who_wait_in_the_same_line_count(endpoint, elsewhere):
    if "endpoint" in elsewhere:
        elsewhere = {"endpoint": make_endpoint("other")}
    make_job(**{"endpoint": endpoint, "turn": 7, "owner": make_user(), **elsewhere})
    assert turn(endpoint) == 0


# --- who goes ----------------------------------------------------------------------------
def test_no_more_go_than_there_is_room_for(endpoint):
    first, second, _ = (held(endpoint, turn=n) for n in range(3))
    assert release.pick(endpoint, 1) == [first]
    assert release.pick(endpoint, 1, busy=[first.pk]) == [second]


@pytest.mark.parametrize("status", ["SUBMITTING", "IN_QUEUE", "CANCELLED"])
def test_only_held_jobs_go(endpoint, status):
    make_job(status, endpoint=endpoint)
    held(make_endpoint("other"))
    assert release.pick(endpoint, 9) == []


def test_what_was_purged_does_not_go_and_what_came_after_does():
    endpoint = make_endpoint(purged_at=now())
    held(endpoint, created_at=endpoint.purged_at)
    later = held(endpoint, created_at=endpoint.purged_at + timedelta(milliseconds=1))
    assert release.pick(endpoint, 9) == [later]


def test_what_goes_is_read_with_its_endpoint_at_once(
    endpoint, django_assert_num_queries
):
    held(endpoint)
    with django_assert_num_queries(1):
        assert [job.endpoint.title for job in release.pick(endpoint, 9)] == ["Blur"]


# --- held jobs that end ------------------------------------------------------------------
def test_a_held_job_that_may_go_stays(endpoint):
    job = held(endpoint, created_at=ago(23 * HOUR))
    assert release.drop_held(endpoint) == 0
    assert reread(job).status == "PENDING"


@pytest.mark.parametrize("status", ["SUBMITTING", "IN_QUEUE", "IN_PROGRESS"])
def test_only_held_jobs_are_dropped(endpoint, status):
    fields = {"cancel_requested_at": now(), "created_at": ago(99 * HOUR)}
    job = make_job(status, endpoint=endpoint, **fields)
    elsewhere = held(make_endpoint("other"), **fields)
    assert release.drop_held(endpoint) == 0
    assert (reread(job).status, reread(elsewhere).status) == (status, "PENDING")


def test_a_wish_to_cancel_is_a_better_reason_than_any_other(endpoint):
    endpoint.purged_at = endpoint.not_found_at = now()
    endpoint.unreachable_at, endpoint.not_found_count = ago(21), 3
    job = held(endpoint, cancel_requested_at=now(), created_at=ago(25 * HOUR))
    assert release.drop_held(endpoint) == 1
    assert (reread(job).status, job.reason) == ("CANCELLED", "user")


@pytest.mark.parametrize(
    ("created", "status"), [(0, "CANCELLED"), (1, "PENDING"), (-1, "CANCELLED")]
)
@pytest.mark.parametrize("why", ["purged", "gone"])
def test_what_came_later_than_the_purge_or_the_last_404_stays(
    endpoint, why, created, status
):
    at = ago(10)
    if why == "purged":
        endpoint.purged_at = at
    else:
        endpoint.not_found_at, endpoint.not_found_count = at, 3
        endpoint.unreachable_at = ago(40)
    job = held(endpoint, created_at=at + timedelta(seconds=created))
    assert release.drop_held(endpoint) == (status == "CANCELLED")
    assert reread(job).status == status


@pytest.mark.parametrize(("count", "seconds"), [(2, 40), (3, 10)])
def test_while_it_is_not_certain_that_the_endpoint_has_gone_jobs_stay(
    endpoint, count, seconds
):
    endpoint.not_found_at, endpoint.not_found_count = now(), count
    endpoint.unreachable_at = ago(seconds)
    held(endpoint, created_at=ago(60))
    assert release.drop_held(endpoint) == 0


def test_each_end_says_who_dropped_the_job(endpoint):
    endpoint.purged_at, endpoint.not_found_at = ago(60), ago(30)
    endpoint.unreachable_at, endpoint.not_found_count = ago(90), 3
    rows = [
        held(endpoint, cancel_requested_at=now()),
        held(endpoint, created_at=ago(70)),
        held(endpoint, created_at=ago(40)),
    ]
    assert release.drop_held(endpoint) == 3
    ends = [(job.events.get().actor, reread(job).reason) for job in rows]
    assert ends == [
        ("user", "user"),
        ("user", "purged"),
        ("sync", "endpoint_not_found"),
    ]
    late = held(endpoint, created_at=ago(25 * HOUR))
    endpoint.purged_at = endpoint.unreachable_at = None
    assert release.drop_held(endpoint) == 1
    assert late.events.get().actor == "sweeper"


@pytest.mark.parametrize("why", ["cancelled", "purged", "gone", "old"])
def test_held_jobs_end_some_at_a_time(endpoint, monkeypatch, why):
    monkeypatch.setattr(release, "AT_ONCE", 2)
    created_at = ago(25 * HOUR) if why == "old" else ago(60)
    cancel_requested_at = now() if why == "cancelled" else None
    if why == "purged":
        endpoint.purged_at = now()
    if why == "gone":
        endpoint.not_found_at, endpoint.not_found_count = now(), 3
        endpoint.unreachable_at = ago(21)
    for _ in range(3):
        held(endpoint, created_at=created_at, cancel_requested_at=cancel_requested_at)
    assert [release.drop_held(endpoint) for _ in range(3)] == [2, 1, 0]
