"""The local endpoint on the wire: what clients and SDK workers send and get."""

import json
from datetime import timedelta

import pytest
from django.utils.timezone import now

from jobs.local_endpoint import queue
from jobs.models import LocalWorker, QueueItem
from tests.factories import make_key, make_local

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def endpoint():
    return make_local("gpu")


@pytest.fixture
def rp(client, endpoint):
    """Call as a client with an API key."""
    key = make_key()

    def call(method, path, body=None, auth=None):
        return getattr(client, method)(
            f"/v2/gpu/{path}",
            data=json.dumps(body) if body is not None else None,
            content_type="application/json",
            headers={"Authorization": auth or f"Bearer {key}"},
        )

    return call


@pytest.fixture
def worker(client, endpoint):
    """Call as an SDK worker: raw key, JSON labelled as a form."""

    def call(method, path, body=None, key=None):
        return getattr(client, method)(
            f"/v2/gpu/{path}",
            data=json.dumps(body) if body is not None else None,
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": key or endpoint.worker_key},
        )

    return call


def run(rp, **input):
    answer = rp("post", "run", {"input": input or {"a": 1}})
    assert answer.status_code == 200, answer.content
    return answer.json()["id"]


def take(worker, name="w1", busy="0"):
    answer = worker("get", f"job-take/{name}?gpu=LOCAL&job_in_progress={busy}")
    return answer.json() if answer.status_code == 200 else None


def done(worker, id, body, name="w1"):
    return worker("post", f"job-done/{name}/{id}?gpu=LOCAL&isStream=false", body)


def status(rp, id):
    return rp("get", f"status/{id}").json()


def test_a_job_goes_from_run_to_completed(rp, worker):
    id = run(rp)
    assert status(rp, id) == {"id": id, "status": "IN_QUEUE"}
    job = take(worker)
    assert (job["id"], job["input"]) == (id, {"a": 1})
    assert status(rp, id)["status"] == "IN_PROGRESS"
    assert done(worker, id, {"output": {"b": 2}}).status_code == 200
    answer = status(rp, id)
    assert (answer["status"], answer["output"]) == ("COMPLETED", {"b": 2})
    assert answer["workerId"] == "w1"
    assert isinstance(answer["executionTime"], int)


def test_an_empty_take_is_held_then_204(worker):
    answer = worker("get", "job-take/w1?gpu=LOCAL&job_in_progress=0")
    assert answer.status_code == 204


def test_a_batch_take_gives_a_list(rp, worker):
    ids = {run(rp), run(rp), run(rp)}
    answer = worker(
        "get", "job-take-batch/w1?gpu=L&batch_size=2&job_in_progress=0"
    ).json()
    assert len(answer) == 2
    assert {job["id"] for job in answer} < ids


def test_progress_comes_on_the_done_route_and_is_no_result(rp, worker):
    id = run(rp)
    take(worker)
    done(worker, id, {"status": "IN_PROGRESS", "output": {"pct": 5}})
    answer = status(rp, id)
    assert (answer["status"], answer["output"]) == ("IN_PROGRESS", {"pct": 5})
    done(worker, id, {"output": "x"})
    done(worker, id, {"status": "IN_PROGRESS", "output": {"pct": 6}})
    assert status(rp, id)["output"] == "x"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"status": "COMPLETED"}),
        ({"output": None}, {"status": "COMPLETED", "output": None}),
        ({"output": []}, {"status": "COMPLETED", "output": []}),
        ({"error": "bad"}, {"status": "FAILED", "error": "bad"}),
        ({"error": {"a": 1}}, {"status": "FAILED", "error": {"a": 1}}),
        (
            {"output": 1, "error": "bad"},
            {"status": "FAILED", "output": 1, "error": "bad"},
        ),
    ],
)
def test_every_shape_of_answer_an_sdk_worker_sends(rp, worker, body, expected):
    id = run(rp)
    take(worker)
    done(worker, id, body)
    answer = status(rp, id)
    assert {
        k: v for k, v in answer.items() if k in {"status", "output", "error"}
    } == expected


def test_an_answer_that_is_not_json_fails_the_job_and_gets_200(
    rp, worker, client, endpoint
):
    id = run(rp)
    take(worker)
    answer = client.post(
        f"/v2/gpu/job-done/w1/{id}?a=b",
        data="<oops>",
        content_type="text/plain",
        headers={"Authorization": endpoint.worker_key},
    )
    assert answer.status_code == 200
    assert status(rp, id)["status"] == "FAILED"


def test_nan_in_a_result_is_null(rp, worker, client, endpoint):
    id = run(rp)
    take(worker)
    client.post(
        f"/v2/gpu/job-done/w1/{id}?a=b",
        data='{"output": NaN}',
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": endpoint.worker_key},
    )
    assert status(rp, id)["output"] is None


def test_twice_late_and_unknown_answers_get_200_and_change_no_end(rp, worker):
    id = run(rp)
    take(worker)
    done(worker, id, {"output": 1})
    for body in ({"output": 2}, {"error": "late"}):
        assert done(worker, id, body).status_code == 200
        assert done(worker, id, body, "former").status_code == 200
    assert status(rp, id)["output"] == 1
    assert done(worker, "no-such-id", {"output": 1}).status_code == 200


def test_a_lost_take_is_redelivered_once_then_failed_as_runpod_does(rp, worker):
    id = run(rp)
    assert take(worker)["id"] == id
    assert take(worker)["id"] == id  # it says it has nothing
    assert take(worker) is None
    answer = status(rp, id)
    assert (answer["status"], answer["error"]) == (
        "FAILED",
        "job timed out after 1 retries",
    )
    assert answer["retries"] == 1


def test_an_unacknowledged_job_goes_to_another_worker(rp, worker):
    worker("get", "ping/w1?gpu=L")
    id = run(rp)
    take(worker)
    queue.expire(now() + timedelta(seconds=44))
    assert status(rp, id)["status"] == "IN_PROGRESS"
    queue.expire(now() + timedelta(seconds=46))
    assert take(worker, "w2")["id"] == id


def test_pings_that_name_the_job_renew_its_lease(rp, worker):
    worker("get", "ping/w1?gpu=L")
    id = run(rp)
    take(worker)
    worker("get", f"ping/w1?gpu=L&job_id={id}&runpod_version=1.12.0")
    queue.expire(now() + timedelta(seconds=34))
    assert status(rp, id)["status"] == "IN_PROGRESS"
    assert LocalWorker.objects.get().sdk_version == "1.12.0"


def test_a_worker_that_never_pings_keeps_its_job_until_the_execution_time_out(
    rp, worker
):
    id = run(rp)
    take(worker)
    queue.expire(now() + timedelta(seconds=300))
    assert status(rp, id)["status"] == "IN_PROGRESS"
    queue.expire(now() + timedelta(seconds=601))
    assert status(rp, id)["status"] == "TIMED_OUT"


def test_pings_of_a_gone_worker_renew_nothing(rp, worker):
    from jobs.local_endpoint import workers  # noqa: PLC0415

    worker("get", "ping/w1?gpu=L")
    id = run(rp)
    take(worker)
    workers.lost_connection("w1")
    worker("get", f"ping/w1?gpu=L&job_id={id}")
    queue.expire(now() + timedelta(seconds=16))
    assert status(rp, id)["status"] == "IN_QUEUE"


def test_a_result_of_the_former_holder_is_accepted_and_the_new_one_stopped(rp, worker):
    worker("get", "ping/w1?gpu=L")
    id = run(rp)
    take(worker)
    queue.expire(now() + timedelta(seconds=46))
    take(worker, "w2")
    done(worker, id, {"output": "from w1"}, "w1")
    assert status(rp, id)["output"] == "from w1"
    assert worker("get", "job-stop/w2?gpu=L").json() == {"jobsToStop": [id]}
    assert worker("get", "job-stop/w2?gpu=L").status_code == 204


def test_cancel_ends_a_queued_job_and_stops_a_running_one(rp, worker):
    queued, running = run(rp), run(rp)
    queued, running = running, queued  # the older is taken first
    take(worker)
    assert rp("post", f"cancel/{queued}").json() == {
        "id": queued,
        "status": "CANCELLED",
    }
    assert rp("post", f"cancel/{running}").json()["status"] == "CANCELLED"
    assert worker("get", "job-stop/w1?gpu=L").json() == {"jobsToStop": [running]}
    done(worker, running, {"output": 1})
    assert status(rp, running)["status"] == "CANCELLED"


def test_retry_queues_only_what_failed(rp, worker):
    id = run(rp)
    assert rp("post", f"retry/{id}").status_code == 400
    take(worker)
    done(worker, id, {"error": "x"})
    assert rp("post", f"retry/{id}").json() == {"id": id, "status": "IN_QUEUE"}
    assert "error" not in status(rp, id)
    assert take(worker)["id"] == id


def test_purge_forgets_the_queued_and_leaves_the_running(rp, worker):
    running = run(rp)
    take(worker)
    queued = run(rp)
    assert rp("post", "purge-queue").json() == {"removed": 1, "status": "completed"}
    assert rp("get", f"status/{queued}").status_code == 404
    assert status(rp, running)["status"] == "IN_PROGRESS"


def test_health_counts_jobs_and_workers(rp, worker):
    run(rp)
    take(worker)
    run(rp)
    health = rp("get", "health").json()
    assert health["jobs"] == {
        "completed": 0, "failed": 0, "inProgress": 1, "inQueue": 1, "retried": 0
    }  # fmt: skip
    assert health["workers"]["running"] == 1
    assert health["workers"]["idle"] == 0


def test_stream_hands_out_each_chunk_once(rp, worker):
    id = run(rp)
    take(worker)
    for n in range(2):
        worker("post", f"job-stream/w1/{id}?gpu=L&isStream=true", {"output": n})
    answer = rp("get", f"stream/{id}").json()
    assert answer["stream"] == [{"output": 0}, {"output": 1}]
    done(worker, id, {"output": []})
    assert rp("get", f"stream/{id}").json() == {"status": "COMPLETED", "stream": []}


def test_runsync_waits_and_answers_with_the_status_when_it_takes_longer(rp):
    answer = rp("post", "runsync", {"input": {"a": 1}}).json()
    assert answer["status"] == "IN_QUEUE"


def test_a_worker_that_asked_to_stop_gets_nothing_more(rp, worker):
    id = run(rp)
    take(worker)
    done(worker, id, {"output": 1, "stopPod": True})
    run(rp)
    assert take(worker) is None
    assert take(worker, "w2") is not None


def test_an_item_past_its_ttl_is_gone(rp):
    answer = rp("post", "run", {"input": {"a": 1}, "policy": {"ttl": 10_000}})
    QueueItem.objects.update(expires_at=now())
    gone = rp("get", f"status/{answer.json()['id']}")
    assert gone.status_code == 404
    assert gone.json()["detail"] == "job not found"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": {}}, "empty"),
        ({"input": [1]}, "object"),
        ({}, "required"),
        ([], "required"),
        ({"input": {"a": 1}, "webhook": "http://169.254.169.254/"}, "webhook"),
    ],
)
def test_a_body_runpod_would_mishandle_is_400(rp, body, words):
    answer = rp("post", "run", body)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_body_over_ten_mebibytes_is_400_with_runpods_words(rp):
    answer = rp("post", "run", {"input": {"a": "x" * 10 * 1024 * 1024}})
    assert "exceeded max body size of 10MiB" in answer.json()["detail"]


def test_an_unknown_endpoint_is_404_and_a_wrong_key_401(rp, worker, client):
    assert client.get("/v2/nope/health").json()["detail"] == "endpoint not found"
    assert rp("get", "health", auth="Bearer wrong").status_code == 401
    assert worker("get", "job-take/w1?a=b", key="wrong").status_code == 401
    assert worker("get", "job-take/w1?a=b", key=make_key()).status_code == 401


def test_a_raised_key_version_shuts_old_workers_out(worker, endpoint):
    old = endpoint.worker_key
    type(endpoint).objects.update(worker_key_version=2)
    assert worker("get", "job-take/w1?a=b", key=old).status_code == 401
