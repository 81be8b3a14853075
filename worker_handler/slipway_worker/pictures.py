"""Images in and out: upright, bounded, in memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from slipway_worker.errors import UserError
from slipway_worker.runner import JobContext, Output

MAX_PIXELS = 100_000_000
TYPES = {"JPEG": ("jpg", "image/jpeg"), "WEBP": ("webp", "image/webp")}
PNG = ("png", "image/png")
PREVIEW_SIDE = 640
PREVIEW_GAP = 8


def read_image(path: Path) -> tuple[Image.Image, tuple[str, str]] | None:
    """Return (the image as upright RGB, its extension and type), or None if it is none.

    Raise `UserError` for one that is damaged or too large.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                size = f"{opened.width} x {opened.height}"
                raise UserError(f"The image is too large ({size}).")
            kind = TYPES.get(opened.format or "", PNG)
            return ImageOps.exif_transpose(opened).convert("RGB"), kind
    except UnidentifiedImageError:
        return None
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError("The image is damaged and cannot be read.") from error


class Preview:
    """A picture before and after its change, side by side: the first that tells much."""

    def __init__(self) -> None:
        self._pair: tuple[Image.Image, Image.Image] | None = None
        self._is_telling = False

    def see(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], *, is_telling: bool
    ) -> None:
        """Look at one change; keep it if it is the best so far."""
        if self._pair is None or (is_telling and not self._is_telling):
            self._pair = (_small(before), _small(after))
            self._is_telling = is_telling

    def save(self, job: JobContext) -> Output:
        """Write `preview.jpg`; only after at least one change was seen."""
        if self._pair is None:
            raise RuntimeError("nothing was seen")
        before, after = self._pair
        both = Image.new("RGB", (2 * before.width + PREVIEW_GAP, before.height), "grey")
        both.paste(before, (0, 0))
        both.paste(after, (before.width + PREVIEW_GAP, 0))
        output = job.output("preview.jpg", "image/jpeg")
        both.save(output.path, quality=85)
        return output


def _small(picture: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return image
