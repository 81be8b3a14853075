"""Makes the sample media anew. Needs numpy, av, pillow, and scikit-image's astronaut.png.

python samples/make_samples.py path/to/skimage/data/astronaut.png
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT, FPS, SECONDS = 480, 270, 24, 3
RATE = 44_100


def main() -> None:
    """Write portrait-clip.mp4 (a pan over a portrait, with a tone) and portrait.jpg."""
    portrait = Image.open(sys.argv[1]).convert("RGB")
    portrait.resize((320, 320)).save(HERE / "portrait.jpg", quality=85)
    with av.open(str(HERE / "portrait-clip.mp4"), "w") as out:
        video = out.add_stream(
            "libx264", rate=FPS, options={"threads": "1", "crf": "24"}
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono")
        big = portrait.resize((640, 640))
        for n in range(FPS * SECONDS):
            left = round(80 + 60 * np.sin(n / 12))
            top = round(20 + n * 0.8)
            picture = np.asarray(big.crop((left, top, left + WIDTH, top + HEIGHT)))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start in range(0, RATE * SECONDS, 1024):
            time = (start + np.arange(1024)) / RATE
            tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(tone[np.newaxis], "fltp", "mono")
            sound.sample_rate, sound.pts = RATE, start
            out.mux(audio.encode(sound))
        out.mux(audio.encode(None))


if __name__ == "__main__":
    main()
