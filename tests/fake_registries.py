"""Hugging Face's and Docker Hub's APIs on loopback, as far as we ask them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GB = 1_000_000_000
PAGE = 3


class FakeRegistries:
    """`models` are {name: {path: bytes}}, `images` {name:tag: bytes}."""

    def __init__(self) -> None:
        self.models = {
            "org/small": {"a.safetensors": 2 * GB, "config.json": 500},
            "Wan-AI/Wan2.1-T2V-14B": {
                f"part-{n}.safetensors": 9_857_142_857 for n in range(7)
            },
        }
        self.images = {"you/worker:1": 16 * GB, "you/worker:2": 8 * GB}
        door = type("Door", (_Door,), {"registries": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), door)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Door(BaseHTTPRequestHandler):
    registries: FakeRegistries

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = url.path.strip("/").split("/")
        if path[:2] == ["api", "models"]:
            self._model(
                "/".join(path[2:4]), int(parse_qs(url.query).get("cursor", ["0"])[0])
            )
        else:
            self._image(f"{path[2]}/{path[3]}:{path[5]}")

    def log_message(self, *_: object) -> None:
        pass

    def _model(self, name: str, begin: int) -> None:
        files = self.registries.models.get(name)
        if files is None:
            self._send(404, {"error": "Repository not found"})
            return
        rows = [
            {"type": "file", "path": path, "size": 134, "lfs": {"size": size}}
            if size > 1000
            else {"type": "file", "path": path, "size": size}
            for path, size in files.items()
        ]
        rest = begin + PAGE < len(rows)
        here = self.path.partition("&cursor")[0]
        link = f'<{self.registries.url}{here}&cursor={begin + PAGE}>; rel="next"'
        self._send(200, rows[begin : begin + PAGE], {"Link": link} if rest else {})

    def _image(self, name: str) -> None:
        size = self.registries.images.get(name)
        if size is None:
            self._send(404, {"message": "not found"})
        else:
            self._send(200, {"full_size": size, "last_updated": "2026-11-01T00:00:00Z"})

    def _send(self, status: int, body: object, headers: dict | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)
