"""The built-in runners. Their modules are imported only when they are needed."""

import importlib
import os
from functools import cache
from typing import Any

from errors import UserError
from runner import Runner

BUILT_IN = {
    "anonymize": "runners.anonymize:Anonymize",
    "cutout": "runners.cutout:Cutout",
    "echo": "runners.echo:Echo",
    "transcribe": "runners.transcribe:Transcribe",
}
if os.environ.get("SLIPWAY_BATCH"):
    BUILT_IN["batch"] = "batch:Batch"


def runner_class(id: str) -> type[Runner]:
    """Return the class of a runner: a built-in one, or the `module:Class` of this worker.

    A job may only name what its worker knows: importing by a job's word would let
    whoever submits jobs run any code.
    """
    known = {**BUILT_IN, default_id(): BUILT_IN.get(default_id(), default_id())}
    module, _, name = known.get(id, "").partition(":")
    if not name:
        raise UserError(f"There is no runner “{id}” here. Known: {', '.join(known)}.")
    found: type[Runner] = getattr(importlib.import_module(module), name)
    return found


@cache
def ready_runner(id: str) -> Runner:
    """Return the runner with its model loaded; the same one every time."""
    runner = runner_class(id)()
    runner.setup()
    return runner


def default_id() -> str:
    """Return the runner used when a job names none (`SLIPWAY_RUNNER`)."""
    usual = "batch" if "batch" in BUILT_IN else "anonymize"
    return os.environ.get("SLIPWAY_RUNNER", usual)


def schema_of(id: str) -> dict[str, Any]:
    """Return what a front end needs to know of a runner."""
    runner = runner_class(id)
    return {
        "id": id,
        "title": runner.title,
        "description": runner.description,
        "input_schema": runner.schema(),
    }
