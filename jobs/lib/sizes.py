"""How much disk a worker needs.

Sizes are in GB of 10^9 bytes, as Docker Hub and RunPod count. Unpacked layers take two to
three times an image's compressed size, and a container with a full disk dies without a
helpful message (exit code 139). So the advice is generous.
"""

import math
from dataclasses import dataclass

GB = 1_000_000_000
UNPACKED = 2.5
BUFFER_GB = 20
VOLUME_BUFFER_GB = 10
LARGE_MODELS_GB = 20
VOLUME_PER_GB_HOUR = 0.047 / 50  # US dollars, even while nothing runs
HOURS_A_MONTH = 730


@dataclass(frozen=True)
class DiskPlan:
    """The disks to request from RunPod, and what to know first."""

    container_disk_gb: int
    volume_gb: int
    volume_per_month: float
    warnings: tuple[str, ...]


def disk_plan(
    image_gb: float, models_gb: float = 0.0, *, has_volume: bool = True
) -> DiskPlan:
    """Return the disks for an image of `image_gb` (compressed) and its models."""
    warnings = []
    container = image_gb * UNPACKED + BUFFER_GB
    volume = _ceil(models_gb + VOLUME_BUFFER_GB) if has_volume and models_gb else 0
    if not has_volume:
        container += models_gb
        if models_gb >= LARGE_MODELS_GB:
            warnings.append(
                f"{models_gb:.0f} GB of models on the container disk are downloaded at "
                "every cold start. A network volume keeps them."
            )
    if has_volume and models_gb:
        warnings.append(
            "A network volume ties workers to its data centre: choose several GPU tiers."
        )
        warnings.append(
            "Keep HF_HOME on the volume, next to the models. Otherwise a download needs "
            "twice the space."
        )
    return DiskPlan(
        container_disk_gb=_ceil(container / 5) * 5,
        volume_gb=volume,
        volume_per_month=volume * VOLUME_PER_GB_HOUR * HOURS_A_MONTH,
        warnings=tuple(warnings),
    )


def _ceil(size: float) -> int:
    return math.ceil(round(size, 2))
