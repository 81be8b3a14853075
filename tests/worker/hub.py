"""A stand-in for the Hugging Face hub: one model, as its API and its files look.

    python -m tests.worker.hub PORT SIZE

GET /_asked returns every request so far; POST /_script sets {"status": 403, "cut": n}.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40
FILES = {
    "config.json": b'{"a": 1}',
    "model.bin": b"",
    "model.onnx": b"not wanted",
    "README.md": b"for people",
}
asked: list[str] = []
script: dict[str, object] = {}


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(with_body=True)

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        script.clear()
        script.update(json.loads(self.rfile.read(length)))
        self.send(200, b"{}")

    def answer(self, *, with_body):
        path = self.path.partition("?")[0]
        if path == "/_asked":
            self.send(200, json.dumps(asked).encode())
            return
        asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if script.get("status"):
            code = str(script.get("code", ""))
            self.send(int(script["status"]), b"{}", **{"X-Error-Code": code})
        elif path.startswith("/api/models/org/model"):
            self.api(path)
        elif f"/resolve/{COMMIT}/" in path:
            self.file(path.rpartition(f"/resolve/{COMMIT}/")[2], with_body=with_body)
        else:
            self.send(404, b"{}", **{"X-Error-Code": "RepoNotFound"})

    def api(self, path):
        if "/tree/" in path:
            answer = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": digest(content)[:40],
                    **lfs(name, content),
                }
                for name, content in FILES.items()
            ]
        else:
            siblings = [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": digest(content)[:40],
                    **lfs(name, content),
                }
                for name, content in FILES.items()
            ]
            answer = {
                "id": "org/model",
                "sha": COMMIT,
                "private": False,
                "siblings": siblings,
            }
            answer |= {"downloads": 0, "likes": 0, "tags": []}
        self.send(200, json.dumps(answer).encode())

    def file(self, name, *, with_body):
        content = FILES[name]
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{digest(content)}"',
            "Accept-Ranges": "bytes",
        }
        span, status = self.headers.get("Range", ""), 200
        if span:
            start = int(span[6:].partition("-")[0])
            status, content = 206, content[start:]
            headers["Content-Range"] = (
                f"bytes {start}-{len(FILES[name]) - 1}/{len(FILES[name])}"
            )
        if script.get("wrong") == name:
            content = b"x" * len(content)
            if script.get("once"):
                script.pop("wrong")
        self.send(status, content, with_body=with_body, **headers)

    def send(self, status, body, with_body=True, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def digest(content):
    return hashlib.sha256(content).hexdigest()


def lfs(name, content):
    if not name.endswith(".bin"):
        return {}
    sizes = {"size": len(content), "pointerSize": 130}
    return {"lfs": {"oid": digest(content), "sha256": digest(content), **sizes}}


if __name__ == "__main__":
    FILES["model.bin"] = bytes(range(256)) * (int(sys.argv[2]) // 256)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hub).serve_forever()
