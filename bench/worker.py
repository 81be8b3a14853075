"""The worker's own share: a video end to end beside its bare model, memory, a no-op.

The bare model is what the runner does to each frame, on frames already in memory.

    python -m bench worker
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.stack.stack import ROOT

SAMPLE = ROOT / "samples" / "portrait-clip.mp4"
HANDLER = ROOT / "worker_handler"
SHORT, LONG = 10, 600  # seconds
ROUNDS = 3

# Run in a process of its own: its peak of memory is measured.
RUN = """
import json, resource, sys, threading, time
sys.path.insert(0, {handler!r})
from pathlib import Path
from slipway_worker.runner import JobContext
from slipway_worker.runners import ready_runner
runner = ready_runner("anonymize")
inputs = runner.Inputs.model_validate({{"media": "https://x/y"}})
inputs.media.fetched_to(Path(sys.argv[1]))
job = JobContext(Path(sys.argv[2]), lambda *_: None, threading.Event())
began = time.monotonic()
result = runner.run(inputs, job)
seconds = time.monotonic() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"frames": result.output["frames"], "seconds": seconds, "peak": peak}}))
"""
BARE = """
import json, sys, threading, time
sys.path.insert(0, {handler!r})
from pathlib import Path
import av
from slipway_worker.runner import JobContext
from slipway_worker.runners import ready_runner
from slipway_worker.runners.anonymize import _Work
runner = ready_runner("anonymize")
inputs = runner.Inputs.model_validate({{"media": "https://x/y"}})
inputs.media.fetched_to(Path(sys.argv[1]))
job = JobContext(Path("."), lambda *_: None, threading.Event())
work = _Work(runner._detector, inputs, job)
with av.open(sys.argv[1]) as video:
    frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
began = time.monotonic()
for frame in frames:
    work._hide_faces(frame)
seconds = time.monotonic() - began
print(json.dumps({{"frames": len(frames), "seconds": seconds}}))
"""
NO_OP = """
import json, sys, time
sys.path.insert(0, {handler!r})
from slipway_worker.lifetime import Stop
from slipway_worker.work import work
job = {{"id": "x", "input": {{"message": "hi"}}, "endpoint": "echo"}}
work(job, Stop())
times = []
for _ in range(200):
    began = time.monotonic()
    work(job, Stop())
    times.append(time.monotonic() - began)
print(json.dumps(sorted(times)))
"""


def main(*_: str) -> None:
    """Print frames a second, memory and overhead."""
    with tempfile.TemporaryDirectory() as folder:
        short = _video(Path(folder), SHORT)
        speeds = []
        for _ in range(ROUNDS):
            bare, whole = _run(BARE, short), _run(RUN, short, folder)
            speeds.append(
                (bare["frames"] / bare["seconds"], whole["frames"] / whole["seconds"])
            )
        bare_speed, speed = sorted(speeds, key=lambda pair: pair[1])[ROUNDS // 2]
        print(f"\nanonymize, {SHORT} s of 480 x 270 at 24 frames/s")
        print(f"bare model {bare_speed:.1f} frames/s, end to end {speed:.1f}", end=": ")
        print(f"{speed / bare_speed:.2f} x")
        peak = _run(RUN, short, folder)["peak"]
        long = _run(RUN, _video(Path(folder), LONG), folder)
        print(f"peak memory {peak:.0f} MB for {SHORT} s", end=", ")
        print(f"{long['peak']:.0f} MB for {LONG} s: {long['peak'] / peak:.2f} x")
        times = _run(NO_OP)
        print(
            f"a no-op takes {times[100] * 1000:.1f} ms, p95 {times[190] * 1000:.1f} ms"
        )


def _video(folder: Path, seconds: int) -> str:
    """Return the sample, over and over, without encoding it again."""
    import av  # noqa: PLC0415 - the model's package

    path = folder / f"{seconds}.mp4"
    if path.exists():
        return str(path)
    with av.open(str(SAMPLE)) as sample, av.open(str(path), "w") as writer:
        source = sample.streams.video[0]
        out = writer.add_stream_from_template(source)
        packets = [p for p in sample.demux(source) if p.dts is not None]
        length = int(3 / source.time_base)
        contents = [
            (bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets
        ]
        for turn in range(seconds // 3 + 1):
            for content, pts, dts, duration, is_key in contents:
                packet = av.Packet(content)
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                packet.duration, packet.time_base = duration, source.time_base
                packet.is_keyframe, packet.stream = is_key, out
                writer.mux(packet)
    return str(path)


def _run(code: str, *arguments: str) -> dict:
    command = [sys.executable, "-c", code.format(handler=str(HANDLER)), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SLIPWAY_OUTPUT_DIR": tempfile.gettempdir()},
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
