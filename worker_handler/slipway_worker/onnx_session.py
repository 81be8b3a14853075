"""onnxruntime sessions, on CUDA where it works and on the CPU elsewhere."""

import os
from typing import Any

import onnxruntime


def open_session(model: str | bytes) -> Any:
    """Return a session of a model, given as a path or as its bytes.

    WORKER_DEVICE=cuda makes a missing CUDA an error: onnxruntime itself goes on on the
    CPU without a word.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Idle threads must not spin: the decoder and encoder want the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=_providers())
    if os.environ.get("WORKER_DEVICE") == "cuda" and device_of(session) != "CUDA":
        raise RuntimeError("WORKER_DEVICE=cuda, but CUDA could not be loaded")
    return session


def device_of(session: Any) -> str:
    """Return what a session runs on: CUDA or CPU."""
    return str(session.get_providers()[0]).removesuffix("ExecutionProvider")


def _providers() -> list[str]:
    wanted = os.environ.get("WORKER_DEVICE", "auto")
    known = onnxruntime.get_available_providers()
    if wanted != "cpu" and "CUDAExecutionProvider" in known:
        onnxruntime.preload_dlls()
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if wanted == "cuda":
        raise RuntimeError("WORKER_DEVICE=cuda, but onnxruntime has no CUDA here")
    return ["CPUExecutionProvider"]
