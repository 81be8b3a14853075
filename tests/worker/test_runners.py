"""The built-in runners on their samples, and on what is not what it seems."""

import difflib
import json
import threading
import wave

import av
import numpy as np
import pytest
from PIL import Image

from slipway_worker import sound
from slipway_worker.captions import Segment, srt, vtt
from slipway_worker.errors import Cancelled, UserError
from slipway_worker.runner import InFile, JobContext
from slipway_worker.runners import BUILT_IN, ready_runner, runner_class
from tests.stack.stack import ROOT

SAMPLES = ROOT / "samples"
SAID = (
    "the quick brown fox jumps over the lazy dog this is a short reading for a test of "
    "speech recognition the meeting begins at nine on monday and the report is due on "
    "the fourth of july"
)


@pytest.fixture
def run(tmp_path):
    """Run a runner on a file; return (output, {name: path}, progress reports)."""

    def go(id, path, cancel=None, **input):
        runner = ready_runner(id)
        inputs = runner.Inputs.model_validate({"media": "https://x/y", **input})
        inputs.media.fetched_to(path)
        reports = []
        job = JobContext(
            tmp_path,
            lambda *report: reports.append(report),
            cancel or threading.Event(),
        )
        result = runner.run(inputs, job)
        files = {file.name: file.path for file in result.files}
        return result.output, files, reports

    return go


def words(text):
    kept = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return ["fourth" if word == "4th" else word for word in kept]


def test_speech_is_written_down_with_its_times(run):
    output, files, reports = run("transcribe", SAMPLES / "speech.flac")
    likeness = difflib.SequenceMatcher(None, words(output["text"]), words(SAID)).ratio()
    assert likeness > 0.85, output["text"]
    assert set(files) == {
        f"transcript.{kind}" for kind in ("txt", "vtt", "srt", "json")
    }
    assert files["transcript.vtt"].read_text().startswith("WEBVTT\n\n00:00:0")
    transcript = json.loads(files["transcript.json"].read_text())
    times = [word["start"] for one in transcript["segments"] for word in one["words"]]
    assert times == sorted(times)
    assert 10 < times[-1] < 14
    fractions = [fraction for fraction, _, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1, abs=0.02)


def test_the_sound_of_a_video_is_heard(run):
    output, _, _ = run("transcribe", SAMPLES / "portrait-clip.mp4")
    assert output["seconds"] == pytest.approx(3, abs=0.2)


def test_cancelling_stops_a_transcript(run):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        run("transcribe", SAMPLES / "speech.flac", cancel)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\0" * 5000, "cannot be read"),
        ((SAMPLES / "portrait.jpg").read_bytes(), "cannot be read|no sound"),
        (b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n", "cannot be read"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "cannot be read"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "cannot be read|no sound"),
    ],
)
def test_what_has_no_sound_is_told_and_the_next_job_runs(
    run, tmp_path, content, message
):
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        run("transcribe", path)
    assert str(tmp_path) not in str(error.value)
    assert run("transcribe", SAMPLES / "speech.flac")[0]["segments"] > 0


def test_of_a_cut_file_what_is_there_is_written_down(run, tmp_path):
    path = tmp_path / "input"
    whole = (SAMPLES / "speech.flac").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    output, _, _ = run("transcribe", path)
    assert "fox" in output["text"]
    assert output["seconds"] < 9


def test_long_sound_comes_in_blocks_that_end_where_it_is_quiet(tmp_path):
    path = tmp_path / "long.wav"
    seconds = 300
    times = np.arange(seconds * sound.RATE) / sound.RATE
    loud = (0.3 * np.sin(2 * np.pi * 220 * times) * 32767).astype(np.int16)
    quiet = (times % 10) > 9  # a second in ten
    loud[quiet] = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.RATE)
        file.writeframes(loud.tobytes())
    blocks = list(sound.blocks(path))
    assert sum(len(samples) for _, samples in blocks) == len(loud)
    begins = [begin for begin, _ in blocks]
    assert len(begins) == 3
    assert all(9 <= begin % 10 <= 10 for begin in begins[1:])
    assert (
        max(len(samples) for _, samples in blocks)
        <= sound.BLOCK_SECONDS * sound.RATE * 1.1
    )


def test_captions_follow_their_formats():
    one = Segment(3661.5, 3662.25, "a <b> & c --> d", [])
    assert vtt([one]) == (
        "WEBVTT\n\n01:01:01.500 --> 01:01:02.250\na &lt;b> &amp; c → d\n"
    )
    assert srt([one]).startswith("1\n01:01:01,500 --> 01:01:02,250\na <b>")


# --- cutout ---------------------------------------------------------------------------
def test_the_subject_of_an_image_is_cut_out(run):
    output, files, _ = run("cutout", SAMPLES / "portrait.jpg")
    cut = Image.open(files["cutout.png"])
    assert (cut.mode, cut.size) == ("RGBA", (320, 320))
    alpha = np.asarray(cut)[..., 3]
    assert alpha[150:200, 140:180].mean() > 240  # the person
    assert alpha[:60, :60].mean() < 15  # the wall
    assert 0.3 < output["subject_share"] < 0.8


@pytest.mark.parametrize(("background", "value"), [("white", 255), ("black", 0)])
def test_the_background_becomes_what_is_asked_for(run, background, value):
    _, files, _ = run("cutout", SAMPLES / "portrait.jpg", background=background)
    picture = np.asarray(Image.open(files["cutout.jpg"]))
    assert abs(int(picture[:40, :40].mean()) - value) < 15


def test_every_frame_of_a_video_is_cut_out(run, tmp_path):
    source = tmp_path / "short.mp4"
    with av.open(str(SAMPLES / "portrait-clip.mp4")) as whole:
        frames = [
            frame.to_image()
            for _, frame in zip(range(4), whole.decode(video=0), strict=False)
        ]
    with av.open(str(source), "w") as writer:
        stream = writer.add_stream("libx264", rate=24)
        stream.width, stream.height = frames[0].size
        for image in frames:
            writer.mux(stream.encode(av.VideoFrame.from_image(image)))
        writer.mux(stream.encode(None))
    output, files, reports = run("cutout", source, background="blur")
    assert output["frames"] == 4
    with av.open(str(files["cutout.mp4"])) as video:
        assert len(list(video.decode(video=0))) == 4
    assert reports[-1][1] == "cutting out"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0" + bytes(50), b"<svg/>", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_told(run, tmp_path, content):
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(UserError):
        run("cutout", path)


def test_a_picture_of_huge_dimensions_is_refused_unread(run, tmp_path):
    path = tmp_path / "input"
    image = Image.new("1", (20_000, 20_000))
    image.save(path, "PNG")
    with pytest.raises(UserError, match=r"too large|damaged"):
        run("cutout", path)


def test_a_file_field_holds_no_path_from_outside():
    assert InFile("/etc/passwd").root == "/etc/passwd"
    with pytest.raises(RuntimeError, match="not been fetched"):
        _ = InFile("/etc/passwd").path


@pytest.mark.parametrize("id", [id for id in BUILT_IN if id != "batch"])
def test_what_a_runner_offers_can_be_used(id):
    runner = runner_class(id)
    schema = runner.schema()
    assert [one["title"] for one in schema.get("x-presets", [])] == list(runner.presets)
    files = dict.fromkeys(schema.get("required", []), "https://x/y")
    for preset in runner.presets.values():
        runner.Inputs.model_validate({**files, **preset})
    assert id == "echo" or "MIT" in runner.licence or "Apache" in runner.licence


def test_the_hub_offers_only_what_there_is():
    folder = ROOT / "worker_handler" / ".runpod"
    hub = json.loads((folder / "hub.json").read_text())["config"]
    readme = (ROOT / "worker_handler" / "README.md").read_text()
    by_key = {one["key"]: one["input"] for one in hub["env"]}
    offered = {option["value"] for option in by_key["SLIPWAY_RUNNER"]["options"]}
    assert offered == set(BUILT_IN) - {"batch"}
    assert all(f"`{key}`" in readme for key in by_key)
    assert all(set(preset["defaults"]) <= set(by_key) for preset in hub["presets"])
    config = json.loads((folder / "tests.json").read_text())
    runner = runner_class(config["config"]["env"][0]["value"])
    for test in config["tests"]:
        runner.Inputs.model_validate(test["input"])
