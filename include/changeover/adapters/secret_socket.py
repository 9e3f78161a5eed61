"""Serves an execution's secrets from memory over a private unix socket, to the `changeover_secret` lookup.

Protocol: the client sends one JSON line `{"name": …}`; the answer is one JSON line `{"value": …}` or `{"error": …}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

ADDRESS_VARIABLE = "CHANGEOVER_SECRETS"
_MAX_REQUEST = 4096


@contextlib.contextmanager
def serve_secrets(path: Path, secrets: Mapping[str, str]) -> Iterator[None]:
    """Answer, until the block ends, processes of our own user only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    threading.Thread(target=_serve, args=(listener, secrets), daemon=True, name="secrets").start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        path.unlink(missing_ok=True)


def _serve(listener: socket.socket, secrets: Mapping[str, str]) -> None:
    while True:
        try:
            conversation, _ = listener.accept()
        except OSError:
            return
        with conversation, contextlib.suppress(OSError):
            conversation.settimeout(5)
            conversation.sendall(json.dumps(_answer(conversation, secrets)).encode() + b"\n")


def _answer(conversation: socket.socket, secrets: Mapping[str, str]) -> dict[str, str]:
    credentials = conversation.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    if user != os.geteuid():
        return {"error": "only the user who runs the execution may ask"}
    with conversation.makefile("rb") as reader:
        line = reader.readline(_MAX_REQUEST)
    try:
        name = json.loads(line)["name"]
    except (ValueError, KeyError, TypeError):
        return {"error": "the request is not understood"}
    if name in secrets:
        return {"value": secrets[name]}
    known = ", ".join(sorted(secrets)) or "none"
    return {"error": f"this execution was given no secret named {name!r} (it was given: {known})"}
