"""Servers that take files: each in its own process, with one cheap page at `/ping`.

python -m bench.upload_rivals sink PORT FOLDER      (socket to file, the machine's limit)
python bench/upload_rivals.py gradio PORT FOLDER    (in .venv-bench)

The Django one is served by gunicorn: `bench.upload_rivals:django_multipart`.
"""

import os
import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any

BUFFER = 1024 * 1024


def sink(port: int, folder: Path) -> None:
    """Write each request's body to a file; a thread for each connection."""
    server = socket.create_server(("127.0.0.1", port), backlog=128)
    number = 0
    while True:
        connection, _ = server.accept()
        number += 1
        path = folder / str(number)
        threading.Thread(target=_drain, args=(connection, path), daemon=True).start()


def _drain(connection: socket.socket, path: Path) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    match = re.search(rb"(?i)content-length: (\d+)", head)
    left = int(match[1]) - len(body) if match else 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, body)
    buffer = memoryview(bytearray(BUFFER))
    while left > 0:
        count = connection.recv_into(buffer)
        if not count:
            break
        os.write(file, buffer[:count])
        left -= count
    os.close(file)
    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    connection.close()


def gradio(port: int, folder: Path) -> None:
    """Serve a Gradio app; files go to its own upload route."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    import gradio as library  # noqa: PLC0415 - only in .venv-bench

    app = library.Interface(lambda file: str(file), "file", "text")
    app.launch(server_name="127.0.0.1", server_port=port, quiet=True)


def django_multipart() -> Any:
    """Return a WSGI application: a Django view that saves `request.FILES`."""
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415

    folder = Path(os.environ["BENCH_FOLDER"])
    settings.configure(
        SECRET_KEY="bench",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        FILE_UPLOAD_TEMP_DIR=str(folder),
        MEDIA_ROOT=str(folder),
    )
    django.setup()
    from django.core.files.storage import default_storage  # noqa: PLC0415
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    from django.http import HttpResponse  # noqa: PLC0415
    from django.urls import path  # noqa: PLC0415

    def upload(request: Any) -> HttpResponse:
        file = request.FILES["files"]
        default_storage.save(file.name, file)
        return HttpResponse(status=204)

    globals()["urlpatterns"] = [
        path("upload", upload),
        path("ping", lambda _: HttpResponse("pong")),
    ]
    return WSGIHandler()


if __name__ == "__main__":
    {"sink": sink, "gradio": gradio}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
