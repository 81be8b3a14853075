"""One job from its input to its answer: fetch, run, deliver."""

import json
import logging
import os
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

from contract import Envelope, Slipway
from errors import Cancelled, Over, SetupFailed, Undeliverable, UserError
from files import download, upload
from progress import Progress
from pydantic import ValidationError
from runner import JobContext, Result, RunnerInputs
from runners import BUILT_IN, default_id, ready_runner

logger = logging.getLogger("slipway")
OURS = ("_slipway", "_batch")


def work(job: dict[str, Any], cancel: threading.Event) -> dict[str, Any]:
    """Do one RunPod job and return its output, or `{"error": text}`.

    With Slipway's envelope the files go to Slipway and the answer is a short receipt;
    without it they stay in a folder here and the answer names them.
    """
    input = job.get("input")
    if not isinstance(input, dict):
        return {"error": "The input must be an object."}
    envelope = Envelope.of(input)
    slipway = Slipway(envelope) if envelope else None
    try:
        return _work(job, envelope, slipway, cancel)
    finally:
        if slipway:
            slipway.close()


def _work(
    job: dict[str, Any],
    envelope: Envelope | None,
    slipway: Slipway | None,
    cancel: threading.Event,
) -> dict[str, Any]:
    try:
        if slipway:
            worker = os.environ.get("RUNPOD_POD_ID", "")
            slipway.claim(worker_id=worker, runpod_id=str(job.get("id") or ""))
        with _folder(slipway) as folder:
            context = JobContext(
                Path(folder),
                Progress(slipway, cancel).report,
                cancel,
                id=str(job.get("id") or ""),
                batch=_batch_of(job["input"]),
            )
            result = _run(job, envelope, slipway, context)
            return _deliver(result, slipway, context)
    except Over as over:
        logger.info("job=%s nothing left to do: %s", job.get("id"), over)
        return {"slipway": "over"}
    except Cancelled:
        # Slipway believes this only if somebody there asked for it.
        return _failed(slipway, "cancelled", "The job was cancelled.", retryable=False)
    except Undeliverable as error:
        # Slipway knows these words of RunPod's error and starts another attempt.
        logger.error("job=%s: %s", job.get("id"), error)  # noqa: TRY400 - says it all
        return {"error": f"worker lost: Slipway could not be reached ({error})"}
    except (UserError, ValidationError) as error:
        code = getattr(error, "code", "invalid_input")
        return _failed(slipway, code, _user_text(error), retryable=False)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a job must get an answer
        logger.error("job=%s failed\n%s", job.get("id"), traceback.format_exc())  # noqa: TRY400 - one line of ours, then the traceback
        text = f"{type(error).__name__}: {error}"[:2000]
        out_of_memory = (
            isinstance(error, MemoryError) or "out of memory" in text.lower()
        )
        code = "setup_failed" if isinstance(error, SetupFailed) else "worker_error"
        code = "out_of_memory" if out_of_memory else code
        return _failed(slipway, code, text, retryable=False)


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


def _run(
    job: dict[str, Any],
    envelope: Envelope | None,
    slipway: Slipway | None,
    context: JobContext,
) -> Result:
    """Choose the runner, check the input, fetch its files, run."""
    raw = {name: value for name, value in job["input"].items() if name not in OURS}
    named = envelope.runner if envelope else str(job.get("endpoint") or "")
    runner = ready_runner(_known(named))
    inputs: RunnerInputs = runner.Inputs.model_validate(raw)
    trusted = slipway.trusted if slipway else ()
    for name, file in inputs.files().items():
        target = context.folder / f"input-{name}"
        url = slipway.local(file.root) if slipway else file.root
        download(url, target, trusted=trusted, job=context)
        file.fetched_to(target)
    return runner.run(inputs, context)


def _batch_of(input: dict[str, Any]) -> dict[str, Any]:
    batch = input.get("_batch")
    return batch if isinstance(batch, dict) else {}


def _known(name: str) -> str:
    return name if name in BUILT_IN else default_id()


def _deliver(
    result: Result, slipway: Slipway | None, context: JobContext
) -> dict[str, Any]:
    output = json.loads(json.dumps(result.output, default=str))
    if slipway is None:
        files = [
            {"name": f.name, "content_type": f.content_type, "path": str(f.path)}
            for f in result.files
        ]
        return {**output, "files": files} if files else output
    lines = [upload(slipway, file, context) for file in result.files]
    context.check_cancelled()
    slipway.finish({"schema": 1, "files": lines, "output": output})
    return {"slipway": "done", "files": len(lines)}


def _failed(
    slipway: Slipway | None, code: str, message: str, *, retryable: bool
) -> dict[str, Any]:
    """Tell Slipway first, then RunPod."""
    if slipway:
        error = {"code": code, "message": message, "retryable": retryable}
        try:
            slipway.finish({"schema": 1, "files": [], "error": error})
        except Exception as failure:  # noqa: BLE001 - RunPod still gets the message
            logger.warning("the error could not be delivered: %s", failure)
    return {"error": message}


def _user_text(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
        for detail in error.errors()
    )
