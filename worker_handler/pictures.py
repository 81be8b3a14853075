"""Images in and out: upright, bounded, in memory."""

from pathlib import Path

from errors import UserError
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000
TYPES = {"JPEG": ("jpg", "image/jpeg"), "WEBP": ("webp", "image/webp")}
PNG = ("png", "image/png")


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
