"""Purged, lost and unreachable, as people see it: why, and what to do."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.models import Endpoint, Job
from jobs.services.operations import alerts
from tests.factories import make_endpoint, make_job, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def boss(client):
    client.force_login(make_user("boss", is_staff=True, is_superuser=True))
    return client


def text(answer):
    return answer.content.decode()


@pytest.mark.parametrize(
    ("reason", "why", "remedy"),
    [
        ("purged", "emptied this endpoint&#x27;s queue", "run it again"),
        ("not_found", "no longer knows this job", "Run it again"),
        ("endpoint_not_found", "negative account balance", "check the balance"),
        ("user", "cancelled on request", ""),
        ("", "outside Slipway", "Run it again"),
    ],
)
def test_a_cancelled_job_says_why_and_what_to_do(client, reason, why, remedy):
    job = make_job("CANCELLED", reason=reason)
    client.force_login(job.owner)
    page = text(client.get(f"/jobs/{job.pk}/"))
    assert why in page
    assert remedy in page


def test_a_held_job_says_what_holds_it(client):
    job = make_job()
    client.force_login(job.owner)
    assert "Held here until RunPod has room" in text(client.get(f"/jobs/{job.pk}/"))
    alerts.raise_alert(job.endpoint, "key_refused")
    page = text(client.get(f"/jobs/{job.pk}/"))
    assert "The operator has to renew a key. Your job keeps its place" in page
    alerts.raise_alert(job.endpoint, alerts.STORE)
    alerts.resolve(job.endpoint, "key_refused")
    page = text(client.get(f"/jobs/{job.pk}/"))
    assert "operator has been told" in page


def test_the_operator_sees_an_alert_on_every_page_with_its_remedy(boss):
    alerts.raise_alert(make_endpoint(), "endpoint_not_found")
    for path in ("/", "/jobs/"):
        page = text(boss.get(path))
        assert "negative account balance" in page
        assert "recreate the endpoint" in page
    assert "negative account balance" in text(boss.get("/admin/jobs/alert/"))


def test_others_are_not_shown_alerts(client):
    alerts.raise_alert(make_endpoint(), "endpoint_not_found")
    client.force_login(make_user())
    assert "negative" not in text(client.get("/"))


def test_an_alert_is_raised_once_and_goes_when_it_is_over(boss):
    endpoint = make_endpoint()
    for _ in range(3):
        alerts.raise_alert(endpoint, "payment_required")
    assert len(alerts.open_ones()) == 1
    alerts.resolve(endpoint)
    assert alerts.open_ones() == []
    assert "used up" not in text(boss.get("/"))
    alerts.raise_alert(endpoint, "payment_required")
    assert len(alerts.open_ones()) == 1


def test_what_could_not_be_saved_stands_on_the_page(client):
    job = make_job("COMPLETED", output={"url": "https://example.com/x"})
    job.attempts.update(notes=["url could not be saved: the server answered 403."])
    client.force_login(job.owner)
    assert "the server answered 403" in text(client.get(f"/jobs/{job.pk}/"))


def test_the_panel_shows_since_when_an_endpoint_is_unreachable(boss):
    endpoint = make_endpoint()
    Endpoint.objects.update(unreachable_at=now() - timedelta(hours=1))
    assert "unreachable" in text(boss.get("/admin/jobs/endpoint/")).lower()
    page = boss.get(f"/admin/jobs/endpoint/{endpoint.pk}/change/")
    assert page.status_code == 200


def test_the_list_of_jobs_takes_the_same_queries_for_one_and_for_many(
    boss, django_assert_num_queries
):
    make_job()
    with django_assert_num_queries(5) as one:
        boss.get("/jobs/")
    for _ in range(20):
        make_job()
    with django_assert_num_queries(len(one)):
        boss.get("/jobs/")
    assert Job.objects.count() == 21
