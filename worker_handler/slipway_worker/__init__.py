"""Slipway's worker: put a model behind a `Runner`, and it runs on RunPod or on your GPU."""

from slipway_worker.errors import UserError
from slipway_worker.runner import (
    InFile,
    JobContext,
    Output,
    Result,
    Runner,
    RunnerInputs,
    file_field,
)

__all__ = [
    "InFile",
    "JobContext",
    "Output",
    "Result",
    "Runner",
    "RunnerInputs",
    "UserError",
    "file_field",
]
