"""One job from its input to its answer: fetch, run, deliver."""

import logging
import os
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway_worker import inbox
from slipway_worker.contract import Envelope, Slipway
from slipway_worker.downloads import fetch_all
from slipway_worker.drive import drive
from slipway_worker.errors import (
    Cancelled,
    Over,
    Refused,
    SetupFailed,
    Undeliverable,
    UserError,
)
from slipway_worker.json_safe import json_safe
from slipway_worker.lifetime import Stop
from slipway_worker.progress import Progress
from slipway_worker.redact import redact
from slipway_worker.runner import JobContext, Result, Runner, RunnerInputs
from slipway_worker.runners import BUILT_IN, default_id, ready_runner, schema_of
from slipway_worker.uploads import upload

logger = logging.getLogger("slipway")
OURS = ("_slipway", "_batch")
# A job that asks a running worker what its runner takes: {"op": "schema", "runner": id}.
SCHEMA = "schema"


def work(
    job: dict[str, Any],
    cancel: Stop,
    emit: Callable[[Any], None] = lambda _: None,
) -> Any:
    """Do one RunPod job and return its output, or `{"error": text}`.

    With Slipway's envelope the files go to Slipway and the answer is a short receipt;
    without it they stay in a folder here and the answer names them. What the runner
    yields on the way is handed to `emit`.
    """
    input = job.get("input")
    if not isinstance(input, dict):
        return {"error": "The input must be an object."}
    if input.get("op") == SCHEMA and set(input) <= {"op", "runner"}:
        return _schema(str(input.get("runner") or default_id()))
    envelope = Envelope.of(input)
    slipway = Slipway(envelope, inbox.pauses()) if envelope else None
    try:
        return _Work(job, envelope, slipway, cancel).answer(emit)
    finally:
        if slipway:
            slipway.close()


def _schema(id: str) -> dict[str, Any]:
    try:
        return schema_of(_known(id))
    except UserError as error:
        return {"error": str(error)}


class _Work:
    """One job."""

    def __init__(
        self,
        job: dict[str, Any],
        envelope: Envelope | None,
        slipway: Slipway | None,
        cancel: Stop,
    ) -> None:
        self._job, self._envelope = job, envelope
        self._slipway, self._cancel = slipway, cancel
        self._id = str(job.get("id") or "")

    def answer(self, emit: Callable[[Any], None]) -> Any:
        """Return what RunPod gets; nothing is raised but what ends the process."""
        try:
            return self._done(emit)
        except Over as over:
            logger.info("job=%s nothing left to do: %s", self._id, over)
            return {"slipway": "over"}
        except Cancelled:
            return self._failed(*_why_stopped(self._cancel))
        except Undeliverable as error:
            # Slipway knows these words of RunPod's error and starts another attempt.
            text = self._safe(f"Slipway could not be reached ({error})")
            logger.error("job=%s: %s", self._id, text)  # noqa: TRY400 - says it all
            return {"error": f"worker lost: {text}"}
        except (UserError, Refused) as error:
            return self._failed(error.code, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a job must get an answer
            trace = self._safe(traceback.format_exc())
            logger.error("job=%s failed\n%s", self._id, trace)  # noqa: TRY400 - one line of ours, then the traceback
            text = f"{type(error).__name__}: {error}"[:2000]
            return self._failed(_code_of(error, text), text)

    def _done(self, emit: Callable[[Any], None]) -> Any:
        if self._slipway:
            worker = os.environ.get("RUNPOD_POD_ID", "")
            self._slipway.claim(worker_id=worker, runpod_id=self._id)
        with _folder(self._slipway) as folder:
            context = JobContext(
                Path(folder),
                Progress(self._slipway, self._cancel).report,
                self._cancel,
                id=self._id,
                batch=_batch_of(self._job["input"]),
            )
            result = self._run(context, emit)
            return self._delivered(result, context)

    def _run(self, context: JobContext, emit: Callable[[Any], None]) -> Result:
        """Choose the runner, check the input, fetch its files, run."""
        raw = {n: value for n, value in self._job["input"].items() if n not in OURS}
        runner = ready_runner(_known(self._runner_id()))
        inputs = _checked(runner, raw)
        slipway, envelope = self._slipway, self._envelope
        fetch_all(
            inputs.files(),
            envelope.files if envelope else {},
            local=slipway.local if slipway else str,
            renew=slipway.new_link if slipway else lambda _: "",
            trusted=slipway.trusted if slipway else (),
            job=context,
        )
        result = drive(runner, inputs, context, emit)
        if runner.Outputs is None:
            return result
        # What does not fit is the runner's mistake, and told as a bug.
        return replace(result, output=runner.Outputs.model_validate(result.output))

    def _runner_id(self) -> str:
        if self._envelope:
            return self._envelope.runner
        return str(self._job.get("endpoint") or "")

    def _delivered(self, result: Result, context: JobContext) -> Any:
        """Send the files and the manifest; return the receipt, or all of it."""
        output = json_safe(result.output)
        if self._slipway is None:
            return _alone(output, result)
        try:
            lines = [upload(self._slipway, file, context) for file in result.files]
            context.check_cancelled()
            self._slipway.finish({"schema": 1, "files": lines, "output": output})
        except Undeliverable:
            raw = self._job["input"]["_slipway"]
            inbox.keep(raw, str(raw.get("attempt")), result, output)
            raise
        flags = {"refresh_worker": True} if result.refresh_worker else {}
        return {"slipway": "done", "files": len(lines), **flags}

    def _failed(self, code: str, message: str) -> dict[str, Any]:
        """Tell Slipway first, then RunPod."""
        message = self._safe(message)
        if self._slipway:
            error = {"code": code, "message": message, "retryable": False}
            try:
                self._slipway.finish({"schema": 1, "files": [], "error": error})
            except Exception as failure:  # noqa: BLE001 - RunPod still gets the message
                logger.warning("the error could not be delivered: %s", failure)
        return {"error": message}

    def _safe(self, text: str) -> str:
        return redact(text, self._envelope.token if self._envelope else "")


def _why_stopped(cancel: Stop) -> tuple[str, str]:
    if cancel.limit:
        text = f"The job took longer than this worker allows ({cancel.limit:g} s)."
        return "work_timeout", text
    # Slipway believes this only if somebody there asked for it.
    return "cancelled", "The job was cancelled."


def _code_of(error: BaseException, text: str) -> str:
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return "out_of_memory"
    return "setup_failed" if isinstance(error, SetupFailed) else "worker_error"


def _alone(output: Any, result: Result) -> Any:
    """Return the whole answer of a job without Slipway, with the paths of its files."""
    files = [
        {"name": f.name, "content_type": f.content_type, "path": str(f.path)}
        for f in result.files
    ]
    if not files and not result.refresh_worker:
        return output
    answer = output if isinstance(output, dict) else {"output": output}
    answer = {**answer, "files": files} if files else answer
    return {**answer, "refresh_worker": True} if result.refresh_worker else answer


def _folder(slipway: Slipway | None) -> Any:
    """Return the job's folder: a passing one, or a kept one when we work alone."""
    if slipway:
        return tempfile.TemporaryDirectory(prefix="slipway-")
    return _KeptFolder()


class _KeptFolder:
    """A folder that stays, for jobs without a server to send files to."""

    def __enter__(self) -> str:
        base = os.environ.get("SLIPWAY_OUTPUT_DIR")
        return tempfile.mkdtemp(prefix="slipway-", dir=base)

    def __exit__(self, *_: object) -> None:
        pass


def _batch_of(input: dict[str, Any]) -> dict[str, Any]:
    batch = input.get("_batch")
    return batch if isinstance(batch, dict) else {}


def _known(name: str) -> str:
    return name if name in BUILT_IN else default_id()


def _checked(runner: Runner, raw: dict[str, Any]) -> RunnerInputs:
    """Return the typed input; raise `UserError` that names every wrong field."""
    try:
        return runner.Inputs.model_validate(raw)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        ]
        raise UserError("; ".join(problems)) from None
