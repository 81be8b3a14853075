"""RunPod's job API on loopback, in this process; each answer is the test's own."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

CUT = "cut"  # hang up without an answer
HOLD = "hold"  # answer when the test lets go
JOB_NOT_FOUND = (404, {"detail": "job not found"})
ENDPOINT_NOT_FOUND = (404, {"message": "Not Found"})


class Call(NamedTuple):
    route: str
    id: str
    body: Any
    key: str


class Backend:
    """`answers` by route: (status, JSON[, headers]), CUT, HOLD, or a function of the call."""

    def __init__(self):
        self.calls: list[Call] = []
        self.statuses: dict[str, Any] = {}
        self.accepted = self.holding = self.most_held = 0
        self.let_go = threading.Event()
        self.answers = {
            "run": self._accept,
            "status": self._status,
            "cancel": lambda call: (200, {"id": call.id, "status": "CANCELLED"}),
            "health": (200, {"jobs": {}, "workers": {"idle": 1}}),
        }
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2"
        serving = self._server.serve_forever
        self._thread = threading.Thread(target=serving, args=(0.01,), daemon=True)
        self._thread.start()

    def says(self, status, id="job-u1", **fields):
        """Set what /status answers for a job."""
        self.statuses[id] = (200, {"id": id, "status": status, **fields})

    def counts(self):
        """Return {route: calls}."""
        return Counter(call.route for call in self.calls)

    def asked(self, route="status"):
        """Return the ids that a route was asked about, in order."""
        return [call.id for call in self.calls if call.route == route]

    def stop(self):
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, call):
        with self._lock:
            self.calls.append(call)
        answer = self.answers[call.route]
        if answer == HOLD:
            with self._lock:
                self.holding += 1
                self.most_held = max(self.most_held, self.holding)
            self.let_go.wait(60)
            with self._lock:
                self.holding -= 1
            answer = self._accept if call.route == "run" else self._status
        return answer(call) if callable(answer) else answer

    def _accept(self, _):
        with self._lock:
            self.accepted += 1
            return 200, {"id": f"sent-{self.accepted}", "status": "IN_QUEUE"}

    def _status(self, call):
        queued = (200, {"id": call.id, "status": "IN_QUEUE"})
        return self.statuses.get(call.id, queued)


def _handler_of(backend):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            _, _, _, route, *rest = f"{self.path}/".split("/")
            key = self.headers["Authorization"]
            answer = backend.answer(Call(route, rest[0], body, key))
            if answer == CUT:
                self.close_connection = True
                return
            self._write(*answer)

        do_GET = do_POST = _serve  # noqa: N815 - so the base class calls it

        def _write(self, status, content, headers=None):
            text = json.dumps(content).encode()
            lines = {"Content-Length": len(text), **(headers or {})}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            start = f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode()
            try:
                self.wfile.write(start + text)
            except OSError:
                self.close_connection = True  # the shift has hung up

        def log_message(self, *_):
            pass

    return Handler
