"""kill -9 in the middle of a job, and a restart: the job still ends COMPLETED, once."""

import hashlib

import httpx
import pytest

from tests.stack.stack import create, read, until, upload, wait_until

pytestmark = pytest.mark.stack


def check_ended_once(client, id):
    job = until(client, id)
    assert job["status"] == "COMPLETED", job
    return job


@pytest.mark.parametrize(
    "part", [pytest.param("tasks", marks=pytest.mark.smoke), "web", "gpu", "beat"]
)
def test_a_job_survives_the_kill_of_one_part(fragile_stack, part):
    """`up` itself starts the killed part again."""
    with fragile_stack.client() as client:
        id = create(client, "echo", seconds=3, message=part)
        until(client, id, "IN_PROGRESS")
        fragile_stack.kill(part)
        assert check_ended_once(client, id)["output"] == {"message": part}
        wait_until(lambda: fragile_stack.pids(part), what=f"{part} runs again")


def test_a_job_survives_the_kill_of_everything_and_a_restart(fragile_stack, clip):
    with fragile_stack.client() as client:
        slow = create(client, "echo", seconds=3, message="slow")
        media = create(client, "anonymize", media=upload(client, clip))
        until(client, slow, "IN_PROGRESS")
        fragile_stack.kill_up()
        for part in ("web", "tasks", "beat", "gpu"):
            fragile_stack.kill(part)
            wait_until(lambda part=part: not fragile_stack.pids(part))
        fragile_stack.start("--no-sample")
        assert check_ended_once(client, slow)["output"] == {"message": "slow"}
        job = check_ended_once(client, media)
        content = client.get(job["outputs"][0]["url"], follow_redirects=True).content
        assert hashlib.sha256(content).hexdigest() == job["outputs"][0]["sha256"]


def test_killing_up_leaves_no_process_behind(fragile_stack):
    fragile_stack.kill_up()
    for part in ("web", "tasks", "beat", "gpu"):
        wait_until(lambda part=part: not fragile_stack.pids(part), what=part)


def test_an_upload_goes_on_after_the_server_was_killed(fragile_stack):
    content = bytes(range(256)) * 40_000  # 10 MB
    with fragile_stack.client() as client:
        opened = client.post(
            "/api/v1/uploads", json={"filename": "big.bin", "size": len(content)}
        ).json()
        headers = {
            "Tus-Resumable": "1.0.0",
            "Content-Type": "application/offset+octet-stream",
        }

        def half_then_kill():
            yield content[:6_000_000]
            wait_until(lambda: offset() >= 5_000_000, what="bytes on disk")
            fragile_stack.kill("web")
            yield content[6_000_000:7_000_000]

        def offset():
            path = fragile_stack.folder / "store" / "in"
            return sum(file.stat().st_size for file in path.iterdir())

        with pytest.raises(httpx.TransportError):
            client.patch(
                opened["url"],
                content=half_then_kill(),
                headers={**headers, "Upload-Offset": "0"},
            )

        def head():
            try:
                return client.head(opened["url"], headers=headers)
            except httpx.TransportError:
                return None

        kept = int(wait_until(head).headers["Upload-Offset"])
        assert 5_000_000 <= kept <= 7_000_000
        client.patch(
            opened["url"],
            content=content[kept:],
            headers={**headers, "Upload-Offset": str(kept)},
        ).raise_for_status()
        upload = client.get(f"/api/v1/uploads/{opened['id']}").json()
        assert upload["status"] == "ready"
        assert upload["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_second_up_on_the_same_data_dir_is_refused(fragile_stack):
    process = fragile_stack.popen("up", output=-1)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"already runs" in output


def test_ctrl_c_leaves_no_process_behind(fragile_stack):
    with fragile_stack.client() as client:
        id = create(client, "echo", seconds=60)
        until(client, id, "IN_PROGRESS")
        assert read(client, id)["status"] == "IN_PROGRESS"
    assert fragile_stack.stop() == 0
    assert not [
        p for part in ("web", "tasks", "beat", "gpu") for p in fragile_stack.pids(part)
    ]
