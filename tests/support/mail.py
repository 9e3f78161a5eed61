"""A mail server and a webhook for tests: real ones, on loopback, that keep what they are given."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast


@dataclass
class Post:
    """What the mail server took: envelope and message."""

    sender: str
    recipients: list[str]
    data: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.data, policy=policy.default)

    @property
    def text(self) -> str:
        return str(self.message.get_body().get_content())  # type: ignore[union-attr]  # every mail of ours has one


@dataclass
class MailServer:
    port: int = 0
    taken: list[Post] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """Recipient → the reply to RCPT, such as `550 unknown`."""


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs."""

    kept: MailServer

    def handle(self) -> None:
        self._say("220 test")
        sender = ""
        recipients: list[str] = []
        while line := self.rfile.readline().decode().strip():
            verb, address = line.split(" ")[0].upper(), line.partition("<")[2].partition(">")[0]
            if verb == "MAIL":
                sender, recipients = address, []
                self._say("250 fine")
            elif verb == "RCPT":
                answer = self.kept.answers.get(address, "250 fine")
                recipients += [address] if answer.startswith("250") else []
                self._say(answer)
            elif verb == "DATA":
                self._say("354 go on")
                self.kept.taken.append(Post(sender, recipients, self._data()))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    kept = MailServer()
    with _Server(("127.0.0.1", port), type("Handler", (_Smtp,), {"kept": kept})) as server:
        kept.port = server.server_address[1]
        yield from _serving(server, kept)


@dataclass
class Hook:
    port: int = 0
    status: int = 204
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers (lower case) and body of every post."""

    @property
    def last(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.taken[-1][1]))


@contextmanager
def hook_server() -> Iterator[Hook]:
    kept = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.taken.append(({key.lower(): value for key, value in self.headers.items()} | {"": self.path}, body))
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        yield from _serving(server, kept)


def _serving(server: socketserver.BaseServer, kept: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
