"""A receiver of webhooks: a real HTTP server that answers as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Keeps what it is sent; `answers` are given one after the other, the last for ever.

    An answer is a status, or (status, headers, body), or a function of the handler.
    """

    def __init__(self, *answers):
        self.answers, self.got = list(answers or [200]), []
        self.is_full, self.now, self.most = threading.Event(), 0, 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.serve(self)

            def do_GET(self):
                receiver.serve(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        with self._lock:
            self.got.append((dict(handler.headers), body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if callable(answer):
                answer(handler)
                return
            status, headers, text = (
                answer if isinstance(answer, tuple) else (answer, {}, b"thanks")
            )
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)
        except OSError:
            pass  # the sender has hung up
        finally:
            with self._lock:
                self.now -= 1

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
