"""The Runner interface: what a person writes to put a model behind Slipway.

class Upscale(Runner):
    id, title = "upscale", "Upscale an image"

    class Inputs(RunnerInputs):
        image: InFile = file_field("Image", accept=["image/*"])

    def setup(self, config):
        self.model = load_the_model(config.get("model"))

    def run(self, inputs, job):
        job.progress(0.5, "upscaling")
        ...
        return Result(files=[job.output("big.png", "image/png")])
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel

from slipway_worker.errors import Cancelled


class InFile(RootModel[str]):
    """A file of the input: a URL on the wire, a local path once fetched.

    The path is private, so nobody can set it from outside.
    """

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path:
        """Where the fetched file lies."""
        if self._path is None:
            raise RuntimeError("the file has not been fetched")
        return self._path

    def fetched_to(self, path: Path) -> None:
        """Remember where the file lies; called by the handler only."""
        self._path = path


def file_field(title: str, *, accept: list[str], description: str = "") -> Any:
    """Return a required field that takes a file of one of the `accept`ed types."""
    extra: dict[str, Any] = {
        "x-widget": "file",
        "x-accept": accept,
        "type": "string",
        "format": "uri",
    }
    return Field(title=title, description=description, json_schema_extra=extra)


class RunnerInputs(BaseModel):
    """Base of a runner's typed input: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")

    def files(self) -> dict[str, InFile]:
        """Return {field: file} of every file in the input."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {n: value for n, value in values.items() if isinstance(value, InFile)}


@dataclass(frozen=True)
class Output:
    """One file that a runner made, below the job's folder."""

    path: Path
    content_type: str

    @property
    def name(self) -> str:
        """Its name in the result."""
        return self.path.name


@dataclass(frozen=True)
class Result:
    """What a runner returns: files, and JSON about them.

    `refresh_worker` ends the worker after this job: its next one begins afresh.
    """

    files: list[Output] = field(default_factory=list)
    output: Any = field(default_factory=dict)
    refresh_worker: bool = False


@dataclass(frozen=True)
class JobContext:
    """What `run` may use: a folder of its own, progress, and the wish to cancel."""

    folder: Path
    report: Callable[[float | None, str, str], None]
    cancel: threading.Event
    id: str = ""
    # Of a job in a batch of payloads: its config, Cortex's job_spec, whether it is the last.
    batch: dict[str, Any] = field(default_factory=dict)

    def progress(self, fraction: float | None, stage: str, message: str = "") -> None:
        """Say how far this is (0 to 1); raise `Cancelled` if nobody wants it any more.

        Call it as often as you like: it sends at most two reports a second.
        """
        self.check_cancelled()
        self.report(fraction, stage, message)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self.cancel.is_set():
            raise Cancelled

    def output(self, name: str, content_type: str) -> Output:
        """Return a new output file; write it at `.path`."""
        folder = self.folder / "outputs"
        folder.mkdir(exist_ok=True)
        return Output(folder / name, content_type)


class Runner:
    """One kind of work. One instance lives as long as its worker."""

    id: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str] = ""
    Inputs: ClassVar[type[RunnerInputs]]
    # What `output` has, for those who read it; checked when it is given.
    Outputs: ClassVar[type[BaseModel] | None] = None
    # {title: fields of the input} that people choose with one click.
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    # Whose model this is, and under which licence; shown beside the form.
    licence: ClassVar[str] = ""

    def setup(self, config: dict[str, Any]) -> None:
        """Load what every job needs. Called once, before the first job.

        `config` is what SLIPWAY_CONFIG says of this worker: any JSON object.
        """

    def run(self, inputs: Any, job: JobContext) -> Any:
        """Do the work of one job, in a thread of its own; return a `Result`, or JSON.

        It may also be `async`, or a generator that yields JSON while it works.
        """
        raise NotImplementedError

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the input, flat enough for a form."""
        schema = cls.Inputs.model_json_schema()
        definitions = schema.pop("$defs", {})
        for name, value in schema["properties"].items():
            reference = value.pop("$ref", "")
            if reference:
                target = definitions[reference.rpartition("/")[2]]
                kept = {
                    k: v for k, v in target.items() if k not in {"title", "description"}
                }
                schema["properties"][name] = {**kept, **value}
        schema.pop("title", None)
        schema.pop("description", None)
        presets = [{"title": t, "input": values} for t, values in cls.presets.items()]
        extras = {"x-presets": presets, "x-licence": cls.licence}
        return {**schema, **{name: value for name, value in extras.items() if value}}
