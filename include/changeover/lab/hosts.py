"""The hosts of the lab: one OpenSSH server per host, run without privileges, on its own loopback address."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from changeover.errors import LabError
from changeover.lab.account import Account, Entry
from changeover.lab.environment import PORTS_PER_HOST, LabHost

SSHD_PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd")
FIRST_PORT = 22200
START_LIMIT = 10.0


def find_sshd(account: Account, root: Path) -> Path:
    """The OpenSSH server: the system's, else (Debian, Ubuntu) the package unpacked below the lab root."""
    unpacked = root / "openssh/usr/sbin/sshd"
    for place in (shutil.which("sshd"), *SSHD_PLACES, str(unpacked)):
        if place and os.access(place, os.X_OK):
            return Path(place)
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise LabError("There is no OpenSSH server (sshd) on this machine", then=_how_to_get_sshd())
    _unpack_sshd(account, root)
    return unpacked


def _how_to_get_sshd() -> str:
    return (
        "install it (Debian, Ubuntu: apt-get install openssh-server; Fedora: dnf install openssh-server);"
        " it need not be started, the lab runs its own"
    )


def _unpack_sshd(account: Account, root: Path) -> None:
    """Fetch and unpack openssh-server and libwrap0 as the lab's account: needs no root, only the package sources."""
    target, state = root / "openssh", root / "apt"
    account.directories(target, state / "lists/partial", state / "cache/archives/partial")
    options = [
        "-o", f"Dir::State::Lists={state}/lists", "-o", f"Dir::Cache={state}/cache",
        "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q",
    ]  # fmt: skip
    try:
        account.run(["apt-get", *options, "update"])
        account.run(["apt-get", *options, "download", "openssh-server", "libwrap0"], cwd=state)
        for package in sorted(state.glob("*.deb")):
            account.run(["dpkg", "-x", package, target])
    except LabError as exc:
        raise LabError(
            f"There is no OpenSSH server (sshd), and its package could not be fetched: {exc.what}",
            then=_how_to_get_sshd(),
        ) from exc
    finally:
        account.remove(state)


def choose_port(addresses: Sequence[str], wanted: int | None) -> int:
    """A base port whose block of ten is free on every address: `0` picks at random, None the first from 22200."""
    if wanted:
        if not _block_free(addresses, wanted):
            raise LabError(
                f"port {wanted} or one of the {PORTS_PER_HOST - 1} after it is in use on {', '.join(addresses)}"
            )
        return wanted
    candidates = list(range(FIRST_PORT, 32000, PORTS_PER_HOST))
    if wanted == 0:
        random.shuffle(candidates)
    for base in candidates:
        if _block_free(addresses, base):
            return base
    raise LabError("no free block of ports between 22200 and 32000 on the lab's addresses")


def _block_free(addresses: Sequence[str], base: int) -> bool:
    for address in addresses:
        for port in range(base, base + PORTS_PER_HOST):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:
                    return False
    return True


def make_keys(account: Account, root: Path) -> Path:
    """The operator's key pair and the file of keys that every host accepts."""
    key = root / "keys/operator"
    if not key.exists():
        account.directories(key.parent, mode=0o700)
        account.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "changeover-lab", "-f", key])
        account.run(["cp", f"{key}.pub", key.parent / "authorized_keys"])
    return key


def make_host(account: Account, host: LabHost, authorized_keys: Path, sshd: Path) -> None:
    """The directories, host key and sshd configuration of one host."""
    account.directories(*host.directories)
    account.directories(host.state, host.tmp, mode=0o700)
    key = host.etc / "ssh_host_ed25519_key"
    if not key.exists():
        account.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key])
    account.write(host.etc, {"sshd_config": Entry(_sshd_configuration(account, host, authorized_keys, sshd), 0o600)})


def known_host(host: LabHost) -> str:
    """The known_hosts line of a host, in the form for a port that is not 22."""
    kind, public = (host.etc / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()[:2]
    return f"[{host.address}]:{host.port} {kind} {public}"


def start(account: Account, host: LabHost, sshd: Path) -> None:
    """Start the host's sshd, unless it answers already."""
    if answers(host):
        return
    account.remove(host.run / "sshd.pid")
    libraries = _libraries(sshd)
    env = {**host.environment(), **({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})}
    account.run([sshd, "-f", host.etc / "sshd_config", "-E", host.log / "sshd.log"], env=env)
    deadline = time.monotonic() + START_LIMIT
    while not answers(host):
        if time.monotonic() > deadline:
            raise LabError("sshd did not start", where=host.name, then=f"read {host.log / 'sshd.log'}")
        time.sleep(0.02)


def _libraries(sshd: Path) -> list[str]:
    """Where an unpacked sshd finds the library that came with it; nothing for the system's own."""
    top = sshd.parents[2]
    return [] if top == Path("/") else sorted({str(path.parent) for path in top.glob("**/libwrap.so*")})


def answers(host: LabHost) -> bool:
    """Whether an SSH server greets on the host's port."""
    with contextlib.suppress(OSError), socket.create_connection((host.address, host.port), timeout=2) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def is_ours(host: LabHost) -> bool:
    """Whether the sshd on record for this host runs."""
    return _listener(host) is not None


def stop(stopping: Sequence[LabHost], *, limit: float = 15.0) -> None:
    """End the sshd of these hosts, the connections they hold, and every process that carries a host's mark."""
    listeners = [listener for listener in map(_listener, stopping) if listener]
    sessions = [child for listener in listeners for child in _children(listener)]
    ending = [*listeners, *processes_of(stopping), *sessions]
    _signal(ending, signal.SIGTERM)
    _, alive = psutil.wait_procs(ending, timeout=limit)
    late = [*alive, *processes_of(stopping)]
    _signal(late, signal.SIGKILL)
    psutil.wait_procs(late, timeout=limit)


def kill(dying: Sequence[LabHost], *, limit: float = 15.0) -> None:
    """End everything of these hosts at once, without a word to any process: a power cut."""
    listeners = [listener for listener in map(_listener, dying) if listener]
    ending = [*listeners, *(child for listener in listeners for child in _children(listener)), *processes_of(dying)]
    _signal(ending, signal.SIGKILL)
    late = processes_of(dying)
    _signal(late, signal.SIGKILL)
    psutil.wait_procs([*ending, *late], timeout=limit)


def end_connections(host: LabHost, *, limit: float = 15.0) -> None:
    """End the host's sshd with every connection it holds; services go on."""
    listener = _listener(host)
    if listener is None:
        return
    ending = [listener, *_children(listener)]
    _signal(ending, signal.SIGKILL)
    psutil.wait_procs(ending, timeout=limit)


def end_strays(host: LabHost) -> None:
    """End what an upgrade that was cut short left running; sshd and the service manager stay."""
    lasting = {str(host.etc / "supervisord.conf"), str(host.etc / "sshd_config")}
    strays = []
    for process in processes_of([host]):
        with contextlib.suppress(psutil.Error):
            if process.name() != "sshd" and not lasting & set(process.cmdline()):
                strays.append(process)
    _signal(strays, signal.SIGKILL)
    psutil.wait_procs(strays, timeout=5)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _listener(host: LabHost) -> psutil.Process | None:
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((host.run / "sshd.pid").read_text()))
        if str(host.etc / "sshd_config") in " ".join(process.cmdline()):
            return process
    return None


def processes_of(owners: Sequence[LabHost]) -> list[psutil.Process]:
    """Every process that carries the mark of one of these hosts: its services, and what was started over SSH."""
    marks = {str(host.root) for host in owners}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("LAB_HOST_ROOT") in marks:
                found.append(process)
    return found


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _sshd_configuration(account: Account, host: LabHost, authorized_keys: Path, sshd: Path) -> str:
    environment = " ".join(f'"{key}={value}"' for key, value in host.environment().items())
    # From 9.8 on sshd runs a second program by a path that was fixed when the package was built.
    helpers = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
    top = sshd.parents[2]
    inside = top / "usr/lib/openssh"
    moved = [
        f"{option} {inside / name}" for option, name in helpers.items() if top != Path("/") and (inside / name).exists()
    ]
    return "\n".join(
        [
            f"ListenAddress {host.address}:{host.port}",
            f"HostKey {host.etc / 'ssh_host_ed25519_key'}",
            f"PidFile {host.run / 'sshd.pid'}",
            f"AuthorizedKeysFile {authorized_keys}",
            "# The lab lies below /var/tmp, which everybody may write to: StrictModes refuses keys there whatever",
            "# their own modes. The files themselves belong to the lab's account alone.",
            "StrictModes no",
            f"AllowUsers {account.name}",
            "PubkeyAuthentication yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "PermitUserEnvironment no",
            "PermitUserRC no",
            "X11Forwarding no",
            "PrintMotd no",
            "UseDNS no",
            "MaxSessions 50",
            "MaxStartups 50:30:100",
            f"SetEnv {environment}",
            "Subsystem sftp internal-sftp",
            *moved,
            "",
        ]
    )
