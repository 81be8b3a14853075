"""What an operator wants at RunPod, checked for problems before buying anything."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.lib import registries
from jobs.lib.errors import InvalidInput, Problem
from jobs.lib.redaction import has_secret
from jobs.lib.registries import LookupFailed, NotPublic
from jobs.lib.sizes import GB, DiskPlan, disk_plan
from jobs.models import GpuPrice
from jobs.runpod.account import (
    MOUNT_PATH,
    VOLUME_MAX_GB,
    VOLUME_MIN_GB,
    RemoteEndpoint,
    Template,
)

NAME_MIN = 3
IDLE_MAX = 3600
SCALER_TYPES = {
    "QUEUE_DELAY": "how long a job has waited (s)",
    "REQUEST_COUNT": "how many jobs wait",
}
MODEL_VARIABLES = {"HF_HOME", "HF_HUB_CACHE", "MODEL_DIR", "TRANSFORMERS_CACHE"}
_WORKSPACE = re.compile(r"(^|[\s:=])/workspace\b")


@dataclass(frozen=True)
class EndpointSpec:
    """A worker's image, where it should run, and how large its disks are (GB)."""

    name: str
    image: str
    gpu_ids: tuple[str, ...]
    start_command: str = ""
    env: dict[str, str] = field(default_factory=dict, repr=False)
    models: tuple[str, ...] = ()
    has_volume: bool = False
    data_center: str = ""
    volume_gb: int = 0  # 0: what the models need
    container_disk_gb: int = 0  # 0: what the image needs
    workers_min: int = 0
    workers_max: int = 3
    idle_seconds: int = 5
    scaler_type: str = "QUEUE_DELAY"
    scaler_value: int = 4

    def template(self, sizes: "Sizes", id: str = "") -> Template:
        """Return the template. Models go to the volume, if there is one."""
        env = dict(self.env)
        if self.has_volume:
            env.setdefault("HF_HOME", f"{MOUNT_PATH}/huggingface")
        return Template(
            id=id,
            name=self.name,
            image=self.image,
            start_command=self.start_command,
            container_disk_gb=self.container_disk_gb or sizes.disks.container_disk_gb,
            env=env,
        )

    def endpoint(
        self, template: Template, volume_id: str, id: str = ""
    ) -> RemoteEndpoint:
        """Return the endpoint."""
        return RemoteEndpoint(
            id=id,
            name=self.name,
            template=template,
            gpu_ids=self.gpu_ids,
            volume_id=volume_id,
            locations=self.data_center if volume_id else "",
            workers_min=self.workers_min,
            workers_max=self.workers_max,
            idle_seconds=self.idle_seconds,
            scaler_type=self.scaler_type,
            scaler_value=self.scaler_value,
        )


@dataclass(frozen=True)
class Sizes:
    """Sizes of image and models from the registries, in GB, and the disks they need."""

    image_gb: float
    models_gb: dict[str, float]
    disks: DiskPlan
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def look_up(spec: EndpointSpec) -> Sizes:
    """Ask registries for real sizes; an unknown size becomes a problem or a warning."""
    problems, warnings = [], []
    image_gb, models_gb = 0.0, {}
    try:
        image_gb = registries.image(spec.image).size / GB
    except NotPublic as error:
        problems.append(_problem("image", f"{error} Push it, or correct its name."))
    except LookupFailed as error:
        warnings.append(f"{error} Its size is unknown: check the disk size yourself.")
    for model in spec.models:
        try:
            models_gb[model] = registries.model_size(model).total / GB
        except LookupFailed as error:
            problems.append(_problem("models", str(error)))
    disks = disk_plan(image_gb, sum(models_gb.values()), has_volume=spec.has_volume)
    return Sizes(image_gb, models_gb, disks, tuple(problems), tuple(warnings))


def problems(spec: EndpointSpec, sizes: Sizes) -> list[Problem]:
    """Return what must be fixed first."""
    return [
        *sizes.problems,
        *_of_names(spec),
        *_of_disks(spec, sizes),
        *_of_workers(spec),
    ]


def warnings(spec: EndpointSpec, sizes: Sizes) -> list[str]:
    """Return what an operator should know before confirming."""
    advice = [*sizes.warnings, *sizes.disks.warnings]
    if len(spec.gpu_ids) == 1:
        advice.append(
            "With one GPU tier, jobs wait whenever it is out of stock. Add others that fit."
        )
    if spec.start_command:
        advice.append(
            "A start command runs at every cold start, and its failures are hard to see. "
            "An image with the handler in it starts faster."
        )
    if "|| true" in spec.start_command:
        advice.append(
            "“|| true” hides the failure of the command before it. Remove it."
        )
    if spec.image.endswith(":latest") or ":" not in spec.image.rpartition("/")[2]:
        advice.append(
            "Hosts cache “latest”, so workers may run different versions. Use a fixed tag."
        )
    if spec.workers_min:
        advice.append("Workers that are always on cost money even without jobs.")
    needed = sizes.disks.container_disk_gb
    if 0 < spec.container_disk_gb < needed and sizes.image_gb:
        advice.append(
            f"{spec.container_disk_gb} GB of container disk is too small for this image: "
            f"unpacked, with space to work, it needs {needed} GB. If the disk is too "
            "small, workers end with exit code 139 and no message."
        )
    return advice


def _of_names(spec: EndpointSpec) -> Iterator[Problem]:
    if len(spec.name) < NAME_MIN:
        yield _problem("name", f"Use at least {NAME_MIN} characters.")
    if not spec.image:
        yield _problem("image", "Name the worker's image: user/worker:1.0.")
    if has_secret(spec.start_command):
        yield _problem(
            "start_command",
            "The start command contains a token. Everyone who sees the template can read "
            "it. Put the code into the image, or use a RunPod secret in the environment.",
        )
    yield from of_env(spec.env)


def variables(lines: Iterable[str]) -> dict[str, str]:
    """Read NAME=value lines; raise `InvalidInput` for a line of another form."""
    env = {}
    for line in filter(None, map(str.strip, lines)):
        name, separator, value = line.partition("=")
        if not separator or not name.isidentifier():
            raise InvalidInput(_problem("env", f"Write NAME=value, not “{line[:40]}”."))
        env[name] = value
    return env


def of_env(env: dict[str, str]) -> Iterator[Problem]:
    """Yield problems of variables: paths at which no volume is mounted."""
    for name, value in env.items():
        if _WORKSPACE.search(value):
            yield _problem(
                "env",
                f"{name} is {value[:80]}: on serverless the volume is at {MOUNT_PATH}, "
                "not /workspace. Files written there fill the container disk.",
            )


def _of_disks(spec: EndpointSpec, sizes: Sizes) -> Iterator[Problem]:
    models_gb = sum(sizes.models_gb.values())
    if spec.has_volume and not spec.data_center:
        yield _problem("data_center", "A volume needs a data centre: choose one.")
    if spec.volume_gb and not VOLUME_MIN_GB <= spec.volume_gb <= VOLUME_MAX_GB:
        yield _problem("volume_gb", f"Choose {VOLUME_MIN_GB} to {VOLUME_MAX_GB} GB.")
    if spec.has_volume and 0 < spec.volume_gb < models_gb:
        yield _problem(
            "volume_gb",
            f"The models need {models_gb:.0f} GB, so {spec.volume_gb} GB is too small. "
            f"Use {sizes.disks.volume_gb} GB.",
        )
    if spec.has_volume:
        for name in MODEL_VARIABLES & set(spec.env):
            if not spec.env[name].startswith(MOUNT_PATH):
                text = f"{name} must be below {MOUNT_PATH}, or the volume stays empty."
                yield _problem("env", text)


def _of_workers(spec: EndpointSpec) -> Iterator[Problem]:
    tiers = list(GpuPrice.objects.values_list("pool", flat=True))
    unknown = [pool for pool in spec.gpu_ids if pool.partition(" ")[0] not in tiers]
    if not spec.gpu_ids:
        text = "Choose at least one GPU tier; with several, jobs start sooner."
        yield _problem("gpu_ids", text)
    if unknown:
        yield _problem(
            "gpu_ids",
            f"Unknown: {', '.join(unknown)}. Known: {', '.join(tiers)}. Add a new RunPod "
            "tier under GPU prices.",
        )
    if not 0 <= spec.workers_min <= spec.workers_max:
        yield _problem(
            "workers_min", "This must not exceed the maximum number of workers."
        )
    if spec.workers_max < 1:
        yield _problem("workers_max", "With 0, no job ever starts.")
    if not 1 <= spec.idle_seconds <= IDLE_MAX:
        yield _problem("idle_seconds", f"Choose 1 to {IDLE_MAX} seconds.")


def _problem(field: str, message: str) -> Problem:
    return Problem(f"/{field}", message)
