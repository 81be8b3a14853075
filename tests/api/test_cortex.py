"""Cortex's Batch API: its requests, its answers, its words."""

import json

import pytest
from django.utils.timezone import now

from jobs.models import Batch
from jobs.services.batching import batches, enqueuing
from jobs.services.lifecycle import batch_envelope, inputs
from jobs.states import Actor, JobStatus
from tests.factories import make_endpoint, make_key
from tests.services.test_batches import end
from tests.stack.stack import ROOT

pytestmark = [pytest.mark.db, pytest.mark.django_db]
SCHEMA = {
    "type": "object",
    "required": ["payload"],
    "properties": {"payload": {"type": "array"}},
}
ITEMS = {"item_list": {"items": [1, 2, 3, {"a": 4}, "five"], "batch_size": 2}}


@pytest.fixture(autouse=True)
def endpoint():
    config = {"model": {"name": "resnet", "size": 50}, "labels": ["a", "b"]}
    return make_endpoint("classifier", input_schema=SCHEMA, config=config)


@pytest.fixture
def cortex_api(client):
    """Call a route as a program written for Cortex does."""
    key = make_key()

    def call(method, query="", body=None, path="/batch/classifier", **headers):
        headers = headers or {"authorization": f"Bearer {key}"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.generic(
            method.upper(), f"{path}{query}", data, "application/json", headers=headers
        )

    return call


def submit(cortex_api, **body):
    answer = cortex_api("post", body={"workers": 2, **ITEMS, **body})
    assert answer.status_code == 200, answer.content
    return answer.json()


def status(cortex_api, job):
    answer = cortex_api("get", f"?jobID={job['job_id']}")
    assert answer.status_code == 200, answer.content
    return answer.json()["job_status"]


def make_all(job):
    for _ in range(9):
        batches.feed()
        yield from Batch.objects.get(pk=job["job_id"]).jobs.filter(status="PENDING")


def test_a_submission_answers_with_the_job(cortex_api):
    job = submit(cortex_api, timeout=60, config={"x": 1})
    assert job["api_name"] == "classifier"
    assert job["kind"] == "BatchAPI"
    assert (job["workers"], job["timeout"], job["config"]) == (2, 60, {"x": 1})
    assert job["total_batch_count"] == 3
    assert job["start_time"]
    assert set(job) == {
        *("job_id", "api_name", "kind", "workers", "config", "timeout", "api_id"),
        *("sqs_dead_letter_queue", "sqs_url", "total_batch_count", "start_time"),
    }


@pytest.mark.parametrize("path", ["/batch/classifier", "/api/v1/batch/classifier"])
def test_both_addresses_answer(cortex_api, path):
    answer = cortex_api("post", body={"workers": 1, **ITEMS}, path=path)
    assert answer.status_code == 200


def test_the_payloads_are_groups_and_the_handler_is_told_the_job(cortex_api):
    config = {"model": {"size": 101}, "labels": ["c"]}
    job = submit(cortex_api, workers=9, config=config)
    list(make_all(job))
    batch = Batch.objects.get()
    payloads = [one.input["payload"] for one in batch.jobs.order_by("batch_index")]
    assert payloads == [[1, 2], [3, {"a": 4}], ["five"]]
    one = batch.jobs.select_related("endpoint", "batch").first()
    sent = inputs.for_backend(one, one.attempts.create(number=1))["_batch"]
    assert sent["config"] == {"model": {"name": "resnet", "size": 101}, "labels": ["c"]}
    assert sent["job_spec"] == json.loads(json.dumps(job))
    assert (sent["id"], sent["on_job_complete"]) == (str(one.pk), False)
    documented = json.loads((ROOT / "docs/examples/batch.json").read_text())["_batch"]
    assert list(sent) == list(documented)
    assert list(sent["job_spec"]) == list(documented["job_spec"])


@pytest.mark.parametrize(
    ("base", "winner", "wanted"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_config_is_merged_key_by_key_and_the_submission_wins(base, winner, wanted):
    assert batch_envelope.merged(base, winner) == wanted


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"workers": 1}, "batchapi.specify_exactly_one_key", "specify exactly one"),
        (
            {
                "workers": 1,
                **ITEMS,
                "delimited_files": {"s3_paths": ["s3://b/a"], "batch_size": 1},
            },
            "batchapi.conflicting_fields",
            "item_list and delimited_files",
        ),
        (ITEMS, "batchapi.invalid", "workers"),
        ({"workers": 0, **ITEMS}, "batchapi.invalid", "workers"),
        ({"workers": True, **ITEMS}, "batchapi.invalid", "workers"),
        ({"workers": 1, "timeout": 0, **ITEMS}, "batchapi.invalid", "timeout"),
        ({"workers": 1, "config": [], **ITEMS}, "batchapi.invalid", "config"),
        ({"workers": 1, "wrokers": 1, **ITEMS}, "batchapi.invalid", "wrokers"),
        (
            {"workers": 1, "item_list": {"items": [], "batch_size": 1}},
            "batchapi.invalid",
            "item_list.items",
        ),
        (
            {"workers": 1, "item_list": {"items": [1], "batch_size": 0}},
            "batchapi.invalid",
            "item_list.batch_size",
        ),
        (
            {"workers": 1, "sqs_dead_letter_queue": {"arn": ""}, **ITEMS},
            "batchapi.invalid",
            "sqs_dead_letter_queue.arn",
        ),
        (
            {"workers": 1, "item_list": {"items": ["x" * 256_001], "batch_size": 1}},
            "batchapi.item_size_exceeds_limit",
            "item 0 is larger than 256000 bytes",
        ),
        (
            {
                "workers": 1,
                "item_list": {"items": ["x" * 200_000] * 2, "batch_size": 2},
            },
            "batchapi.message_exceeds_max_size",
            "batch 0 is larger than 256000 bytes",
        ),
        (b"{oops", "malformed", "not JSON"),
        ([], "batchapi.invalid", "dictionary"),
    ],
)
def test_a_submission_with_a_mistake_is_refused_in_cortexs_form(
    cortex_api, body, kind, words
):
    answer = cortex_api("post", body=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"kind", "message"}
    assert answer.json()["kind"] == kind
    assert words in answer.json()["message"]
    assert not Batch.objects.exists()


def test_an_endpoint_that_is_not_there_is_not_deployed(cortex_api):
    answer = cortex_api("post", body={"workers": 1, **ITEMS}, path="/batch/other")
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        "other is not deployed.",
    )


def test_a_dry_run_lists_the_files_and_creates_nothing(cortex_api, s3):
    for name in ("img/1.jpg", "img/2.jpg", "img/a.txt"):
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=b"x")
    lister = {
        "s3_paths": [f"s3://{s3.bucket}/img/"],
        "includes": ["**.jpg"],
        "batch_size": 1,
    }
    body = {"workers": 1, "file_path_lister": lister}
    answer = cortex_api("post", "?dryRun=true", body)
    assert answer["Content-Type"] == "text/plain"
    base = f"s3://{s3.bucket}/img"
    assert answer.content.decode().splitlines() == [
        f"{base}/1.jpg",
        f"{base}/2.jpg",
        "validations passed",
    ]
    answer = cortex_api("post", "?dryRun=true", {"workers": 1, **ITEMS})
    assert answer.content == b"validations passed\n"
    assert not Batch.objects.exists()
    body["file_path_lister"]["includes"] = ["**.gif"]
    answer = cortex_api("post", "?dryRun=true", body)
    assert answer.json() == {
        "kind": "batchapi.no_s3_files_found",
        "message": "no s3 files match search criteria",
    }
    assert answer.status_code == 400


def test_files_of_json_are_read_and_batches_span_them(cortex_api, s3):
    s3.client.put_object(Bucket=s3.bucket, Key="a.json", Body=b'{"n": 1}\n{"n": 2}')
    s3.client.put_object(Bucket=s3.bucket, Key="b.json", Body=b'{"n": 3}{"n": 4}')
    source = {"s3_paths": [f"s3://{s3.bucket}/"], "batch_size": 3}
    answer = cortex_api("post", body={"workers": 9, "delimited_files": source})
    job = answer.json()
    assert job["total_batch_count"] is None
    assert status(cortex_api, job)["status"] == "enqueuing"
    enqueuing.enqueue(Batch.objects.get().pk)
    list(make_all(job))
    payloads = [one.input["payload"] for one in Batch.objects.get().jobs.order_by("pk")]
    assert payloads == [[{"n": 1}, {"n": 2}, {"n": 3}], [{"n": 4}]]


def test_a_job_that_succeeds_is_told_from_its_beginning_to_its_end(cortex_api):
    job = submit(cortex_api)
    shown = status(cortex_api, job)
    assert (shown["status"], shown["batches_in_queue"]) == ("pending", 3)
    assert shown["batch_metrics"] == {
        "succeeded": 0,
        "failed": 0,
        "average_time_per_batch": None,
    }
    batches.feed()
    shown = status(cortex_api, job)
    assert (shown["status"], shown["worker_counts"]) == ("running", {"pending": 2})
    for one in make_all(job):
        end(one)
    shown = status(cortex_api, job)
    assert (shown["status"], shown["batches_in_queue"]) == ("succeeded", 0)
    assert shown["batch_metrics"]["succeeded"] == 3
    assert shown["end_time"]
    assert "worker_counts" not in shown


def test_on_job_complete_is_one_job_after_all_others(cortex_api):
    job = submit(cortex_api)
    seen = []
    for one in make_all(job):
        seen.append(one.input["payload"])
        end(one)
    assert seen[-1] == []
    assert len(seen) == 4
    batch = Batch.objects.get()
    one = batch.completion
    sent = inputs.for_backend(one, one.attempts.create(number=9))["_batch"]
    assert sent["on_job_complete"] is True
    batches.feed()
    assert batch.jobs.count() == 4
    assert status(cortex_api, job)["batch_metrics"]["succeeded"] == 3


def test_it_is_called_after_a_partial_failure_and_not_again_after_a_retry(cortex_api):
    job = submit(cortex_api)
    for one in make_all(job):
        one.attempts.create(number=1, ended_at=now())
        is_bad = one.input["payload"] == [1, 2]
        end(one, JobStatus.FAILED if is_bad else JobStatus.COMPLETED)
    shown = status(cortex_api, job)
    assert shown["status"] == "completed_with_failures"
    assert (shown["failed_batches"], shown["failed_attempts"]) == (1, 1)
    batch = Batch.objects.get()
    assert batch.completion.status == JobStatus.COMPLETED
    assert batches.retry_failed(batch) == 1
    for one in make_all(job):
        assert one.input["payload"] == [1, 2]
        end(one)
    # Cortex: failed attempts count although a later one succeeded.
    shown = status(cortex_api, job)
    assert shown["status"] == "completed_with_failures"
    assert (shown["failed_batches"], shown["failed_attempts"]) == (0, 1)


def test_a_completion_that_fails_shows_and_may_be_run_again(cortex_api):
    job = submit(cortex_api)
    for one in make_all(job):
        end(one, JobStatus.COMPLETED if one.input["payload"] else JobStatus.FAILED)
    assert status(cortex_api, job)["status"] == "completed_with_failures"
    batch = Batch.objects.get()
    assert batches.retry_failed(batch) == 0
    for one in make_all(job):
        assert one.input["payload"] == []
        end(one)
    assert Batch.objects.get().completion.status == JobStatus.COMPLETED


def test_a_job_that_is_stopped_stops_and_completes_nothing(cortex_api):
    job = submit(cortex_api)
    batches.feed()
    answer = cortex_api("delete", f"?jobID={job['job_id']}")
    assert answer.json() == {"message": f"stopped job {job['job_id']}"}
    batches.feed()
    assert status(cortex_api, job)["status"] == "stopped"
    assert Batch.objects.get().completion is None
    answer = cortex_api("delete", f"?jobID={job['job_id']}")
    assert answer.status_code == 400
    assert answer.json()["kind"] == "batchapi.job_is_not_in_progress"


def test_a_job_over_its_time_is_stopped_and_completes_nothing(cortex_api):
    job = submit(cortex_api, timeout=1)
    batches.feed()
    Batch.objects.update(created_at="2026-01-01T00:00:00Z")
    batches.feed()
    batches.feed()
    batch = Batch.objects.get()
    assert (batch.ended_at is None, batch.completion) == (False, None)
    assert status(cortex_api, job)["status"] == "timed_out"
    assert {one.status for one in batch.jobs.all()} == {"CANCELLED"}


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("out_of_memory", "worker_oom"),
        ("setup_failed", "worker_error"),
        ("worker_error", "completed_with_failures"),
    ],
)
def test_when_no_batch_succeeds_the_status_says_what_the_workers_said(
    cortex_api, code, word
):
    job = submit(cortex_api)
    for one in make_all(job):
        one.advance(JobStatus.SUBMITTING, by=Actor.SUBMITTER, attempt_no=1)
        one.advance(JobStatus.FAILED, by=Actor.SUBMITTER, error_code=code)
    assert status(cortex_api, job)["status"] == word


@pytest.mark.parametrize(
    ("query", "status_code", "words"),
    [
        ("", 400, "jobID is a required"),
        ("?jobID=nope", 404, "unable to find batch job classifier/nope"),
        ("?jobID=00000000-0000-0000-0000-000000000000", 404, "unable to find"),
    ],
)
def test_a_job_that_is_not_there_is_told(cortex_api, query, status_code, words):
    for method in ("get", "delete"):
        answer = cortex_api(method, query)
        assert answer.status_code == status_code
        assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "attempts"),
    [
        ({}, 1),
        ({"retries": 2}, 3),
        ({"sqs_dead_letter_queue": {"arn": "arn:x", "max_receive_count": 4}}, 4),
    ],
)
def test_a_batch_is_tried_as_often_as_is_asked(cortex_api, body, attempts):
    job = submit(cortex_api, **body)
    assert Batch.objects.get().max_attempts == attempts
    assert job["sqs_dead_letter_queue"] == body.get("sqs_dead_letter_queue")
