"""Sends one HTTP request again and again over kept connections, and times each.

Raw sockets: a client library would cost more than what it is to measure.
"""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop


@dataclass
class Load:
    """What came of it."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return len(self.times) / self.seconds


def run(
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    connections: int = 50,
    seconds: float = 5.0,
) -> Load:
    """Keep `connections` busy for some seconds."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    load = Load()

    async def everybody() -> None:
        began = time.perf_counter()
        until = began + seconds
        host, port = parts.hostname or "", parts.port or 80
        await asyncio.gather(
            *(_one(host, port, request, until, load) for _ in range(connections))
        )
        load.seconds = time.perf_counter() - began

    uvloop.run(everybody())
    return load


async def _one(host: str, port: int, request: bytes, until: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        try:
            status = await _answer(reader)
        except (asyncio.IncompleteReadError, OSError):
            status = 0
            reader, writer = await asyncio.open_connection(host, port)
        if 200 <= status < 300:
            load.times.append(time.perf_counter() - began)
        else:
            load.bad += 1
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    if length:
        await reader.readexactly(int(length))
    else:  # chunked
        while (await reader.readline()).strip() != b"0":
            pass
        await reader.readline()
    return int(head.split(b" ", 2)[1])
