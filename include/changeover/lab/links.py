"""A link between the controller and a lab host that can be cut and slowed: a relay in front of the host's sshd."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

from changeover.lab.environment import LabHost

_CHUNK = 65536


@dataclass
class Link:
    """Relays a port of loopback to the host. Cut, it loses nothing: what was sent arrives when it heals."""

    host: LabHost
    _listener: socket.socket = field(init=False)
    _open: threading.Event = field(default_factory=threading.Event, init=False)
    _delay: float = field(default=0.0, init=False)
    _ended: bool = field(default=False, init=False)
    _sockets: list[socket.socket] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open.set()
        threading.Thread(target=self._accept, daemon=True, name=f"link-{self.host.name}").start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._open.clear()

    def slow(self, seconds: float) -> None:
        """Everything takes so much longer, in each direction."""
        self._delay = seconds

    def mend(self) -> None:
        self._delay = 0.0
        self._open.set()

    def close(self) -> None:
        self._ended = True
        self._open.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._ended:
            with contextlib.suppress(OSError):
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        """A host that is down refuses: the caller is told at once, as by a real one whose kernel lives."""
        self._open.wait()
        try:
            far = socket.create_connection((self.host.address, self.host.port), timeout=10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._sockets += [near, far]
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        for one in (near, far):
            one.close()
            with contextlib.suppress(ValueError):
                self._sockets.remove(one)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if self._delay:
                    time.sleep(self._delay)
                self._open.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
