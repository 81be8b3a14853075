"""The way in: Django for everything, a raw receiver for bytes of files.

Django's ASGI handler spools a whole body before a view runs, so a cut upload would lose
every byte of it. PATCH on an upload and PUT of an output therefore go to
`jobs.asgi.uploads`, which keeps each piece as it comes. RunPod's webhooks go to
`jobs.asgi.runpod_webhook`, because there may be a hundred of them a second; the JSON API goes
through `jobs.asgi.api`, which stops reading where a body is too large.
"""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
_django = get_asgi_application()

from jobs.api.body import CORTEX  # noqa: E402 - needs Django set up
from jobs.api.middleware import PREFIX  # noqa: E402
from jobs.asgi.api import gate_for  # noqa: E402
from jobs.asgi.messages import answer  # noqa: E402
from jobs.asgi.runpod_webhook import PATH as HOOKS_PATH  # noqa: E402
from jobs.asgi.runpod_webhook import doorbell_for  # noqa: E402
from jobs.asgi.uploads import TUS_PATH, receiver_for  # noqa: E402
from jobs.services.files.artifact_links import OUTPUT_PATH  # noqa: E402

# What never comes to Django's own handler: (method, how the path begins, who takes it).
# A door may still leave a request to Django. `tests/access` has a row for each of them.
DOORS = (
    ("PATCH", TUS_PATH, receiver_for),
    ("POST", TUS_PATH, receiver_for),
    ("PUT", OUTPUT_PATH, receiver_for),
    ("*", HOOKS_PATH, doorbell_for),
    ("*", PREFIX, gate_for),
    ("*", CORTEX[0], gate_for),
)
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve one connection."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] == "http" and _is_too_much(scope):
        await _refuse(send)
        return
    await (_door_for(scope) or _django)(scope, receive, send)


def _door_for(scope: dict[str, Any]) -> Any:
    """Return who takes a request in front of Django, or None for Django."""
    if scope["type"] != "http":
        return None
    for method, begin, door_for in DOORS:
        if method in ("*", scope["method"]) and scope["path"].startswith(begin):
            return door_for(scope)
    return None


def _is_too_much(scope: dict[str, Any]) -> bool:
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    # tus has its metadata in a header, and its own answer to too much of it.
    most = MAX_HEADER_BYTES * (8 if scope["path"].startswith("/uploads/tus/") else 1)
    return len(headers) > MAX_HEADERS or size > most


async def _refuse(send: Any) -> None:
    """Answer 431: the server itself sets no limit to a request's headers."""
    text = b"The request's headers are too large.\n"
    await answer(send, 431, text, [("connection", "close")])


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
