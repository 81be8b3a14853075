"""Sound as blocks of 16 kHz mono, so that memory does not depend on its length."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from slipway_worker.errors import UserError
from slipway_worker.video import FORMATS, reason

RATE = 16_000
BLOCK_SECONDS = 120
# A block ends in the quietest quarter of a second of its last twenty.
CUT_SECONDS, QUIET_SECONDS = 20, 0.25
READING = {
    "protocol_whitelist": "file",
    "format_whitelist": f"{FORMATS},wav,flac,mp3,aac,aiff,caf,amr,w64",
}
Samples = NDArray[np.float32]


def duration_of(path: Path) -> float:
    """Return the seconds that a file says it has; 0 where it does not say."""
    with _opened(path) as reader:
        return float(reader.duration or 0) / av.time_base


def blocks(path: Path) -> Iterator[tuple[float, Samples]]:
    """Yield (where it begins in seconds, samples between -1 and 1) of a file's sound.

    Raise `UserError` where there is none.
    """
    held: list[Samples] = []
    length, begin = 0, 0
    for piece in _pieces(path):
        held.append(piece)
        length += len(piece)
        if length >= BLOCK_SECONDS * RATE:
            whole = np.concatenate(held)
            end = _quiet_place(whole)
            yield begin / RATE, whole[:end]
            begin += end
            held, length = [whole[end:]], length - end
    if length:
        yield begin / RATE, np.concatenate(held)
    elif not begin:
        raise UserError("The file has no sound that can be decoded.")


def _opened(path: Path) -> Any:
    try:
        return av.open(str(path), options=READING)
    except av.error.FFmpegError as error:
        raise UserError(f"The file cannot be read: {reason(error)}.") from error


def _pieces(path: Path) -> Iterator[Samples]:
    with _opened(path) as reader:
        if not reader.streams.audio:
            raise UserError("The file has no sound in it.")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        came = False
        try:
            for frame in reader.decode(reader.streams.audio[0]):
                for part in resampler.resample(frame):
                    came = True
                    yield part.to_ndarray()[0].astype(np.float32) / 32768
        except av.error.FFmpegError as error:
            # A cut file: what could be decoded is kept.
            if not came:
                raise UserError(f"The file cannot be read: {reason(error)}.") from error
        for part in resampler.resample(None):
            yield part.to_ndarray()[0].astype(np.float32) / 32768


def _quiet_place(whole: Samples) -> int:
    """Return where to cut: in the middle of the quietest moment near the end."""
    span = int(QUIET_SECONDS * RATE)
    start = max(0, len(whole) - CUT_SECONDS * RATE)
    tail = whole[start:]
    count = len(tail) // span
    energy = (tail[: count * span].reshape(count, span) ** 2).sum(axis=1)
    return start + int(energy.argmin()) * span + span // 2
