"""Cortex's Batch handlers, unchanged: a project with `class Handler` in its `handler.py`.

SLIPWAY_BATCH names the project's folder, or its file. `__init__` runs once for each
batch and configuration on a worker, `handle_batch` once for each payload, and
`on_job_complete` in the job that comes when all payloads have ended. A method is given
the arguments that it names (Cortex v0.35, docs/workloads/batch/handler.md).
"""

import gc
import importlib.util
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ConfigDict, Field

from slipway_worker import cortex_modules
from slipway_worker.errors import SetupFailed, UserError
from slipway_worker.runner import JobContext, Result, Runner, RunnerInputs

logger = logging.getLogger("slipway")
OPTIONAL = {
    "__init__": ("config", "job_spec", "metrics_client"),
    "handle_batch": ("payload", "batch_id", "headers", "query_params"),
    "on_job_complete": (),
}


class Batch(Runner):
    """Runs the project's Handler."""

    id = "batch"
    title = "Batch handler"
    description = "Runs the Handler class of your project, payload by payload."

    class Inputs(RunnerInputs):
        """What it takes."""

        model_config = ConfigDict(extra="allow")
        payload: list[Any] = Field(
            title="Payload", description="The samples of one batch, as a list."
        )

    def setup(self, config: dict[str, Any]) -> None:
        """Import the project. What is wrong with it is the answer of each job: a worker
        that ends would only be started again.
        """
        self._config = config
        self._handler: Any = None
        self._key = ""
        self._class: type | None = None
        self._problem = ""
        try:
            self._class = handler_class(project_file())
        except SetupFailed as error:
            logger.exception("the project cannot be used")
            self._problem = str(error)

    def run(self, inputs: Inputs, job: JobContext) -> Result:
        """Hand one payload over, or call `on_job_complete`."""
        batch = job.batch
        handler = self._ready(batch)
        if batch.get("on_job_complete"):
            if hasattr(handler, "on_job_complete"):
                handler.on_job_complete()
            return Result()
        if not inputs.payload:
            raise UserError("The payload is empty.")
        arguments = {
            "payload": inputs.payload,
            "batch_id": str(batch.get("id") or job.id),
        }
        answer = _call(handler.handle_batch, "handle_batch", arguments)
        return Result(output={} if answer is None else {"result": answer})

    def _ready(self, batch: dict[str, Any]) -> Any:
        """Return the Handler built for this batch and its configuration.

        A warm worker serves many batches; Cortex built a Handler for each. Where
        SLIPWAY_BATCH_SHARED is set, batches of one configuration share it.
        """
        spec = batch.get("job_spec") or {}
        config = batch.get("config")
        if config is None:
            config = self._config
        parts = [spec.get("api_id"), config]
        if not os.environ.get("SLIPWAY_BATCH_SHARED"):
            parts.append(spec.get("job_id"))
        key = json.dumps(parts, sort_keys=True)
        if self._handler is None or key != self._key:
            self._forget()
            if self._class is None:
                raise SetupFailed(self._problem)
            metrics = cortex_modules.Metrics(spec)
            arguments = {"config": config, "job_spec": spec, "metrics_client": metrics}
            try:
                self._handler = _call(self._class, "__init__", arguments)
            except (Exception, SystemExit) as error:
                raise SetupFailed(f"{type(error).__name__}: {error}") from error
            self._key = key
        return self._handler

    def _forget(self) -> None:
        """Free the model of the Handler before, so that two never share the GPU."""
        self._handler = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def project_file() -> Path:
    """Return the file with the Handler; raise `SetupFailed`."""
    setting = os.environ.get("SLIPWAY_BATCH", "")
    path = Path(setting).expanduser().resolve()
    path = path / "handler.py" if path.is_dir() else path
    if not setting or not path.is_file():
        raise SetupFailed(f"SLIPWAY_BATCH is {setting!r}: no such file.")
    return path


def handler_class(file: Path) -> type:
    """Import the project and return its class; raise `SetupFailed` for what it lacks.

    Its folder is the working directory and comes first among the imports, and its `.env`
    is loaded, as Cortex did it. What the environment says already stays.
    """
    folder = file.parent
    _load_env(folder / ".env")
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    cortex_modules.install()
    spec = importlib.util.spec_from_file_location("cortex_handler", file)
    if spec is None or spec.loader is None:
        raise SetupFailed(f"{file.name} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        problem = f"{type(error).__name__}: {error}"
        raise SetupFailed(f"{file.name} cannot be imported: {problem}") from error
    return _checked(module, file.name)


def _checked(module: ModuleType, name: str) -> type:
    handler = getattr(module, "Handler", None)
    if not inspect.isclass(handler):
        raise SetupFailed(f"{name} has no class called Handler.")
    if not hasattr(handler, "handle_batch"):
        raise SetupFailed(f"The Handler in {name} has no method handle_batch.")
    for method, known in OPTIONAL.items():
        if not hasattr(handler, method):
            continue
        names = list(inspect.signature(getattr(handler, method)).parameters)[1:]
        strange = [name for name in names if name not in known]
        if strange and method in vars(handler):
            text = f"{method} asks for {', '.join(strange)}"
            raise SetupFailed(
                f"{text}; it may ask for {', '.join(known) or 'nothing'}."
            )
    return handler


def _call(function: Callable[..., Any], method: str, arguments: dict[str, Any]) -> Any:
    """Call with those of the known arguments that the signature names."""
    names = inspect.signature(function).parameters
    return function(**{n: arguments.get(n) for n in OPTIONAL[method] if n in names})


def _load_env(file: Path) -> None:
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        name, separator, value = line.strip().partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not separator or not name.isidentifier():
            raise SetupFailed(f".env, line {number}: write VARIABLE=value.")
        os.environ.setdefault(name, value)
