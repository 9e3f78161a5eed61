"""The link in front of a lab host: it passes everything on, falls silent, is slow, and heals."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.lab.environment import LabHost
from changeover.lab.links import Link


@pytest.fixture
def link() -> Iterator[Link]:
    """A link to a host that says everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1024):
                connection.sendall(data)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    made = Link(LabHost("prod1", "127.0.0.1", listener.getsockname()[1], Path("/nowhere")))
    yield made
    made.close()
    listener.close()


def connected(link: Link, *, patience: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=patience)


def test_a_cut_link_is_silent_and_loses_nothing(link: Link) -> None:
    with connected(link, patience=0.4) as client:
        client.sendall(b"one")
        assert client.recv(9) == b"one"
        link.cut()
        client.sendall(b"two")
        with pytest.raises(TimeoutError):
            client.recv(9)
        link.mend()
        client.settimeout(5)
        assert client.recv(9) == b"two"


def test_over_a_cut_link_nobody_gets_an_answer(link: Link) -> None:
    link.cut()
    with connected(link, patience=0.4) as client:
        client.sendall(b"hello")
        with pytest.raises(TimeoutError):
            client.recv(9)


def test_a_slow_link_takes_its_time_in_both_directions(link: Link) -> None:
    with connected(link) as client:
        link.slow(0.2)
        begun = time.monotonic()
        client.sendall(b"one")
        assert client.recv(9) == b"one"
        assert time.monotonic() - begun >= 0.4


def test_a_host_that_is_down_refuses_at_once(link: Link) -> None:
    dead = socket.create_server(("127.0.0.1", 0))
    port = dead.getsockname()[1]
    dead.close()
    refusing = Link(LabHost("prod2", "127.0.0.1", port, Path("/nowhere")))
    try:
        with connected(refusing) as client:
            assert client.recv(9) == b""
    finally:
        refusing.close()
