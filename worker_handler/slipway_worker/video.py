"""Video in, changed frame by frame, video out: constant memory, sound kept.

Everything runs in-process on PyAV, which lets go of Python's lock: decoding, changing
and encoding overlap, and a few frames are held between them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from slipway_worker import pipeline
from slipway_worker.errors import UserError

Picture = NDArray[np.uint8]
# Sound that an MP4 file can hold as it is; anything else becomes AAC.
COPIED_AUDIO = {"aac", "mp3", "opus", "ac3"}
MAX_PIXELS = 8192 * 8192
# No playlists and no lists of files: one could name any file of this worker.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,gif,asf,mxf,apng"
)
READING = {"protocol_whitelist": "file", "format_whitelist": FORMATS}


def change_video(
    source: Path,
    target: Path,
    change: Callable[[Picture], Picture],
    progress: Callable[[float], None],
) -> int:
    """Write `source` to `target` (MP4, H.264) with every frame changed.

    Frames are RGB of shape (height, width, 3), upright. Time stamps are kept. Returns
    the number of frames; raises `UserError` when there is no video to read.
    """
    try:
        with av.open(str(source), options=READING) as reader:
            if not reader.streams.video:
                raise UserError("The file has no picture in it.")
            with av.open(
                str(target), "w", options={"movflags": "+faststart"}
            ) as writer:
                frames = _Copy(reader, writer).run(change, progress)
    except av.error.FFmpegError as error:
        raise UserError(f"The file cannot be read: {reason(error)}.") from error
    if frames == 0:
        raise UserError("The video has no frame that can be decoded.")
    return frames


def reason(error: Exception) -> str:
    """Return FFmpeg's words without our file names."""
    return str(
        getattr(error, "strerror", "") or "damaged or of an unknown kind"
    ).lower()


@dataclass(frozen=True)
class _Frame:
    """A picture, upright, with even sides, and when it is shown."""

    picture: Picture
    pts: int | None
    time_base: Any
    time: float | None

    @classmethod
    def of(cls, frame: Any) -> "_Frame":
        """Return a decoded frame; raise `UserError` for one of huge dimensions."""
        if frame.width * frame.height > MAX_PIXELS:
            size = f"{frame.width} x {frame.height}"
            raise UserError(f"The picture is too large ({size}).")
        picture = _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
        # H.264 with 4:2:0 colour needs even sides.
        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        return cls(picture, frame.pts, frame.time_base, frame.time)


class _Copy:
    """One pass from a reader to a writer."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader, self._writer = reader, writer
        self._video = reader.streams.video[0]
        self._video.thread_type = "AUTO"
        self._audio = reader.streams.audio[0] if reader.streams.audio else None
        self._video_out: Any = None
        self._audio_out: Any = None
        self._copies_audio = False
        self._early_audio: list[Any] = []
        self._frames = 0

    def run(
        self, change: Callable[[Picture], Picture], progress: Callable[[float], None]
    ) -> int:
        """Copy all of it; return the number of frames."""
        self._open_audio()
        duration = float(self._reader.duration or 0) / av.time_base

        def work(item: Any) -> Any:
            if not isinstance(item, _Frame):
                return item
            changed = replace(item, picture=change(item.picture))
            if duration and item.time is not None:
                progress(min(1.0, item.time / duration))
            return changed

        pipeline.run(self._read(), work, self._write)
        self._flush()
        return self._frames

    def _read(self) -> Iterator[Any]:
        """Yield upright pictures, and packets of sound, as they come."""
        streams = [stream for stream in (self._video, self._audio) if stream]
        is_any = False
        try:
            for packet in self._reader.demux(streams):
                if packet.stream is not self._video:
                    yield packet
                    continue
                for frame in packet.decode():
                    is_any = True
                    yield _Frame.of(frame)
        except av.error.InvalidDataError:
            if not is_any:
                raise
            # A cut file: what could be decoded is kept.

    def _write(self, item: Any) -> None:
        if isinstance(item, _Frame):
            self._write_frame(item)
        else:
            self._write_audio(item)

    def _open_audio(self) -> None:
        if self._audio is None:
            return
        self._copies_audio = self._audio.codec_context.name in COPIED_AUDIO
        if self._copies_audio:
            self._audio_out = self._writer.add_stream_from_template(self._audio)
        else:
            rate = self._audio.codec_context.sample_rate
            self._audio_out = self._writer.add_stream("aac", rate=rate)

    def _write_frame(self, frame: "_Frame") -> None:
        if self._video_out is None:
            self._open_video(frame.picture)
        changed = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame.picture), format="rgb24"
        )
        changed.pts, changed.time_base = frame.pts, frame.time_base
        self._writer.mux(self._video_out.encode(changed))
        self._frames += 1

    def _open_video(self, picture: Picture) -> None:
        height, width = picture.shape[:2]
        out = self._writer.add_stream("libx264", rate=self._video.average_rate or 25)
        out.width, out.height, out.pix_fmt = width, height, "yuv420p"
        out.time_base = out.codec_context.time_base = self._video.time_base
        out.options = {"preset": "veryfast", "crf": "20"}
        self._video_out = out
        early, self._early_audio = self._early_audio, []
        for packet in early:
            self._write_audio(packet)

    def _write_audio(self, packet: Any) -> None:
        if self._video_out is None:
            # The file's header names every stream, so it waits for the first frame.
            self._early_audio.append(packet)
            return
        if self._copies_audio:
            if packet.dts is not None:
                packet.stream = self._audio_out
                self._writer.mux(packet)
            return
        for frame in packet.decode():
            self._writer.mux(self._audio_out.encode(frame))

    def _flush(self) -> None:
        if self._video_out is not None:
            self._writer.mux(self._video_out.encode(None))
        if self._audio_out is not None and not self._copies_audio:
            self._writer.mux(self._audio_out.encode(None))


def _upright(picture: Picture, degrees: int) -> Picture:
    """Turn a picture by its rotation flag (counter-clockwise, in quarter turns)."""
    turns = round(degrees / 90) % 4
    return np.rot90(picture, turns) if turns else picture
