"""An installation with a bucket: files never pass through it, nothing else changes."""

import hashlib
import os
import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.stack.chromium import needs_chromium, signed_in, slow
from tests.stack.stack import create, until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def bucket_api(bucket_stack):
    with bucket_stack.client() as client:
        yield client


def open_upload(api, content, name="a.bin", **more):
    body = {"filename": name, "size": len(content), **more}
    answer = api.post("/api/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(api, upload, content, *numbers):
    links = api.post(
        f"/api/v1/uploads/{upload['id']}/parts", json={"numbers": list(numbers)}
    )
    for part in links.json()["parts"]:
        start = (part["number"] - 1) * upload["part_size"]
        body = content[start : start + part["size"]]
        assert httpx.put(part["url"], content=body, trust_env=False).is_success


@pytest.mark.smoke
def test_a_program_sends_parts_and_the_worker_fetches_and_delivers_without_us(
    bucket_stack, bucket_api, clip
):
    upload = open_upload(bucket_api, clip, "clip.mp4")
    assert upload["method"] == "s3_multipart"
    send(bucket_api, upload, clip, 1)
    done = bucket_api.post(f"/api/v1/uploads/{upload['id']}/complete").json()
    assert (done["status"], done["content_type"]) == ("ready", "video/mp4")
    assert done["sha256"] == hashlib.sha256(clip).hexdigest()
    job = until(
        bucket_api,
        create(bucket_api, "anonymize", media=f"upload:{upload['id']}"),
    )
    assert job["status"] == "COMPLETED", job["error"]
    [output] = job["outputs"]
    answer = bucket_api.get(output["url"], follow_redirects=True)
    assert hashlib.sha256(answer.content).hexdigest() == output["sha256"]
    assert str(bucket_stack.environment["S3_ENDPOINT_URL"]) in str(answer.url)
    assert not [p for p in (bucket_stack.folder / "store").glob("**/*") if p.is_file()]


def test_a_large_result_comes_in_parts(bucket_api):
    id = create(bucket_api, "echo", message="large", seconds=0, megabytes=12)
    job = until(bucket_api, id)
    assert job["status"] == "COMPLETED", job["error"]
    [output] = job["outputs"]
    assert output["size"] == 12 * MIB
    content = bucket_api.get(output["url"], follow_redirects=True).content
    assert hashlib.sha256(content).hexdigest() == output["sha256"]


def test_a_file_that_is_here_is_not_sent_again(bucket_api):
    content = os.urandom(100)
    upload = open_upload(bucket_api, content)
    send(bucket_api, upload, content, 1)
    bucket_api.post(f"/api/v1/uploads/{upload['id']}/complete")
    again = open_upload(bucket_api, content, sha256=hashlib.sha256(content).hexdigest())
    assert (again["id"], again["deduplicated"]) == (upload["id"], True)


def test_missing_parts_are_named(bucket_api):
    content = bytes(11 * MIB)
    upload = open_upload(bucket_api, content)
    send(bucket_api, upload, content, 2)
    shown = bucket_api.get(f"/api/v1/uploads/{upload['id']}").json()
    assert shown["parts"] == [{"number": 2, "size": 5 * MIB}]
    answer = bucket_api.post(f"/api/v1/uploads/{upload['id']}/complete")
    assert (answer.status_code, answer.json()["code"]) == (409, "parts_missing")
    assert "1, 3" in answer.json()["detail"]


class TestInChromium:
    pytestmark = needs_chromium

    @pytest.fixture
    def page(self, browser, bucket_stack):
        with signed_in(browser, bucket_stack) as page:
            yield page

    @pytest.fixture
    def big(self, tmp_path):
        path = tmp_path / "holiday.bin"
        path.write_bytes(os.urandom(32 * MIB))
        return path

    def test_a_reloaded_page_goes_on_with_the_parts_that_are_missing(
        self, page, big, bucket_stack
    ):
        page.goto("/new/anonymize/")
        slow(page, 6 * MIB)
        with page.expect_response(
            lambda answer: answer.request.method == "PUT", timeout=60_000
        ):
            page.set_input_files("input[type=file]", big)
        page.reload()
        slow(page, 0)
        sent = []
        page.on(
            "request",
            lambda request: (
                sent.append(re.search(r"partNumber=(\d+)", request.url)[1])
                if request.method == "PUT"
                else None
            ),
        )
        page.set_input_files("input[type=file]", big)
        expect(page.get_by_text("· uploaded")).to_be_visible(timeout=60_000)
        [(status, sha256)] = bucket_stack.query(
            "SELECT status, sha256 FROM jobs_upload WHERE filename = 'holiday.bin'"
        )
        assert status == "ready"
        assert sha256 == hashlib.sha256(big.read_bytes()).hexdigest()
        assert 0 < len(sent) < 7

    def test_pause_and_resume(self, page, tmp_path, bucket_stack):
        path = tmp_path / "paused.bin"
        path.write_bytes(os.urandom(12 * MIB))
        page.goto("/new/anonymize/")
        slow(page, MIB)
        page.set_input_files("input[type=file]", path)
        expect(page.get_by_text("/s ·")).to_be_visible(timeout=20_000)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Paused. What has arrived is kept.")).to_be_visible()
        slow(page, 0)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("· uploaded")).to_be_visible(timeout=60_000)
        [(sha256,)] = bucket_stack.query(
            "SELECT sha256 FROM jobs_upload WHERE filename = 'paused.bin'"
        )
        assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_python_client_sends_parts_and_fetches_from_the_bucket(
    bucket_stack, bucket_api, tmp_path
):
    from slipway import Client  # noqa: PLC0415

    path = tmp_path / "clip.bin"
    path.write_bytes(os.urandom(12 * MIB))
    key = bucket_api.headers["Authorization"].removeprefix("Bearer ")
    with Client(bucket_stack.url, key) as client:
        seen = []
        sent = client.upload(path, lambda done, _: seen.append(done))
        assert seen == [0, 5 * MIB, 10 * MIB, 12 * MIB]
        assert client.upload(path).id == sent.id
        job = client.run("echo", {"message": "x", "megabytes": 2})
        [saved] = client.download(job, tmp_path / "out")
        digest = hashlib.sha256(saved.read_bytes()).hexdigest()
        assert digest == job.outputs[0].sha256
