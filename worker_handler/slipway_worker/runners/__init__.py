"""The built-in runners. Their modules are imported only when they are needed."""

import importlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from slipway_worker.errors import SetupFailed, UserError
from slipway_worker.runner import Runner

BUILT_IN = {
    "anonymize": "slipway_worker.runners.anonymize:Anonymize",
    "cutout": "slipway_worker.runners.cutout:Cutout",
    "echo": "slipway_worker.runners.echo:Echo",
    "transcribe": "slipway_worker.runners.transcribe:Transcribe",
}
if os.environ.get("SLIPWAY_BATCH"):
    BUILT_IN["batch"] = "slipway_worker.batch:Batch"


def runner_class(id: str) -> type[Runner]:
    """Return the class of a runner: a built-in one, or the `module:Class` of this worker.

    A job may only name what its worker knows: importing by a job's word would let
    whoever submits jobs run any code.
    """
    known = {**BUILT_IN, default_id(): BUILT_IN.get(default_id(), default_id())}
    module, _, name = known.get(id, "").partition(":")
    if not name:
        raise UserError(f"There is no runner “{id}” here. Known: {', '.join(known)}.")
    runner: type[Runner] = getattr(importlib.import_module(module), name)
    return runner


@cache
def ready_runner(id: str) -> Runner:
    """Return the runner with its model loaded; the same one every time."""
    runner = runner_class(id)()
    runner.setup(config())
    return runner


def config() -> dict[str, Any]:
    """Return the object in SLIPWAY_CONFIG: JSON, or the path of a file with it."""
    setting = os.environ.get("SLIPWAY_CONFIG", "").strip() or "{}"
    try:
        text = setting if setting.startswith(("{", "[")) else Path(setting).read_text()
        parsed = json.loads(text)
    except (OSError, ValueError) as error:
        raise SetupFailed(f"SLIPWAY_CONFIG cannot be read: {error}") from None
    if not isinstance(parsed, dict):
        raise SetupFailed("SLIPWAY_CONFIG must be a JSON object: {…}.")
    return parsed


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
