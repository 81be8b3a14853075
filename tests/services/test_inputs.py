"""What a job's input may be, and what is said when it is wrong."""

import pytest

from jobs.lib.errors import InvalidInput
from jobs.services.files import references
from jobs.services.lifecycle import inputs
from jobs.states import Actor, JobStatus
from tests.factories import SCHEMA, make_endpoint, make_job, make_upload, make_user

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def problems(input, **endpoint):
    endpoint = make_endpoint(**{"input_schema": SCHEMA, **endpoint})
    try:
        files = references.files_of([input], owner=make_user())
        inputs.check(endpoint, input, files)
    except InvalidInput as error:
        return {problem.pointer: problem.message for problem in error.problems}
    return {}


def test_a_url_or_an_upload_is_a_file():
    assert problems({"media": "https://example.com/clip.mp4"}) == {}
    assert problems({"media": f"upload:{make_upload().pk}"}) == {}


@pytest.mark.parametrize(
    ("input", "pointer", "words"),
    [
        ({}, "/input/media", "required"),
        ({"media": 5}, "/input/media", "Expected text"),
        ({"media": "clip.mp4"}, "/input/media", "upload:<id>"),
        ({"media": "ftp://example.com/x"}, "/input/media", "http"),
        ({"media": "https://user:pw@example.com/x"}, "/input/media", "http"),
        ({"media": "https://a/x", "level": "5"}, "/input/level", "whole number"),
        ({"media": "https://a/x", "level": 10}, "/input/level", "at most 9"),
        ({"media": "https://a/x", "level": 0}, "/input/level", "at least 1"),
        ({"media": "https://a/x", "style": "red"}, "/input/style", "blur, cover"),
        ({"media": "https://a/x", "stlye": "blur"}, "/input/stlye", "“style”"),
        ({"media": "https://a/x", "_slipway": {}}, "/input/_slipway", "reserved"),
        ({"media": "https://a/\0"}, "/input/media", "NUL"),
        ({"media": "https://a/\ud800"}, "/input/media", "surrogate"),
        ([], "/input", "object"),
        (None, "/input", "object"),
    ],
)
def test_each_mistake_is_named_at_its_field(input, pointer, words):
    by_pointer = problems(input)
    assert pointer in by_pointer, by_pointer
    assert words in by_pointer[pointer]


def test_every_mistake_is_told_at_once():
    assert len(problems({"level": 99, "nope": 1})) == 3


def test_an_upload_of_somebody_else_is_not_there():
    foreign = make_upload(owner=make_user("bob"))
    assert (
        "upload does not exist"
        in problems({"media": f"upload:{foreign.pk}"})["/input/media"]
    )


def test_text_that_calls_itself_a_video_is_refused():
    upload = make_upload(b"not a video at all", name="clip.mp4")
    assert "is text" in problems({"media": f"upload:{upload.pk}"})["/input/media"]


def test_an_empty_file_is_refused():
    upload = make_upload(b"", name="clip.mp4")
    assert "empty" in problems({"media": f"upload:{upload.pk}"})["/input/media"]


def test_an_unfinished_upload_is_refused():
    upload = make_upload()
    type(upload).objects.update(status="uploading")
    assert "not complete" in problems({"media": f"upload:{upload.pk}"})["/input/media"]


def test_an_empty_input_is_refused_where_runpod_would_drop_it():
    assert problems({}, slug="plain", contract="plain", input_schema={})
    assert not problems({}, slug="ours", input_schema={})


def test_an_input_nested_too_deeply_is_refused():
    value = {"media": "https://a/x"}
    for _ in range(70):
        value = {"a": value}
    assert "deeper" in next(iter(problems(value, slug="any", input_schema={}).values()))


def test_a_worker_gets_fresh_links_while_it_works_and_no_longer(client):
    endpoint = make_endpoint(input_schema=SCHEMA)
    upload = make_upload()
    job_input = {"media": f"upload:{upload.pk}", "style": "blur"}
    job = make_job("IN_PROGRESS", endpoint=endpoint, input=job_input)
    attempt = job.attempts.get()
    sent = inputs.for_backend(job, attempt)["_slipway"]
    assert sent["files"]["media"]["size"] == upload.size

    def ask():
        return client.post(
            f"/worker/v1/attempts/{attempt.pk.hex}/inputs",
            "{}",
            content_type="application/json",
            headers={"authorization": f"Bearer {sent['token']}"},
        )

    links = ask().json()["links"]
    assert list(links) == ["media"]
    assert "/files/" in links["media"]
    job.advance(JobStatus.CANCELLED, by=Actor.SYNC)
    assert ask().status_code == 409
