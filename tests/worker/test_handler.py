"""The handler by itself: `--test_input`, `--schema`, and what it refuses."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.stack.stack import ROOT
from tests.worker import forked


@pytest.fixture(scope="module")
def media():
    """Serve the samples on loopback; yield the address."""
    handler = functools.partial(
        SimpleHTTPRequestHandler, directory=str(ROOT / "samples")
    )
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def media_file(name):
    return ROOT / "samples" / name


@pytest.fixture
def handle(tmp_path):
    """Run `handler.py --test_input`; return (exit code, folder of outputs, log)."""

    def run(input, **environment):
        done = forked.run(
            *("--test_input", json.dumps({"input": input})),
            environment={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "SLIPWAY_OUTPUT_DIR": str(tmp_path),
                "WORKER_ALLOW_PRIVATE_URLS": "1",
                **environment,
            },
        )
        return done.returncode, tmp_path, done.stdout

    return run


def test_a_video_is_anonymised_and_the_exit_code_is_zero(handle, media):
    code, folder, log = handle({"media": f"{media}/portrait-clip.mp4"})
    assert code == 0, log
    [output] = folder.glob("*/outputs/anonymized.mp4")
    with av.open(str(output)) as video:
        assert [stream.type for stream in video.streams].count("audio") == 1
        times = [frame.time for frame in video.decode(video=0)]
    assert len(times) == 72
    assert times[-1] == pytest.approx(71 / 24, abs=0.01)


@pytest.mark.parametrize("runner", ["anonymize", "cutout"])
def test_the_picture_of_the_change_shows_before_and_after(handle, media, runner):
    job_input = {"media": f"{media}/portrait.jpg", "preview": True}
    code, folder, log = handle(job_input, SLIPWAY_RUNNER=runner)
    assert code == 0, log
    [both] = folder.glob("*/outputs/preview.jpg")
    with Image.open(both) as picture, Image.open(media_file("portrait.jpg")) as source:
        half = (picture.width - 8) // 2
        before = picture.crop((0, 0, half, picture.height))
        after = picture.crop((half + 8, 0, picture.width, picture.height))
        small = source.convert("RGB").resize(before.size)
    assert ImageStat.Stat(ImageChops.difference(before, small)).mean[0] < 4
    assert ImageStat.Stat(ImageChops.difference(before, after)).mean[0] > 1


def test_a_worker_without_use_for_its_configuration_says_so(handle, media):
    job_input = {"media": f"{media}/portrait.jpg"}
    for wrong, words in {
        "[1]": "JSON object",
        "/no/such.json": "cannot be read",
    }.items():
        code, _, log = handle(job_input, SLIPWAY_CONFIG=wrong)
        assert code == 1
        assert words in log


@pytest.mark.parametrize("style", ["blur", "pixelate", "cover"])
def test_the_face_of_an_image_is_hidden_and_the_rest_is_not(handle, media, style):
    code, folder, log = handle({"media": f"{media}/portrait.jpg", "style": style})
    assert code == 0, log
    [output] = folder.glob("*/outputs/anonymized.jpg")
    before = Image.open(ROOT / "samples" / "portrait.jpg").convert("RGB")
    after = Image.open(output).convert("RGB")
    assert after.size == before.size

    def difference(box):
        pairs = zip(
            before.crop(box).convert("L").tobytes(),
            after.crop(box).convert("L").tobytes(),
            strict=True,
        )
        changes = [abs(one - other) for one, other in pairs]
        return sum(changes) / len(changes)

    assert difference((115, 45, 165, 95)) > 8  # the face
    assert difference((0, 0, 60, 60)) < 4  # a corner


@pytest.mark.parametrize(
    ("input", "words"),
    [
        ({}, "Field required"),
        ({"media": "http://x/y", "style": "red"}, "'blur', 'pixelate' or 'cover'"),
        ({"media": "http://x/y", "extra": 1}, "Extra inputs are not permitted"),
        ({"media": {"path": "/etc/passwd"}}, "valid string"),
        ({"media": "file:///etc/passwd"}, "Only http"),
    ],
)
def test_a_bad_input_is_named_and_the_exit_code_is_one(handle, input, words):
    code, _, log = handle(input)
    assert code == 1
    assert words in log


def test_a_file_that_is_no_media_is_the_users_error(handle, media):
    code, _, log = handle({"media": f"{media}/make_samples.py"})
    assert code == 1
    assert "cannot be read" in log


def test_private_addresses_are_refused_by_default(handle, media):
    url = f"{media}/portrait.jpg".replace(media.rpartition(":")[2], "8080")
    code, _, log = handle(
        {"media": url.split("/portrait")[0] + "/portrait.jpg"},
        WORKER_ALLOW_PRIVATE_URLS="0",
    )
    assert code == 1
    assert "private address" in log or "cannot be fetched" in log


def test_the_schema_of_every_runner_is_printed():
    printed = subprocess.run(
        [sys.executable, "handler.py", "--schema"],
        cwd=ROOT / "worker_handler",
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    runners = {runner["id"]: runner for runner in json.loads(printed)}
    assert set(runners) == {"anonymize", "cutout", "echo", "transcribe"}
    media = runners["anonymize"]["input_schema"]["properties"]["media"]
    assert media["x-widget"] == "file"
    assert "video/*" in media["x-accept"]


def test_your_model_in_twenty_lines_runs_as_the_readme_says(media, tmp_path):
    readme = (ROOT / "worker_handler" / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    shutil.copytree(ROOT / "worker_handler", tmp_path / "handler")
    (tmp_path / "handler" / "my_model.py").write_text(code)
    command = readme.partition("```sh\nSLIPWAY_RUNNER=")[2].partition("```")[0]
    command = f"SLIPWAY_RUNNER={command}".replace(
        "https://example.com/cat.jpg", f"{media}/portrait.jpg"
    ).replace(" python ", f" {sys.executable} ")
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path / "handler",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SLIPWAY_OUTPUT_DIR": str(tmp_path),
            "WORKER_ALLOW_PRIVATE_URLS": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [poster] = tmp_path.glob("slipway-*/outputs/poster.png")
    with Image.open(poster) as picture:
        assert picture.size == (320, 320)
        assert len(picture.getcolors(10_000)) <= 16**3
