"""The embedded broker: kombu's filesystem transport, made safe to share.

kombu writes a message in place and reads without a lock, so a reader can find an empty
file, which ends the whole Celery worker. Here a message appears by a rename, whole or
not at all, and one that cannot be read is dropped: messages are hints.
"""

import json
import os
from pathlib import Path
from queue import Empty
from time import monotonic_ns
from typing import Any
from uuid import uuid4

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Keeps each message in one file, named so that older ones come first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]  # kombu's two parents disagree
        folder = Path(self.data_folder_out)
        name = f"{monotonic_ns():020}_{uuid4().hex}.{queue}.msg"
        draft = folder / f".{name}"
        draft.write_text(dumps(message))
        draft.rename(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in self._waiting(queue):
            claimed = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                path.rename(claimed)
                text = claimed.read_text()
                claimed.unlink()
                return loads(text)
            except (OSError, json.JSONDecodeError):
                continue  # another reader was first, or the message is unreadable
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._waiting(queue))

    def _purge(self, queue: str) -> int:
        waiting = self._waiting(queue)
        for path in waiting:
            path.unlink(missing_ok=True)
        return len(waiting)

    def _waiting(self, queue: str) -> list[Path]:
        end = f".{queue}.msg"
        with os.scandir(self.data_folder_in) as entries:
            names = [e.name for e in entries if e.name.endswith(end)]
        return [
            Path(self.data_folder_in) / name
            for name in sorted(names)
            if not name.startswith(".")
        ]


class Transport(filesystem.Transport):
    """What `CELERY_BROKER_TRANSPORT` names."""

    Channel = Channel
