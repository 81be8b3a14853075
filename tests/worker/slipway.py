"""What a worker sees of Slipway."""

import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ATTEMPT = "01a1fc9415d87a388eb9ec20a6b7b422"
TOKEN = "token-of-the-attempt"
PUBLIC = "https://slipway.example"


class FakeSlipway:
    """Takes what an attempt sends. `calls` has (call, body, headers) of each request.

    `answers[call]` is a status, a (status, body), or a list of these, one for each
    time; what ends with one of `down` is not answered. `inputs` are files to fetch.
    """

    def __init__(self):
        self.down, self.files, self.manifests, self.calls = set(), {}, [], []
        self.answers, self.inputs, self.connections = {}, {}, set()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.http.fake = self
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        serve = partial(self.http.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, daemon=True).start()

    def next_answer(self, call, usual):
        answer = self.answers.get(call, 200)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else 200
        return answer if isinstance(answer, tuple) else (answer, usual)

    def called(self, call):
        """Return the bodies of one call."""
        return [body for path, body, _ in self.calls if path.endswith(f"/{call}")]

    def names(self):
        """Return what was called, in order."""
        return [path.rpartition("/")[2] for path, _, _ in self.calls]

    def envelope(self, **more):
        """Return what comes with a job under `_slipway`."""
        names = ("job", "attempt", "token", "runner", "url")
        usual = zip(names, ("j1", ATTEMPT, TOKEN, "echo", PUBLIC), strict=True)
        return {**dict(usual), **more}

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.server.fake.connections.add(self.request)
        super().setup()

    def finish(self):
        super().finish()
        self.server.fake.connections.discard(self.request)

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.server.fake.calls.append((self.path, {}, dict(self.headers)))
        status, body = self.server.fake.next_answer(
            self.path, self.server.fake.inputs.get(name, b"")
        )
        self.send(status, body)

    def do_POST(self):
        call = self.path.rpartition("/")[2]
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        self.server.fake.calls.append((self.path, body, dict(self.headers)))
        if call in self.server.fake.down:
            self.close_connection = True
            return  # closed without a word
        usual = {"continue": True}
        if call == "outputs":
            usual = {
                "method": "PUT",
                "url": f"{self.server.fake.url}/put/{body['name']}",
            }
        status, answer = self.server.fake.next_answer(call, usual)
        if call == "finish" and status == 200:
            self.server.fake.manifests.append(body)
        self.send(status, answer)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        self.server.fake.files[name] = body
        sha256 = hashlib.sha256(body).hexdigest()
        self.send(201, {"name": name, "size": len(body), "sha256": sha256})

    def send(self, status, body):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
