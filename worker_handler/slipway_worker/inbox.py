"""Results that could not be delivered: kept on the volume until Slipway answers again.

A worker insists for some minutes; then the result goes here and the GPU takes the next
job. Any worker of the same volume delivers it later, at its start or after a job:
Slipway takes the first result of a job, also of an attempt that it had given up.
"""

import json
import logging
import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from slipway_worker.contract import PAUSES, Envelope, Slipway
from slipway_worker.errors import Over, Refused, Undeliverable
from slipway_worker.runner import JobContext, Output, Result
from slipway_worker.uploads import upload

logger = logging.getLogger("slipway")
VOLUME = Path("/runpod-volume")
TAKEN_SECONDS = 3600.0  # whoever took one and has not delivered it by then is dead
KEPT_SECONDS = 7 * 24 * 3600.0
_busy = threading.Lock()
# It names a folder, and came from outside.
_ATTEMPT = re.compile(r"^[0-9a-f-]{1,64}$")


def folder() -> Path | None:
    """Return where results are kept: SLIPWAY_INBOX, or on the volume if there is one."""
    setting = os.environ.get("SLIPWAY_INBOX", "")
    if setting:
        return Path(setting)
    return VOLUME / "slipway-inbox" if VOLUME.is_dir() else None


def pauses() -> tuple[float, ...] | None:
    """Return how long to insist: ten minutes where a result can be kept; else longer."""
    return PAUSES if folder() else None


def keep(raw: dict[str, Any], attempt: str, result: Result, output: Any) -> bool:
    """Keep a result and its files; return whether there is a place for them.

    `raw` is the envelope as it came.
    """
    base = folder()
    if base is None or not _ATTEMPT.match(attempt):
        return False
    new = base / f"new-{attempt}"
    shutil.rmtree(new, ignore_errors=True)
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    (new / "files").mkdir(parents=True)
    files = []
    for file in result.files:
        shutil.move(file.path, new / "files" / file.name)
        files.append({"name": file.name, "content_type": file.content_type})
    delivery = {"envelope": raw, "output": output, "files": files}
    (new / "delivery.json").write_text(json.dumps(delivery))
    shutil.rmtree(base / attempt, ignore_errors=True)
    new.rename(base / attempt)
    logger.warning("the result of attempt %s is kept in %s", attempt, base)
    return True


def deliver_soon() -> None:
    """Deliver what is kept, beside everything else, unless that is going on."""
    if folder() is not None and not _busy.locked():
        threading.Thread(target=deliver_all, name="inbox", daemon=True).start()


def deliver_all() -> None:
    """Deliver what is kept, once each; what cannot be delivered now stays."""
    base = folder()
    if base is None or not base.is_dir() or not _busy.acquire(blocking=False):
        return
    try:
        for place in sorted(base.iterdir()):
            taken = _taken(place)
            if taken:
                _deliver(taken, place.name.partition(".taken")[0])
    finally:
        _busy.release()


def _taken(place: Path) -> Path | None:
    """Take a result away from the other workers of the volume."""
    try:
        age = time.time() - place.stat().st_mtime
        if place.name.startswith("new-") or (
            ".taken" in place.name and age < TAKEN_SECONDS
        ):
            return None
        name = place.name.partition(".taken")[0]
        taken = place.with_name(f"{name}.taken-{time.time_ns()}")
        place.rename(taken)
        os.utime(taken)
    except OSError:
        return None  # somebody else was first
    return taken


def _deliver(taken: Path, name: str) -> None:
    try:
        delivery = json.loads((taken / "delivery.json").read_text())
        envelope = Envelope.of({"_slipway": delivery["envelope"]})
    except (OSError, ValueError, KeyError):
        envelope = None
    if envelope is None:
        logger.error("attempt %s: what was kept of it is damaged", name)
        shutil.rmtree(taken, ignore_errors=True)
        return
    slipway = Slipway(envelope, pauses=())
    job = JobContext(taken, lambda *_: None, threading.Event())
    try:
        outputs = [
            Output(taken / "files" / file["name"], file["content_type"])
            for file in delivery["files"]
        ]
        lines = [upload(slipway, output, job) for output in outputs]
        slipway.finish({"schema": 1, "files": lines, "output": delivery["output"]})
        logger.info("a result that was kept is delivered: attempt %s", name)
    except Over:
        logger.info("attempt %s: nobody wants its result any more", name)
    except Refused as error:
        logger.error("attempt %s: its result is refused: %s", name, error)  # noqa: TRY400 - says it all
    except (Undeliverable, OSError, RuntimeError) as error:
        logger.warning("attempt %s is delivered later: %s", name, error)
        if time.time() - (taken / "delivery.json").stat().st_mtime < KEPT_SECONDS:
            taken.rename(taken.with_name(name))
            return
    finally:
        slipway.close()
    shutil.rmtree(taken, ignore_errors=True)
