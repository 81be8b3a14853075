"""A server of files that does what a test says to the next requests."""

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4000


class Files:
    """Serves CONTENT at every path; `script[path]` is how the next answers go wrong.

    A number is a status, ("to", URL) a redirect; words are in `_send`. `asked` has
    (path, Range) of every request, `headers` the headers of each.
    """

    def __init__(self):
        self.script, self.asked, self.headers, outer = {}, [], [], self
        self.together = self.most = 0
        self.moved = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                with outer.moved:
                    outer.together += 1
                    outer.most = max(outer.most, outer.together)
                    outer.moved.notify_all()
                try:
                    outer.answer(self)
                finally:
                    with outer.moved:
                        outer.together -= 1

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        serve = partial(self.http.serve_forever, poll_interval=0.02)
        threading.Thread(target=serve, daemon=True).start()

    def answer(self, request):
        span = request.headers.get("Range", "")
        self.asked.append((request.path, span))
        self.headers.append(dict(request.headers))
        steps = self.script.get(request.path, [])
        step = steps.pop(0) if steps else ""
        if isinstance(step, int):
            _empty(request, step)
        elif isinstance(step, tuple):
            _empty(request, 302, Location=step[1])
        elif span and int(span[6:-1]) >= len(CONTENT):
            _empty(request, 416)
        else:
            self._send(request, step, int(span[6:-1]) if span else 0)

    def _send(self, request, step, start):
        if step == "ignore range":
            start = 0
        body = CONTENT[start:]
        request.send_response(206 if start else 200)
        if step == "unsized":
            request.send_header("Connection", "close")
        elif step == "never ends":
            request.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n" % (len(body), body)
        else:
            size = 200 * 1024**3 if step == "huge" else len(body)
            request.send_header("Content-Length", str(size))
        request.end_headers()
        body = {"cut": body[:100_000], "wrong": b"x" * len(body)}.get(step, body)
        if step == "wait":
            self.gate.wait(10)
        request.wfile.write(body)

    def wait_for_more_than(self, number, seconds):
        """Hold an answer until more requests than `number` run at once."""
        with self.moved:
            self.moved.wait_for(lambda: self.together > number, seconds)

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


def _empty(request, status, **headers):
    request.send_response(status)
    for name, value in {**headers, "Content-Length": "0"}.items():
        request.send_header(name, value)
    request.end_headers()
