"""Named places where a test can kill a process. Without FAILPOINTS they do nothing.

FAILPOINTS names a file. While it exists, its only line says where and how to fail:

    submit.after_post:exit           the process ends there as with kill -9, once
    submit.after_post:exit:lucky     only for a job whose metadata has `"mark": "lucky"`
    sync.heard:always:poison         every time, until the file is removed
    collect.begin:raise              an exception instead
"""

import os
import signal
from pathlib import Path

NAMES = (
    "submit.claimed",
    "submit.before_post",
    "submit.after_post",
    "submit.recorded",
    "sync.heard",
    "sync.finalizing",
    "collect.begin",
    "collect.fetched",
    "collect.before_end",
    "collect.ended",
)


class Failed(Exception):
    """Raised by a failpoint whose action is `raise`."""


def failpoint(name: str, mark: object = "") -> None:
    """Fail here if a test requests it."""
    place = os.environ.get("FAILPOINTS")
    if not place:
        return
    try:
        wanted, action, *only = Path(place).read_text().strip().split(":")
    except (OSError, ValueError):
        return
    if wanted != name or (only and only[0] != str(mark)):
        return
    if action == "raise":
        raise Failed(name)
    if action != "always":
        Path(place).unlink()
    os.kill(os.getpid(), signal.SIGKILL)
