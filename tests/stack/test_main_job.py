"""The main job through every real process: tus, Celery, RunPod's protocol, the SDK."""

import hashlib
import io

import av
import pytest

from tests.stack.stack import create, until, upload, wait_until

pytestmark = pytest.mark.stack


@pytest.mark.smoke
def test_a_video_comes_back_anonymised_and_plays(api, clip):
    job = until(api, create(api, "anonymize", media=upload(api, clip)))
    assert job["status"] == "COMPLETED"
    assert job["output"]["frames"] == 72
    assert job["output"]["frames_with_faces"] >= 69  # 95 %
    [output] = job["outputs"]
    content = api.get(output["url"], follow_redirects=True).content
    assert hashlib.sha256(content).hexdigest() == output["sha256"]
    assert content != clip
    with av.open(io.BytesIO(content)) as video:
        assert {stream.type for stream in video.streams} == {"video", "audio"}
        assert sum(1 for _ in video.decode(video=0)) == 72


def test_every_move_is_told_by_the_api_in_order(api):
    job = until(api, create(api, "echo", message="hi"))
    assert job["output"] == {"message": "hi"}
    assert job["attempts"][0]["backend_id"].endswith("-l1")
    assert 0 <= job["metrics"]["run_s"] <= job["metrics"]["total_s"]


def test_progress_rises_while_a_job_runs(api):
    id = create(api, "echo", seconds=4)
    seen = []

    def look():
        job = api.get(f"/api/v1/jobs/{id}").json()
        if job["progress"]["fraction"]:
            seen.append(job["progress"]["fraction"])
        return job["status"] == "COMPLETED"

    wait_until(look)
    assert len(set(seen)) >= 3
    assert seen == sorted(seen)


def test_a_running_job_is_cancelled_and_the_worker_takes_the_next(api):
    id = create(api, "echo", seconds=300)
    until(api, id, "IN_PROGRESS")
    api.post(f"/api/v1/jobs/{id}/cancel").raise_for_status()
    job = until(api, id)
    assert (job["status"], job["reason"]) == ("CANCELLED", "user")
    assert until(api, create(api, "echo"))["status"] == "COMPLETED"


@pytest.mark.smoke
def test_purging_cancels_the_queued_jobs_and_not_the_running_one(api, stack):
    running = create(api, "echo", seconds=5)
    until(api, running, "IN_PROGRESS")
    queued = create(api, "echo")
    until(api, queued, "IN_QUEUE")
    assert "1 jobs dropped" in stack.manage("purge_queue", "echo")
    job = until(api, queued)
    assert (job["status"], job["reason"]) == ("CANCELLED", "purged")
    assert until(api, running)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("truncated.mp4", "half", "cannot be read"),
        ("noise.png", "noise", "cannot be read"),
    ],
)
def test_broken_media_fails_with_a_clear_message(api, clip, name, content, words):
    data = clip[:2000] if content == "half" else b"\x89PNG\r\n\x1a\n" + bytes(5000)
    job = until(api, create(api, "anonymize", media=upload(api, data, name)))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "invalid_input")
    assert words in job["error"]["message"]
    assert "Traceback" not in job["error"]["message"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://no-such-host.invalid/clip.mp4", "no host"),
        ("http://127.0.0.1:80/clip.mp4", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
    ],
)
def test_a_dead_or_forbidden_url_is_named(api, url, words):
    job = until(api, create(api, "anonymize", media=url))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "input_unavailable")
    assert words in job["error"]["message"]


def test_the_worker_survives_all_of_that(api, clip):
    job = until(api, create(api, "anonymize", media=upload(api, clip)))
    assert job["status"] == "COMPLETED"
