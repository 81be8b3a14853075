"""A mail server on loopback that keeps what it gets (RFC 5321, the few verbs there must be)."""

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer:
    """`received` are the messages, the first first."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        door = type("Door", (_Door,), {"received": self.received})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), door)
        self._server.daemon_threads = True
        self.url = f"smtp+plain://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Door(socketserver.StreamRequestHandler):
    received: list[EmailMessage]

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline():
            verb = line.strip().upper()[:4]
            if verb == b"DATA":
                self._say("354 go on")
                self._keep()
            self._say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        text = b"".join(lines)
        self.received.append(message_from_bytes(text, policy=policy.default))

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")
