"""A client that costs as little as one can: sendfile(2) over a plain socket."""

import socket
import time
from pathlib import Path

STEP = 64 * 1024


def put(port: int, path: str, source: Path, rate: float) -> None:
    """Send a file as the body of one request."""
    with _connect(port) as connection:
        size = source.stat().st_size
        connection.sendall(_head("PUT", path, {"Content-Length": str(size)}))
        _send(connection, source, 0, size, rate)
        _answer(connection)


def multipart(port: int, path: str, source: Path, rate: float) -> None:
    """Send a file as a browser's form does."""
    mark = "----benchbenchbench"
    before = (
        f'--{mark}\r\nContent-Disposition: form-data; name="files"; '
        'filename="source.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
    ).encode()
    after = f"\r\n--{mark}--\r\n".encode()
    size = source.stat().st_size
    headers = {
        "Content-Length": str(len(before) + size + len(after)),
        "Content-Type": f"multipart/form-data; boundary={mark}",
    }
    with _connect(port) as connection:
        connection.sendall(_head("POST", path, headers) + before)
        _send(connection, source, 0, size, rate)
        connection.sendall(after)
        _answer(connection)


class Patches:
    """tus: one POST, then PATCH after PATCH over one connection."""

    def __init__(
        self, port: int, path: str, headers: dict[str, str], chunk: int
    ) -> None:
        self._port, self._path, self._chunk = port, path, chunk
        self._headers = {"Tus-Resumable": "1.0.0", **headers}

    def send(self, source: Path, rate: float) -> None:
        """Send a file."""
        size = source.stat().st_size
        with _connect(self._port) as connection:
            opening = {"Upload-Length": str(size), "Content-Length": "0"}
            connection.sendall(_head("POST", self._path, self._headers | opening))
            place = _answer(connection)["location"]
            path = "/" + place.split("/", 3)[3] if "://" in place else place
            for start in range(0, size, self._chunk):
                length = min(self._chunk, size - start)
                headers = {
                    "Upload-Offset": str(start),
                    "Content-Length": str(length),
                    "Content-Type": "application/offset+octet-stream",
                }
                connection.sendall(_head("PATCH", path, self._headers | headers))
                _send(connection, source, start, length, rate)
                _answer(connection)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _send(
    connection: socket.socket, source: Path, start: int, length: int, rate: float
) -> None:
    with source.open("rb") as file:
        if not rate:
            connection.sendfile(file, start, length)
            return
        began, sent = time.monotonic(), 0
        while sent < length:
            step = min(STEP, length - sent)
            connection.sendfile(file, start + sent, step)
            sent += step
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))


def _answer(connection: socket.socket) -> dict[str, str]:
    """Read one answer; return its headers. Anything but success is an error."""
    held = b""
    while b"\r\n\r\n" not in held:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("no answer")
        held += piece
    head, _, body = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.split(" ")[1].startswith("2"):
        raise ConnectionError(first + body.decode(errors="replace")[:200])
    headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
    left = int(headers.get("content-length", 0)) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
    return headers
