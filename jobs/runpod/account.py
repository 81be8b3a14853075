"""What an account at RunPod holds, and the calls that change it, whichever API does it.

`GraphQLAccount` and `RestAccount` both are an `Account`; `services.operations.accounts` picks one.
Every call may raise a RunPodError. Env values may be secrets: never log or show one.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol, Self

MOUNT_PATH = "/runpod-volume"
VOLUME_MIN_GB, VOLUME_MAX_GB = 10, 4096


@dataclass(frozen=True)
class Volume:
    """A network volume; sizes in GB."""

    id: str
    name: str
    size_gb: int
    data_center: str


@dataclass(frozen=True)
class Template:
    """RunPod's bundle of image, environment and disk. `id` is empty until it is saved."""

    name: str
    image: str
    id: str = ""
    start_command: str = ""
    container_disk_gb: int = 20
    env: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RemoteEndpoint:
    """A serverless endpoint as configured. Saving one replaces all of it."""

    name: str
    template: Template
    id: str = ""
    gpu_ids: tuple[str, ...] = ()
    volume_id: str = ""
    locations: str = ""
    workers_min: int = 0
    workers_max: int = 1
    idle_seconds: int = 5
    scaler_type: str = "QUEUE_DELAY"
    scaler_value: int = 4

    def with_(self, **changes: Any) -> Self:
        """Return it changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Pod:
    """A pod: RunPod's machine that costs as long as it runs."""

    id: str
    name: str
    status: str
    image: str = ""


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, and how many are free: "", "Low", "Medium" or "High"."""

    id: str
    title: str
    memory_gb: int
    stock: str = ""
    pool: str = ""


@dataclass(frozen=True)
class Money:
    """The account's balance and what it spends in an hour, in US dollars."""

    balance: Decimal
    spend_per_hour: Decimal
    spend_limit: Decimal | None = None

    @property
    def days_left(self) -> float | None:
        """How long the balance lasts at this rate; None while nothing is spent."""
        if self.spend_per_hour <= 0:
            return None
        return max(0.0, float(self.balance / self.spend_per_hour) / 24)


class Account(Protocol):
    """The calls that provisioning needs."""

    def __enter__(self) -> Self:
        """Use it in a `with`."""

    def __exit__(self, *exc: object) -> None:
        """Close the connections."""

    def volumes(self) -> list[Volume]:
        """Return the network volumes."""

    def create_volume(self, name: str, size_gb: int, data_center: str) -> Volume:
        """Buy a volume; it costs from now on."""

    def grow_volume(self, volume: Volume, size_gb: int) -> Volume:
        """Make a volume larger; it cannot become smaller."""

    def delete_volume(self, id: str) -> None:
        """Delete a volume and all that is on it."""

    def save_template(self, template: Template) -> Template:
        """Create or change a template; endpoints follow only by a release."""

    def endpoints(self) -> list[RemoteEndpoint]:
        """Return the endpoints with their templates."""

    def save_endpoint(self, endpoint: RemoteEndpoint) -> RemoteEndpoint:
        """Create an endpoint, or replace the one with its id: a new release."""

    def delete_endpoint(self, endpoint: RemoteEndpoint) -> None:
        """Delete an endpoint; its jobs go with it."""

    def gpus(self) -> list[Gpu]:
        """Return the kinds of GPU with their stock."""

    def pods(self) -> list[Pod]:
        """Return the pods."""

    def money(self) -> Money | None:
        """Return balance and spend; None where this API does not tell."""
