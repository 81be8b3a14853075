"""Makes faces unrecognisable in a video or an image."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import Field

from slipway_worker.centerface import CenterFace, free_size
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
from slipway_worker.video import change_video

Picture = NDArray[np.uint8]
MARGIN = 0.15  # of a face's size, added on every side


class Anonymize(Runner):
    """CenterFace finds the faces; each is covered by an ellipse."""

    id = "anonymize"
    title = "Anonymize faces"
    description = (
        "Blurs, pixelates or covers every face in a video or an image. "
        "The sound stays as it is."
    )

    class Inputs(RunnerInputs):
        """What anonymize takes."""

        media: InFile = file_field(
            "Video or image",
            accept=["video/*", "image/jpeg", "image/png", "image/webp"],
            description="MP4, MOV, WebM, MKV, JPEG, PNG or WebP.",
        )
        style: Literal["blur", "pixelate", "cover"] = Field(
            "blur", title="Style", description="How a face is hidden."
        )
        threshold: float = Field(
            0.3,
            title="Threshold",
            description="Lower finds more faces, and more that are none.",
            ge=0.05,
            le=0.95,
            json_schema_extra={"x-advanced": True},
        )
        detail: Literal[640, 960, 1280] = Field(
            640,
            title="Search size",
            description="Pixels on the longer side; larger finds smaller faces, slower.",
            json_schema_extra={"x-advanced": True},
        )
        preview: bool = Field(
            default=False,
            title="Before and after",
            description="Adds a picture of the change.",
            json_schema_extra={"x-advanced": True},
        )

    presets: ClassVar = {
        "Usual": {"style": "blur", "threshold": 0.3, "detail": 640},
        "Crowds and small faces": {"threshold": 0.2, "detail": 1280},
        "Black, beyond doubt": {"style": "cover", "threshold": 0.15, "detail": 960},
    }
    licence = "CenterFace, MIT. FFmpeg with x264, GPL."

    def setup(self, config: dict[str, Any]) -> None:
        """Load the detector."""
        self._detector = CenterFace()

    def run(self, inputs: Inputs, job: JobContext) -> Result:
        """Change the file, whichever kind it is."""
        work = _Work(self._detector, inputs, job)
        output = work.image() or work.video()
        files = [output, *work.preview()]
        return Result(files, output=work.summary())


class _Work:
    """One file on its way through."""

    def __init__(
        self, detector: CenterFace, inputs: Anonymize.Inputs, job: JobContext
    ) -> None:
        self._detector, self._inputs, self._job = detector, inputs, job
        self._source: Path = inputs.media.path
        self._pictures = self._with_faces = self._faces = 0
        self._preview = Preview() if inputs.preview else None

    def image(self) -> Output | None:
        """Return the changed image, or None if the file is not one."""
        decoded = read_image(self._source)
        if decoded is None:
            return None
        upright, (extension, content_type) = decoded
        self._job.progress(0.1, "finding faces")
        changed = Image.fromarray(self._hide_faces(np.asarray(upright).copy()))
        output = self._job.output(f"anonymized.{extension}", content_type)
        changed.save(output.path, quality=92)
        return output

    def video(self) -> Output:
        """Return the changed video."""
        output = self._job.output("anonymized.mp4", "video/mp4")

        def progress(fraction: float) -> None:
            self._job.progress(fraction, "anonymizing", f"frame {self._pictures}")

        change_video(self._source, output.path, self._hide_faces, progress)
        return output

    def preview(self) -> list[Output]:
        """Return the picture of the change, if one is wanted."""
        return [self._preview.save(self._job)] if self._preview else []

    def summary(self) -> dict[str, Any]:
        """Return what was found."""
        return {
            "frames": self._pictures,
            "frames_with_faces": self._with_faces,
            "faces": self._faces,
            "device": self._detector.device,
        }

    def _hide_faces(self, picture: Picture) -> Picture:
        self._job.check_cancelled()
        height, width = picture.shape[:2]
        small_size = (
            free_size(width, self._inputs.detail, height),
            free_size(height, self._inputs.detail, width),
        )
        small = Image.fromarray(picture).resize(small_size, Image.Resampling.BILINEAR)
        boxes = self._detector.find(np.asarray(small), self._inputs.threshold)
        boxes[:, 0:4:2] *= width / small_size[0]
        boxes[:, 1:4:2] *= height / small_size[1]
        changed = np.array(picture)
        for x1, y1, x2, y2, _score in boxes:
            _hide(changed, (x1, y1, x2, y2), self._inputs.style)
        if self._preview:
            self._preview.see(picture, changed, is_telling=bool(len(boxes)))
        self._pictures += 1
        self._faces += len(boxes)
        self._with_faces += bool(len(boxes))
        return changed


def _hide(picture: Picture, box: tuple[float, ...], style: str) -> None:
    """Cover one face in place with an ellipse a little larger than its box."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box
    grow_x, grow_y = (x2 - x1) * MARGIN, (y2 - y1) * MARGIN
    left, top = max(0, int(x1 - grow_x)), max(0, int(y1 - grow_y))
    right, bottom = min(width, int(x2 + grow_x) + 1), min(height, int(y2 + grow_y) + 1)
    if right - left < 2 or bottom - top < 2:
        return
    face = picture[top:bottom, left:right]
    rows = np.linspace(-1, 1, bottom - top)[:, np.newaxis]
    columns = np.linspace(-1, 1, right - left)[np.newaxis]
    inside = (rows**2 + columns**2 <= 1)[..., np.newaxis]
    face[...] = np.where(inside, _hidden(face, style), face)


def _hidden(face: Picture, style: str) -> Picture:
    if style == "cover":
        return np.zeros_like(face)
    image = Image.fromarray(face)
    if style == "pixelate":
        cells = (8, max(1, round(8 * image.height / image.width)))
        small = image.resize(cells, Image.Resampling.BOX)
        return np.asarray(small.resize(image.size, Image.Resampling.NEAREST))
    radius = max(image.size) / 6
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius)))
