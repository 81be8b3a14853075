"""The pages: what people see and send."""

import re

import pytest

from jobs.models import Job
from tests.factories import SCHEMA, make_endpoint, make_job, make_upload, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def alice(client):
    client.force_login(make_user())
    return client


def text(answer):
    return answer.content.decode()


@pytest.mark.parametrize("path", ["/", "/jobs/", "/new/blur/"])
def test_strangers_are_sent_to_sign_in(client, path):
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/sign-in/")


def test_the_first_page_teaches_the_next_step(alice):
    assert "There is no endpoint yet" in text(alice.get("/"))


def test_the_form_comes_from_the_schema(alice):
    make_endpoint(input_schema=SCHEMA)
    page = text(alice.get("/new/blur/"))
    assert 'accept="video/*,image/png"' in page
    assert 'type="radio"' in page
    assert "Advanced" in page


def test_presets_fill_the_form_in_and_the_licence_is_told(alice):
    presets = [{"title": "Bold & big", "input": {"style": "<b>"}}, {"title": 3}, "x"]
    extras = {"x-presets": presets, "x-licence": "MIT, by them"}
    make_endpoint(input_schema={**SCHEMA, **extras})
    page = text(alice.get("/new/blur/"))
    assert page.count("data-preset") == 1
    assert "preset=Bold%20%26%20big" in page
    assert "MIT, by them" in page
    presets[0]["input"] = {"style": SCHEMA["properties"]["style"]["enum"][1]}
    make_endpoint(slug="b", input_schema={**SCHEMA, **extras})
    [chosen] = re.findall(
        r'value="([^"]+)"[^>]*checked', text(alice.get("/new/b/?preset=Bold %26 big"))
    )
    assert chosen == presets[0]["input"]["style"]


def test_a_job_is_created_from_the_form(alice):
    make_endpoint(input_schema=SCHEMA)
    answer = alice.post(
        "/new/blur/",
        {
            "input-media": f"upload:{make_upload().pk}",
            "input-style": "cover",
            "input-level": "3",
        },
    )
    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert job.input["style"] == "cover"
    assert job.input["level"] == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "This field is required."),
        ({"input-media": "nonsense"}, "Give an uploaded file"),
        ({"input-media": "upload:nonsense"}, "Give an uploaded file"),
        (
            {"input-media": "upload:01a1fc94-15d8-7a38-8eb9-ec20a6b7b422"},
            "This upload does not exist",
        ),
        ({"input-media": "https://a.example/x", "input-level": "99"}, "at most 9"),
        (
            {"input-media": "https://a.example/x", "input-level": "many"},
            "Enter a whole number",
        ),
    ],
)
def test_a_mistake_stands_at_its_field_and_nothing_is_created(alice, data, words):
    make_endpoint(input_schema=SCHEMA)
    answer = alice.post("/new/blur/", data)
    assert answer.status_code == 422
    assert words in text(answer)
    assert not Job.objects.exists()


def test_run_again_fills_the_form_in(alice):
    endpoint = make_endpoint(input_schema=SCHEMA)
    job = make_job(
        "FAILED", endpoint=endpoint, input={"media": "https://a.example/clip"}
    )
    assert "https://a.example/clip" in text(alice.get(f"/new/blur/?from={job.pk}"))


def test_the_job_page_shows_every_move(alice):
    job = make_job()
    alice.post(f"/jobs/{job.pk}/cancel/")
    page = text(alice.get(f"/jobs/{job.pk}/"))
    assert "CANCELLED" in page
    assert "This job was cancelled on request." in page


@pytest.mark.parametrize(
    "status",
    ["PENDING", "SUBMITTING", "UNCONFIRMED", "IN_QUEUE", "IN_PROGRESS", "FINALIZING"]
    + ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"],
)
def test_the_job_page_opens_in_every_status(alice, status):
    job = make_job(status, error_message="It broke." if status == "FAILED" else "")
    for part in ("", "fragment/"):
        assert alice.get(f"/jobs/{job.pk}/{part}").status_code == 200


@pytest.mark.parametrize("path", ["", "fragment/", "live/", "outputs/x"])
def test_somebody_elses_job_is_not_there(alice, path):
    job = make_job(owner=make_user("bob"))
    assert alice.get(f"/jobs/{job.pk}/{path}").status_code == 404


def test_names_and_errors_cannot_carry_markup(alice):
    job = make_job("FAILED", error_message="<script>alert(1)</script>")
    page = text(alice.get(f"/jobs/{job.pk}/"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_the_list_takes_a_constant_number_of_queries(
    alice, django_assert_max_num_queries
):
    for _ in range(25):
        make_job("COMPLETED")
    with django_assert_max_num_queries(6):
        alice.get("/jobs/")


def test_pages_carry_a_strict_content_security_policy(alice):
    policy = alice.get("/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_error_pages_have_a_next_step(client):
    answer = client.get("/nope")
    assert answer.status_code == 404
    assert "To the start page" in text(answer)


def test_the_operator_cancels_and_purges_in_the_panel(client):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    job = make_job()
    for page in ("job", "endpoint", "upload", "apikey", "localworker"):
        assert client.get(f"/admin/jobs/{page}/").status_code == 200
    assert client.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200
    client.post("/admin/jobs/job/", {"action": "cancel", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.status == "CANCELLED"


def test_health_and_readiness(client):
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json()["parts"]["database"] == "ok"


def test_what_looks_like_code_is_text_on_every_page(alice):
    """B27: nothing of a job's input, metadata or name runs or breaks a page."""
    evil = {
        "__proto__": {"x": 1},
        "a": "</script><script>alert(1)</script>",
        "b": "=1+1",
    }
    job = make_job("FAILED", input=evil, metadata=evil, error_message="<img onerror=x>")
    page = text(alice.get(f"/jobs/{job.pk}/"))
    assert "<script>alert" not in page
    assert "<img onerror" not in page
    assert "&lt;/script&gt;" in page
    assert "__proto__" in page
    shown = alice.get(f"/api/v1/jobs/{job.pk}").json()
    assert shown["input"] == shown["metadata"] == evil
