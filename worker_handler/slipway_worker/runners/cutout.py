"""Takes the background away, from an image or from every frame of a video."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field

from slipway_worker.pictures import Preview, read_image
from slipway_worker.runner import (
    InFile,
    JobContext,
    Output,
    Result,
    Runner,
    RunnerInputs,
    file_field,
)
from slipway_worker.u2net import U2Net
from slipway_worker.video import change_video

Picture = NDArray[np.uint8]
COLOURS = {"white": 255, "black": 0}
BLUR = 40  # the background's radius is the longer side divided by this


class Cutout(Runner):
    """U-2-Net finds the subject; what is around it goes."""

    id = "cutout"
    title = "Remove the background"
    description = (
        "Cuts the subject out of an image or a video: on nothing, white, black, or the "
        "background blurred. The sound stays."
    )

    class Inputs(RunnerInputs):
        """What cutout takes."""

        media: InFile = file_field(
            "Image or video",
            accept=["image/jpeg", "image/png", "image/webp", "video/*"],
            description="JPEG, PNG, WebP, MP4, MOV, WebM or MKV.",
        )
        background: Literal["transparent", "white", "black", "blur"] = Field(
            "transparent",
            title="Background",
            description="A video cannot be transparent: it becomes white.",
        )
        softness: float = Field(
            0.5,
            title="Soft edges",
            description="0: hard, for icons. 1: as soft as the model sees them.",
            ge=0,
            le=1,
            json_schema_extra={"x-advanced": True},
        )
        preview: bool = Field(
            default=False,
            title="Before and after",
            description="Adds a picture of the change.",
            json_schema_extra={"x-advanced": True},
        )

    presets: ClassVar = {
        "Product on white": {"background": "white", "softness": 0.3},
        "Portrait": {"background": "blur", "softness": 0.8},
        "Sticker": {"background": "transparent", "softness": 0.1},
    }
    licence = "U-2-Net (small), Apache-2.0. FFmpeg with x264, GPL."

    def setup(self, config: dict[str, Any]) -> None:
        """Load the model."""
        self._model = U2Net()

    def run(self, inputs: Inputs, job: JobContext) -> Result:
        """Change the file, whichever kind it is."""
        work = _Work(self._model, inputs, job)
        output = work.image() or work.video()
        files = [output, *work.preview()]
        return Result(files, output=work.summary())


class _Work:
    """One file on its way through."""

    def __init__(self, model: U2Net, inputs: Cutout.Inputs, job: JobContext) -> None:
        self._model, self._inputs, self._job = model, inputs, job
        self._source = inputs.media.path
        self._pictures, self._shares = 0, 0.0
        self._preview = Preview() if inputs.preview else None

    def image(self) -> Output | None:
        """Return the subject, or None if the file is no image."""
        decoded = read_image(self._source)
        if decoded is None:
            return None
        picture, (extension, content_type) = decoded
        self._job.progress(0.1, "looking for the subject")
        mask = self._mask(picture)
        if self._inputs.background == "transparent":
            if self._preview:  # a JPEG, so on white
                self._laid(np.asarray(picture), mask)
            output = self._job.output("cutout.png", "image/png")
            picture.putalpha(Image.fromarray((mask * 255).astype(np.uint8)))
            picture.save(output.path)
            return output
        output = self._job.output(f"cutout.{extension}", content_type)
        pixels = np.asarray(picture)
        Image.fromarray(self._laid(pixels, mask)).save(output.path, quality=92)
        return output

    def video(self) -> Output:
        """Return the changed video."""
        output = self._job.output("cutout.mp4", "video/mp4")

        def progress(fraction: float) -> None:
            self._job.progress(fraction, "cutting out", f"frame {self._pictures}")

        change_video(self._source, output.path, self._frame, progress)
        return output

    def preview(self) -> list[Output]:
        """Return the picture of the change, if one is wanted."""
        return [self._preview.save(self._job)] if self._preview else []

    def summary(self) -> dict[str, Any]:
        """Return what was found."""
        share = self._shares / max(1, self._pictures)
        return {
            "frames": self._pictures,
            "subject_share": round(share, 4),
            "device": self._model.device,
        }

    def _frame(self, picture: Picture) -> Picture:
        self._job.check_cancelled()
        return self._laid(picture, self._mask(Image.fromarray(picture)))

    def _mask(self, picture: Image.Image) -> NDArray[np.float32]:
        mask = self._model.mask(picture)
        # A steeper step around the middle: harder edges.
        steepness = 1 / max(self._inputs.softness, 0.02)
        sharp: NDArray[np.float32] = np.clip((mask - 0.5) * steepness + 0.5, 0, 1)
        self._pictures += 1
        self._shares += float(sharp.mean())
        return sharp

    def _laid(self, picture: Picture, mask: NDArray[np.float32]) -> Picture:
        """Return the subject in front of the background that is asked for."""
        behind = self._behind(picture)
        weight = mask[..., np.newaxis]
        mixed = picture * weight + behind * (1 - weight)
        laid = np.asarray(mixed.round(), np.uint8)
        if self._preview:
            self._preview.see(picture, laid, is_telling=bool(mask.mean() > 0))
        return laid

    def _behind(self, picture: Picture) -> Any:
        if self._inputs.background == "blur":
            image = Image.fromarray(picture)
            return np.asarray(image.filter(ImageFilter.BoxBlur(max(image.size) / BLUR)))
        return COLOURS.get(self._inputs.background, COLOURS["white"])
