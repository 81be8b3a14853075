"""Segments of speech as captions: WebVTT (W3C) and SubRip."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Segment:
    """Some words, when they are said (seconds), and how sure that is (0 to 1)."""

    start: float
    end: float
    text: str
    words: list[dict[str, Any]]


def vtt(segments: list[Segment]) -> str:
    """Return WebVTT."""
    cues = [
        f"{_time(one.start, '.')} --> {_time(one.end, '.')}\n{_escaped(one.text)}\n"
        for one in segments
    ]
    return "WEBVTT\n\n" + "\n".join(cues)


def srt(segments: list[Segment]) -> str:
    """Return SubRip."""
    cues = [
        f"{number}\n{_time(one.start, ',')} --> {_time(one.end, ',')}\n{one.text}\n"
        for number, one in enumerate(segments, start=1)
    ]
    return "\n".join(cues)


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, part = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{part:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("-->", "→")
