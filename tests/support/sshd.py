"""A throw-away OpenSSH server on loopback, with keys of its own, for tests of whatever speaks SSH."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PORTS = range(12000, 18000)
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Sshd:
    """A running server; `directory` is its own, `key` opens it, `known_hosts` is one line of known_hosts."""

    address: str
    port: int
    user: str
    directory: Path
    key: str
    known_hosts: str
    pid: int


@contextlib.contextmanager
def sshd(directory: Path, *, address: str = "127.0.0.1", port: int = 0) -> Iterator[Sshd]:
    """Start it as the current user; the caller's home and shell start-up files are kept out of the sessions."""
    if SSHD is None:
        raise FileNotFoundError("sshd is not installed (Debian: openssh-server)")
    directory.mkdir(parents=True, exist_ok=True)
    home = directory / "home"
    home.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "client_key"):
        if not (directory / name).exists():
            make_key(directory / name)
    (directory / "authorized_keys").write_text((directory / "client_key.pub").read_text())
    port = port or free_port(address)
    _configure(directory, address, port, home)
    process = subprocess.Popen(
        [SSHD, "-D", "-f", str(directory / "sshd_config"), "-E", str(directory / "sshd.log")],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until_up(process, address, port, directory)
        yield Sshd(
            address=address,
            port=port,
            user=getpass.getuser(),
            directory=directory,
            key=(directory / "client_key").read_text(),
            known_hosts=f"[{address}]:{port} {' '.join((directory / 'host_key.pub').read_text().split()[:2])}",
            pid=process.pid,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def make_key(path: Path, kind: str = "ed25519") -> None:
    bits = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", path.name, "-f", str(path)], check=True)


def free_port(address: str = "127.0.0.1") -> int:
    """Nobody listens there now, and no connection that goes out gets it by chance."""
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            return port
    raise RuntimeError(f"no port of {address} is free from {PORTS.start} to {PORTS.stop}")


def _configure(directory: Path, address: str, port: int, home: Path) -> None:
    (directory / "sshd_config").write_text(
        f"""ListenAddress {address}
Port {port}
HostKey {directory}/host_key
PidFile none
AuthorizedKeysFile {directory}/authorized_keys
# The directory of a test lies under a temporary directory that others may write to.
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {getpass.getuser()}
MaxSessions 50
MaxStartups 100
PrintMotd no
Subsystem sftp internal-sftp
SetEnv HOME={home}
"""
    )


def _wait_until_up(process: subprocess.Popen[bytes], address: str, port: int, directory: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"sshd did not start: {(directory / 'sshd.log').read_text()}")
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("sshd did not answer")
