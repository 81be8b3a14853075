"""Jobs that fail, are cancelled, or cannot be delivered: what Slipway and RunPod hear."""

import pytest

from slipway_worker.errors import Cancelled, InputUnavailable, SetupFailed, UserError
from slipway_worker.lifetime import Stop
from slipway_worker.runner import Runner, RunnerInputs
from slipway_worker.work import work
from tests.worker.slipway import TOKEN


class Failing(Runner):
    """Does what the test says."""

    id, title, Inputs = "failing", "Failing", RunnerInputs

    def run(self, inputs, job):
        return self.act(job)


@pytest.fixture
def do(slipway, monkeypatch):
    """Do one job for Slipway with a runner that acts as the test says."""
    monkeypatch.setenv("SLIPWAY_RUNNER", f"{__name__}:Failing")

    def run(act, cancel=None):
        monkeypatch.setattr(Failing, "act", staticmethod(act), raising=False)
        job = {"id": "r1", "input": {"_slipway": slipway.envelope(runner="x")}}
        return work(job, cancel or Stop())

    return run


def raising(error):
    def act(job):
        raise error

    return act


# --- errors -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("Too dark."), "invalid_input", "Too dark."),
        (InputUnavailable("It is gone."), "input_unavailable", "It is gone."),
        (ValueError("boom"), "worker_error", "ValueError: boom"),
        (SystemExit(4), "worker_error", "SystemExit: 4"),
        (MemoryError(), "out_of_memory", "MemoryError: "),
        (RuntimeError("CUDA Out of Memory"), "out_of_memory", None),
        (SetupFailed("no model"), "setup_failed", "SetupFailed: no model"),
        (ValueError("x" * 3000), "worker_error", "ValueError: " + "x" * 1988),
    ],
)
def test_every_error_has_a_code_and_is_final(slipway, do, error, code, message):
    message = message or f"{type(error).__name__}: {error}"
    assert do(raising(error)) == {"error": message}
    assert slipway.names() == ["claim", "finish"]
    named = {"code": code, "message": message, "retryable": False}
    assert slipway.manifests == [{"schema": 1, "files": [], "error": named}]


@pytest.mark.parametrize("status", [500, 409, 404])
def test_an_error_that_cannot_be_delivered_is_runpods_answer(
    slipway, do, pauses, status
):
    slipway.answers["finish"] = status
    assert do(raising(ValueError("boom"))) == {"error": "ValueError: boom"}
    assert slipway.called("finish")


def test_what_ends_the_process_ends_it(do):
    with pytest.raises(KeyboardInterrupt):
        do(raising(KeyboardInterrupt()))


def test_the_log_says_where_a_job_failed_and_no_secret(do, slipway, caplog):
    answer = do(raising(RuntimeError(f"refused {TOKEN}")))
    assert answer == {"error": "RuntimeError: refused …"}
    assert slipway.manifests[0]["error"]["message"] == "RuntimeError: refused …"
    assert "job=r1 failed" in caplog.text
    assert "in act" in caplog.text
    assert TOKEN not in caplog.text


def test_without_slipway_signed_links_are_hidden_too(monkeypatch, do):
    act = raising(RuntimeError("lost at https://x/y?token=canary-7b1c"))
    monkeypatch.setattr(Failing, "act", staticmethod(act), raising=False)
    answer = work({"id": "r1", "input": {}}, Stop())
    assert answer == {"error": "RuntimeError: lost at https://x/y?…"}


# --- cancelled ----------------------------------------------------------------------------
def stopping(cancel, limit=0.0):
    """Return a runner that is stopped while it runs, and does not look."""

    def act(job):
        cancel.limit = limit
        cancel.set()
        return {"done": True}

    return act


@pytest.mark.parametrize(
    ("limit", "code", "message"),
    [
        (0.0, "cancelled", "The job was cancelled."),
        (
            1.5,
            "work_timeout",
            "The job took longer than this worker allows (1.5 s).",
        ),
    ],
)
def test_a_job_that_was_stopped_has_no_result(slipway, do, limit, code, message):
    cancel = Stop()
    assert do(stopping(cancel, limit), cancel) == {"error": message}
    [manifest] = slipway.manifests
    assert manifest["error"] == {"code": code, "message": message, "retryable": False}
    assert "output" not in manifest


def test_a_runner_hears_at_its_next_report_that_nobody_wants_it(slipway, do):
    slipway.answers["progress"] = (200, {"continue": False})

    def act(job):
        job.progress(0.5, "working")
        pytest.fail("it went on")

    assert do(act) == {"error": "The job was cancelled."}


def test_a_runner_may_stop_by_itself(do):
    assert do(raising(Cancelled())) == {"error": "The job was cancelled."}


# --- not delivered ------------------------------------------------------------------------
def test_an_attempt_that_is_over_is_not_worked_on(slipway, do):
    slipway.answers["claim"] = 409
    assert do(lambda job: pytest.fail("it ran")) == {"slipway": "over"}
    assert slipway.names() == ["claim"]


def test_a_result_that_nobody_wants_any_more_is_over(slipway, do):
    slipway.answers["finish"] = 409
    assert do(lambda job: {}) == {"slipway": "over"}
    assert len(slipway.called("finish")) == 1


def test_a_worker_that_cannot_begin_is_lost(slipway, do, pauses):
    slipway.answers["claim"] = 503
    answer = do(lambda job: pytest.fail("it ran"))
    assert answer["error"].startswith(
        "worker lost: Slipway could not be reached (claim: HTTP 503"
    )
    assert set(slipway.names()) == {"claim"}
    assert len(pauses) > 5


def test_what_the_server_said_is_told_without_the_token(slipway, do, caplog):
    slipway.answers["finish"] = (404, f"no {TOKEN} here".encode())
    assert do(lambda job: {}) == {
        "error": "worker lost: Slipway could not be reached "
        "(finish: HTTP 404: no … here)"
    }
    assert "no … here" in caplog.text
    assert TOKEN not in caplog.text
