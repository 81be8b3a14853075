"""The Python client and the command `slipway` against a running server."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from slipway import AsyncClient, Client, JobFailed
from tests.stack.stack import ROOT, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.one_database]
MIB = 1024 * 1024


@pytest.fixture
def settings(stack, api):
    key = api.headers["Authorization"].removeprefix("Bearer ")
    return {"url": stack.url, "key": key}


def command(settings, *arguments):
    return [
        *(sys.executable, "-m", "slipway", "--url", settings["url"]),
        *("--key", settings["key"], *map(str, arguments)),
    ]


def slipway(settings, *arguments, code=0, stdin=""):
    """Run the command as anybody would; return what it prints."""
    done = subprocess.run(
        command(settings, *arguments),
        env={**os.environ, "PYTHONPATH": str(ROOT / "client")},
        capture_output=True,
        text=True,
        timeout=120,
        input=stdin,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_one_command_sends_a_file_waits_and_saves_the_result(settings, tmp_path):
    sample = ROOT / "samples" / "portrait.jpg"
    printed, _ = slipway(
        settings,
        *("submit", sample, "--endpoint", "anonymize", "-i", "style=pixelate"),
        *("--wait", "--json", "--out", tmp_path / "result"),
    )
    job = json.loads(printed)
    assert job["status"] == "COMPLETED"
    assert job["input"]["style"] == "pixelate"
    [output] = job["outputs"]
    saved = (tmp_path / "result" / output["name"]).read_bytes()
    assert hashlib.sha256(saved).hexdigest() == output["sha256"]
    assert not list((tmp_path / "result").glob("*.part"))


def test_a_mistake_is_said_and_ends_with_one(settings):
    _, errors = slipway(
        settings, "submit", "-e", "echo", "-i", "megabytes=many", "-w", code=1
    )
    assert "#/input/megabytes" in errors
    _, errors = slipway({**settings, "key": "wrong"}, "whoami", code=1)
    assert "valid API key" in errors


def test_the_other_commands(settings):
    printed, _ = slipway(settings, "submit", "-e", "echo", "-i", "message=hi")
    pk = printed.split()[0]
    printed, _ = slipway(settings, "wait", pk)
    assert '"message": "hi"' in printed
    assert pk in slipway(settings, "list", "-n", "3")[0]
    again = slipway(settings, "retry", pk)[0].strip()
    assert slipway(settings, "status", again)[0].startswith(again)
    assert slipway(settings, "cancel", again)[0].strip()
    assert "echo" in slipway(settings, "endpoints")[0]
    assert "tester" in slipway(settings, "whoami")[0]


@pytest.mark.smoke
def test_a_batch_from_a_file(settings, tmp_path):
    path = tmp_path / "items.ndjson"
    path.write_text(
        '{"message": "1", "megabytes": 1}\n\n{"message": "2", "error": "no"}\noops\n'
    )
    printed, errors = slipway(settings, "batch", path, "-e", "echo", "--check", code=1)
    assert "3 jobs, 1 would fail" in printed
    assert "item 3: This is not JSON" in errors
    printed, _ = slipway(settings, "batch", path, "-e", "echo", "-w", code=1)
    pk, status = printed.split()[:2]
    assert status == "COMPLETED_WITH_FAILURES"
    assert "1 completed, 2 failed" in printed
    with Client(**settings) as client:
        jobs = client.batch_items(pk)
        assert [job.raw["batch_index"] for job in jobs] == [2, 1, 0]
    assert "1 items run again." in slipway(settings, "retry-failed", pk)[0]
    printed, errors = slipway(settings, "batch-status", pk, "-w", code=1)
    assert "bad_item" in errors
    slipway(settings, "results", pk, "-o", tmp_path / "all.ndjson")
    lines = (tmp_path / "all.ndjson").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]
    slipway(settings, "results", pk, "-o", tmp_path / "bad.ndjson", "--failed")
    assert len((tmp_path / "bad.ndjson").read_text().splitlines()) == 2
    slipway(settings, "results", pk, "-o", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.read("000000/echo.bin")) == 1024 * 1024


def test_a_batch_from_a_pipe(settings):
    lines = '{"message": "1"}\n{"message": "2"}\n'
    printed, _ = slipway(settings, "batch", "-", "-e", "echo", "-w", stdin=lines)
    assert "COMPLETED  2 completed" in printed
    errors = slipway(settings, "batch", "-", "-e", "echo", code=2, stdin="1\nno\n")[1]
    assert "line 2" in errors


def test_an_upload_that_is_killed_goes_on_and_is_sent_once(settings, stack, tmp_path):
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        for _ in range(400):
            file.write(os.urandom(MIB))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    process = subprocess.Popen(
        command(settings, "upload", path),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def largest():
        files = [p for p in (stack.folder / "store").glob("**/*") if p.is_file()]
        return max((p.stat().st_size for p in files), default=0)

    wait_until(lambda: largest() > 32 * MIB, what="some of it has arrived")
    process.kill()
    process.wait()
    with Client(**settings) as client:
        offsets = []
        sent = client.upload(path, lambda done, _: offsets.append(done))
        assert offsets[0] > 16 * MIB
        ready = (
            f"SELECT 1 FROM jobs_upload WHERE status = 'ready' AND size = {400 * MIB}"
        )
        wait_until(lambda: stack.query(ready), what="the file is verified")
        again = client.upload(path)
        assert (again.id, again.was_known) == (sent.id, True)
    count = stack.query("SELECT COUNT(*) FROM jobs_upload WHERE filename = 'big.bin'")
    assert int(count[0][0]) == 1


def test_the_asynchronous_client_does_the_same(settings, tmp_path):
    async def go():
        async with AsyncClient(**settings) as client:
            job = await client.submit("echo", {"message": "async"})
            kinds = [event.kind async for event in client.events(job.id)]
            assert (kinds[0], kinds[-1]) == ("job", "done")
            assert (await client.job(job.id)).output == {"message": "async"}
            sample = Path(ROOT / "samples" / "portrait.jpg")
            made = await client.run("anonymize", {"media": sample})
            [saved] = await client.download(made, tmp_path)
            digest = hashlib.sha256(saved.read_bytes()).hexdigest()
            assert digest == made.outputs[0].sha256

    asyncio.run(go())


def test_live_events_and_a_failure(settings):
    with Client(**settings) as client:
        job = client.submit("echo", {"message": "x", "error": "on purpose"})
        events = list(client.events(job.id))
        assert events[-1].data["status"] == "FAILED"
        with pytest.raises(JobFailed, match="on purpose"):
            client.run("echo", {"message": "x", "error": "on purpose"})


def test_a_download_that_broke_off_goes_on(settings, tmp_path):
    with Client(**settings) as client:
        job = client.run("echo", {"message": "x", "megabytes": 3})
        [output] = job.outputs
        [whole] = client.download(job, tmp_path / "whole")
        part = tmp_path / "part" / f"{output.name}.part"
        part.parent.mkdir()
        part.write_bytes(whole.read_bytes()[:MIB])
        seen = []
        [rest] = client.download(job, part.parent, lambda done, _: seen.append(done))
        assert seen[0] == MIB
        assert rest.read_bytes() == whole.read_bytes()


def test_the_code_on_an_endpoints_page_runs_as_it_is(settings, stack, tmp_path):
    """What people copy from the page is run here, word for word."""
    from jobs.models import Endpoint  # noqa: PLC0415
    from jobs.services.lifecycle.examples import examples  # noqa: PLC0415

    schema = {"type": "object", "properties": {"message": {"type": "string"}}}
    endpoint = Endpoint(
        slug="echo",
        kind="local",
        input_schema=schema,
        example_input={"message": "it's “me”"},
    )
    code = {one.title: one.code for one in examples(endpoint, stack.url)}
    environment = {
        **os.environ,
        "SLIPWAY_KEY": settings["key"],
        "PYTHONPATH": str(ROOT / "client"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command_line = code["Command line"].replace("SLIPWAY_KEY=…", "")
    commands = [["sh", "-c", command_line], [sys.executable, "-c", code["Python"]]]
    commands.append([sys.executable, "-c", code["runpod"]])
    if shutil.which("curl"):
        commands.append(["sh", "-c", code["curl"]])
    if shutil.which("node"):
        commands.append(["node", "--input-type=module", "-e", code["JavaScript"]])
    for one in commands:
        done = subprocess.run(
            one,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        assert "“me”" in done.stdout, (one, done.stdout)
