"""One job from its input to its answer, as Slipway sees it."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from slipway_worker.errors import UserError
from slipway_worker.lifetime import Stop
from slipway_worker.runner import InFile, Result, Runner, RunnerInputs
from slipway_worker.work import work
from tests.stack.stack import wait_until
from tests.worker.slipway import PUBLIC


class Doing(Runner):
    """Does what the test says."""

    id, title = "doing", "Doing"

    class Inputs(RunnerInputs):
        number: int = 0
        text: str = ""
        media: InFile | None = None
        sizes: list[int] = []

    def run(self, inputs, job):
        return self.act(inputs, job)

    @staticmethod
    def act(inputs, job) -> Any:
        return {"number": inputs.number}


class Typed(Doing):
    class Outputs(BaseModel):
        number: int


@pytest.fixture(autouse=True)
def _is_the_runner(monkeypatch):
    monkeypatch.setenv("SLIPWAY_RUNNER", f"{__name__}:Doing")


@pytest.fixture
def runner(monkeypatch):
    """Set what the runner does; keep what it was given."""

    def set_to(act):
        monkeypatch.setattr(Doing, "act", staticmethod(act))

    return set_to


@pytest.fixture
def do(slipway):
    """Do one job for Slipway."""

    def run(cancel=None, emit=lambda _: None, envelope=None, **input):
        usual = slipway.envelope(runner="doing")
        input["_slipway"] = {**usual, **(envelope or {})}
        return work({"id": "r1", "input": input}, cancel or Stop(), emit)

    return run


def a_file(inputs, job):
    made = job.output("a.txt", "text/plain")
    made.path.write_text("hello")
    return Result([made], output={"is": "made"})


# --- delivered ----------------------------------------------------------------------------
def test_a_job_is_claimed_done_and_delivered(slipway, do, monkeypatch):
    monkeypatch.setenv("RUNPOD_POD_ID", "pod-7")
    assert do(number=3) == {"slipway": "done", "files": 0}
    assert slipway.names() == ["claim", "finish"]
    assert slipway.called("claim") == [{"worker_id": "pod-7", "runpod_id": "r1"}]
    assert slipway.manifests == [{"schema": 1, "files": [], "output": {"number": 3}}]


def test_a_worker_and_a_job_without_a_name_are_taken(slipway, monkeypatch):
    monkeypatch.delenv("RUNPOD_POD_ID", raising=False)
    work({"input": {"_slipway": slipway.envelope()}}, Stop())
    assert slipway.called("claim") == [{"worker_id": "", "runpod_id": ""}]


def test_its_files_go_before_the_manifest_that_names_them(slipway, do, runner):
    runner(a_file)
    assert do() == {"slipway": "done", "files": 1}
    assert slipway.names() == ["claim", "outputs", "progress", "finish"]
    sha256 = hashlib.sha256(b"hello").hexdigest()
    line = {"name": "a.txt", "size": 5, "sha256": sha256}
    [manifest] = slipway.manifests
    assert manifest == {"schema": 1, "files": [line], "output": {"is": "made"}}
    assert slipway.files == {"a.txt": b"hello"}


def test_nothing_is_left_of_a_job_that_was_delivered(slipway, do, runner):
    folders = []
    runner(lambda inputs, job: (folders.append(job.folder), a_file(inputs, job))[1])
    do()
    assert not folders[0].exists()
    wait_until(lambda: not slipway.connections, what="its connections are closed")


def test_a_runner_knows_its_job_and_its_batch(do, runner):
    answers = []
    runner(lambda inputs, job: answers.append((job.id, job.batch)))
    do(_batch={"id": "b1"})
    do(_batch="nonsense")
    assert answers == [("r1", {"id": "b1"}), ("r1", {})]


def test_any_output_becomes_sound_json(slipway, do, runner):
    runner(lambda inputs, job: {"value": float("nan"), "bytes": b"abc"})
    do()
    assert slipway.manifests[0]["output"] == {"value": None, "bytes": "<3 bytes>"}


def test_chunks_go_out_as_they_come(slipway, monkeypatch):
    monkeypatch.setenv("SLIPWAY_RUNNER", "tests.worker.kinds:Generator")
    chunks = []
    job = {"id": "r1", "input": {"_slipway": slipway.envelope(runner="x")}}
    assert work(job, Stop(), chunks.append) == {"slipway": "done", "files": 1}
    assert chunks == [{"n": 1}, {"n": 2}]


def test_a_result_may_ask_for_a_fresh_worker(do, runner):
    runner(lambda inputs, job: Result(refresh_worker=True))
    assert do() == {"slipway": "done", "files": 0, "refresh_worker": True}


def test_an_output_is_what_the_runner_promises_or_a_bug(
    slipway, do, runner, monkeypatch
):
    monkeypatch.setenv("SLIPWAY_RUNNER", f"{__name__}:Typed")
    runner(lambda inputs, job: Result(output={"number": inputs.text, "more": 1}))
    assert do(text="7") == {"slipway": "done", "files": 0}
    assert slipway.manifests[-1]["output"] == {"number": 7}
    assert do(text="seven")["error"].startswith("ValidationError")
    assert slipway.manifests[-1]["error"]["code"] == "worker_error"


def test_files_stay_with_an_output_that_was_checked(slipway, do, runner, monkeypatch):
    monkeypatch.setenv("SLIPWAY_RUNNER", f"{__name__}:Typed")
    runner(lambda inputs, job: Result(a_file(inputs, job).files, {"number": 1}, True))
    assert do() == {"slipway": "done", "files": 1, "refresh_worker": True}


# --- what does it -------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["echo", "os:system", "", None])
def test_the_envelope_names_one_of_the_runners_we_know(slipway, do, name):
    """Any other name is the runner of this worker."""
    do(envelope={"runner": name})
    is_echo = "message" in slipway.manifests[0]["output"]
    assert is_echo == (name == "echo")


@pytest.mark.parametrize("input", [None, [], "text", 5])
def test_an_input_that_is_no_object_is_refused(input):
    refused = {"error": "The input must be an object."}
    assert work({"id": "r1", "input": input}, Stop()) == refused
    assert work({"id": "r1"}, Stop()) == refused


def test_every_mistake_of_an_input_is_named(slipway, do):
    text = do(number="x", text=5, _batch={})["error"]
    assert text == (
        "number: Input should be a valid integer, unable to parse string as an integer; "
        "text: Input should be a valid string"
    )
    error = slipway.manifests[0]["error"]
    assert error == {"code": "invalid_input", "message": text, "retryable": False}


def test_a_mistake_deep_in_an_input_is_named_by_its_way():
    text = work({"input": {"sizes": [1, "x"]}}, Stop())["error"]
    assert text.startswith("sizes.1: Input should be a valid integer")


# --- what its input takes -----------------------------------------------------------------
def test_a_running_worker_says_what_it_takes():
    schema = work({"input": {"op": "schema"}}, Stop())
    assert (schema["id"], schema["title"]) == (f"{__name__}:Doing", "Doing")
    assert set(schema["input_schema"]["properties"]) == {
        "number",
        "text",
        "media",
        "sizes",
    }
    echo = work({"input": {"op": "schema", "runner": "echo"}}, Stop())
    assert (echo["id"], echo["title"]) == ("echo", "Echo")
    other = work({"input": {"op": "schema", "runner": "os:system"}}, Stop())
    assert other["id"] == f"{__name__}:Doing"


def test_a_worker_with_an_unknown_runner_says_so(monkeypatch):
    monkeypatch.setenv("SLIPWAY_RUNNER", "nope")
    assert "no runner “nope”" in work({"input": {"op": "schema"}}, Stop())["error"]


@pytest.mark.parametrize("input", [{"op": "schema", "number": 1}, {"op": "other"}])
def test_a_job_with_a_field_called_op_is_a_job(input):
    assert "op: Extra inputs" in work({"input": input}, Stop())["error"]


# --- its files ----------------------------------------------------------------------------
def content(inputs, job):
    return {"media": inputs.media.path.read_text()}


def test_files_of_our_server_are_fetched_where_it_is_reached(slipway, do, runner):
    runner(content)
    slipway.inputs = {"x.txt": b"hello"}
    do(media=f"{PUBLIC}/files/x.txt")
    assert slipway.manifests[0]["output"] == {"media": "hello"}


def test_a_link_whose_time_is_over_is_renewed(slipway, do, runner):
    runner(content)
    slipway.inputs = {"y.txt": b"fresh"}
    slipway.answers["/files/x.txt"] = 403
    links = {"media": f"{PUBLIC}/files/y.txt"}
    slipway.answers["inputs"] = (200, {"links": links})
    do(media=f"{PUBLIC}/files/x.txt")
    assert slipway.manifests[0]["output"] == {"media": "fresh"}


def test_a_file_is_compared_with_what_our_server_knows(
    slipway, do, runner, monkeypatch
):
    monkeypatch.setattr("slipway_worker.downloads.PAUSES", ())
    runner(content)
    slipway.inputs = {"x.txt": b"hello"}
    known = {"files": {"media": {"size": 6, "sha256": ""}}}
    text = do(media=f"{PUBLIC}/files/x.txt", envelope=known)["error"]
    assert "5 bytes came in place of 6" in text
    assert slipway.manifests[0]["error"]["code"] == "input_unavailable"


def test_files_of_others_at_private_addresses_are_refused(slipway, runner):
    runner(content)
    answer = work({"input": {"media": f"{slipway.url}/files/x.txt"}}, Stop())
    assert "cannot be fetched from" in answer["error"]
    assert slipway.calls == []


# --- alone --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("output", "has_file", "refresh", "answer"),
    [
        ({"a": 1}, False, False, {"a": 1}),
        ([1], False, False, [1]),
        ("text", False, False, "text"),
        ({"a": 1}, True, False, {"a": 1, "files": ["a.txt"]}),
        ([1], True, False, {"output": [1], "files": ["a.txt"]}),
        ("text", False, True, {"output": "text", "refresh_worker": True}),
        ({"a": 1}, False, True, {"a": 1, "refresh_worker": True}),
        ({"a": 1}, True, True, {"a": 1, "files": ["a.txt"], "refresh_worker": True}),
    ],
)
def test_without_slipway_the_answer_has_everything(
    runner, tmp_path, monkeypatch, output, has_file, refresh, answer
):
    monkeypatch.setenv("SLIPWAY_OUTPUT_DIR", str(tmp_path))
    runner(
        lambda inputs, job: Result(
            a_file(inputs, job).files if has_file else [], output, refresh
        )
    )
    made = work({"id": "r1", "input": {}}, Stop())
    if has_file:
        [file] = made["files"]
        assert Path(file["path"]).read_text() == "hello"
        assert Path(file["path"]).is_relative_to(tmp_path)
        assert (file["name"], file["content_type"]) == ("a.txt", "text/plain")
        made = {**made, "files": [file["name"]]}
    assert made == answer


def test_without_a_folder_its_files_stay_among_those_that_pass(
    runner, tmp_path, monkeypatch
):
    monkeypatch.delenv("SLIPWAY_OUTPUT_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runner(a_file)
    [file] = work({"input": {}}, Stop())["files"]
    assert Path(file["path"]).parent.parent.parent == tmp_path


@pytest.mark.parametrize("name", ["echo", "os:system", None])
def test_without_slipway_the_job_may_name_one_of_the_runners(name):
    answer = work({"endpoint": name, "input": {}}, Stop())
    assert answer == ({"message": "Hello"} if name == "echo" else {"number": 0})


def test_without_slipway_a_users_error_is_the_answer(runner):
    def act(inputs, job):
        raise UserError("The lens is dirty.")

    runner(act)
    assert work({"input": {}}, Stop()) == {"error": "The lens is dirty."}
