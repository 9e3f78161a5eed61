"""One command on many hosts over SSH, each within a hard limit and under a recorded host key."""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from io import StringIO
from typing import TYPE_CHECKING, Protocol

from changeover.errors import TransportError

if TYPE_CHECKING:
    import paramiko

AT_ONCE = 20
GRACE = timedelta(seconds=2)
MAX_OUTPUT = 64 * 1024 * 1024
_LOG_CHANNEL = "changeover.ssh"


class Reachable(Protocol):
    """What is needed of a host to speak with it."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def connection(self) -> str: ...
    @property
    def host_keys(self) -> tuple[str, ...]: ...


class ProbeOutcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    HUNG = "hung"
    NO_BANNER = "no banner"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class ProbeResult:
    """`exit_status` is None when the command did not end or its end was not told; `reason` says why it is not ok."""

    host: str
    outcome: ProbeOutcome
    exit_status: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    reason: str = ""
    sent_at: float = 0.0
    """When the command was sent, and when its first output came (seconds since the epoch; 0 if that did not happen)."""
    first_output_at: float = 0.0

    @property
    def ok(self) -> bool:
        return self.outcome is ProbeOutcome.OK

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


@dataclass(frozen=True)
class Question:
    """A command for one host; `stdin` is what it reads."""

    host: Reachable
    command: str
    stdin: bytes = b""


def probe(
    hosts: Sequence[Reachable], command: str, *, keys: Mapping[str, str], timeout: timedelta, stdin: bytes = b""
) -> Mapping[str, ProbeResult]:
    """Run `command` on every host: see `ask`."""
    return ask([Question(host, command, stdin) for host in hosts], keys=keys, timeout=timeout)


def ask(
    questions: Sequence[Question], *, keys: Mapping[str, str], timeout: timedelta, at_once: int = AT_ONCE
) -> Mapping[str, ProbeResult]:
    """Always one result per host, none later than `timeout` after its turn came.

    `keys` maps a host's `connection` to its private key text. Host keys that are not on record are never accepted.
    """
    loaded = {name: _private_key(name, text) for name, text in keys.items()}
    waiting: queue.SimpleQueue[_Attempt] = queue.SimpleQueue()
    ended: queue.SimpleQueue[ProbeResult] = queue.SimpleQueue()
    attempts = [_Attempt(question, loaded.get(question.host.connection), timeout) for question in questions]
    for attempt in attempts:
        waiting.put(attempt)
    for _ in range(min(at_once, len(attempts))):
        threading.Thread(target=_work, args=(waiting, ended), daemon=True, name="ssh-probe").start()
    return _collect(attempts, waiting, ended)


def _work(waiting: queue.SimpleQueue[_Attempt], ended: queue.SimpleQueue[ProbeResult]) -> None:
    while True:
        try:
            attempt = waiting.get_nowait()
        except queue.Empty:
            return
        ended.put(attempt.run())


def _collect(
    attempts: Sequence[_Attempt],
    waiting: queue.SimpleQueue[_Attempt],
    ended: queue.SimpleQueue[ProbeResult],
) -> Mapping[str, ProbeResult]:
    """Take results as they come; cut what is over its limit, and go on without what cannot even be cut."""
    results: dict[str, ProbeResult] = {}
    while len(results) < len(attempts):
        with contextlib.suppress(queue.Empty):
            result = ended.get(timeout=0.1)
            results.setdefault(result.host, result)
        for attempt in attempts:
            if attempt.host.name in results or not attempt.overdue():
                continue
            attempt.cut()
            if attempt.overdue(by=GRACE):
                results[attempt.host.name] = attempt.late()
                # Its thread is stuck (name resolution has no limit): another takes its place in the queue.
                threading.Thread(target=_work, args=(waiting, ended), daemon=True, name="ssh-probe").start()
    return results


class _Attempt:
    """One host's turn. `cut` may be called from another thread: closing the socket wakes whatever waits on it."""

    def __init__(self, question: Question, key: paramiko.PKey | None, timeout: timedelta) -> None:
        self.host = host = question.host
        self._key, self._command, self._stdin = key, question.command, question.stdin
        self._limit = timeout.total_seconds()
        self._deadline: float | None = None
        self._socket: socket.socket | None = None
        self._transport: paramiko.Transport | None = None
        self._sent = False
        self._where = f"{host.name} ({host.address} port {host.port})"

    def overdue(self, *, by: timedelta = timedelta()) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline + by.total_seconds()

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def late(self) -> ProbeResult:
        if self._socket is None:
            return self._no(ProbeOutcome.UNREACHABLE, f"no connection within {self._limit:g} s")
        if not self._sent and not (self._transport and self._transport.remote_version):
            return self._no(ProbeOutcome.NO_BANNER, f"connected, but no SSH banner within {self._limit:g} s")
        return self._no(ProbeOutcome.HUNG, f"no answer within {self._limit:g} s")

    def run(self) -> ProbeResult:
        self._deadline = time.monotonic() + self._limit
        try:
            return self._run()
        except OSError as exc:
            return self.late() if self.overdue() else self._no(ProbeOutcome.UNREACHABLE, str(exc) or repr(exc))
        except Exception as exc:  # noqa: BLE001 - a probe always comes back; paramiko raises many kinds
            return self.late() if self.overdue() else self._broken(exc)
        finally:
            self.cut()
            if self._transport is not None:
                self._transport.close()
            if self._socket is not None:
                self._socket.close()

    def _run(self) -> ProbeResult:
        known = _recorded_keys(self.host)
        if not known:
            return self._no(ProbeOutcome.REFUSED, "no host key is on record for this host and port")
        if self._key is None:
            return self._no(ProbeOutcome.REFUSED, f"connection {self.host.connection} has no SSH key")
        self._socket = socket.create_connection((self.host.address, self.host.port), timeout=self._left())
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = self._transport = _transport(self._socket, known, self._left())
        transport.start_client(timeout=self._left())
        if not transport.initial_kex_done:
            return self.late()
        presented = transport.get_remote_server_key()
        if (presented.get_name(), presented.asbytes()) not in {(key.get_name(), key.asbytes()) for key in known}:
            text = f"the host key presented ({presented.get_name()} {presented.fingerprint}) is not the one on record"
            return self._no(ProbeOutcome.REFUSED, text)
        transport.auth_publickey(self.host.user, self._key)
        channel = transport.open_session(timeout=self._left())
        self._sent = True
        sent_at = time.time()
        channel.exec_command(self._command)
        stdout, stderr, first_output_at, within = _read_both(channel, self._stdin, self._left)
        result = self._result(channel, stdout, stderr, within)
        return replace(result, sent_at=sent_at, first_output_at=first_output_at)

    def _result(self, channel: paramiko.Channel, stdout: bytes, stderr: bytes, within: bool) -> ProbeResult:
        if not within or not channel.status_event.wait(self._left()):
            return self._no(ProbeOutcome.HUNG, f"no answer within {self._limit:g} s", stdout, stderr)
        status = channel.exit_status
        if status == -1:
            if self.overdue():
                return self.late()
            return self._no(ProbeOutcome.FAILED, "no exit status", stdout, stderr)
        if status != 0:
            return self._no(ProbeOutcome.FAILED, f"exit {status}", stdout, stderr, status)
        return ProbeResult(self.host.name, ProbeOutcome.OK, 0, stdout, stderr)

    def _broken(self, exc: Exception) -> ProbeResult:
        import paramiko

        if self._transport is not None and not self._transport.remote_version:
            return self._no(ProbeOutcome.NO_BANNER, f"connected, but no SSH banner: {exc}")
        if isinstance(exc, paramiko.AuthenticationException):
            return self._no(ProbeOutcome.REFUSED, f"user {self.host.user} was not let in with the connection's key")
        if isinstance(exc, paramiko.ssh_exception.IncompatiblePeer):
            return self._no(ProbeOutcome.REFUSED, f"nothing in common with the recorded host keys or ciphers: {exc}")
        outcome = ProbeOutcome.FAILED if self._sent else ProbeOutcome.UNREACHABLE
        return self._no(outcome, str(exc) or type(exc).__name__)

    def _left(self) -> float:
        return max(0.01, (self._deadline or 0) - time.monotonic())

    def _no(
        self, outcome: ProbeOutcome, why: str, stdout: bytes = b"", stderr: bytes = b"", status: int | None = None
    ) -> ProbeResult:
        return ProbeResult(self.host.name, outcome, status, stdout, stderr, f"{self._where}: {why}")


class _Left(Protocol):
    def __call__(self) -> float: ...


def _read_both(channel: paramiko.Channel, stdin: bytes, left: _Left) -> tuple[bytes, bytes, float, bool]:
    """Both streams to their ends (reading only one lets the other fill the window); False when time ran out first."""
    out, err, first = bytearray(), bytearray(), 0.0
    if stdin:
        channel.settimeout(left())
        channel.sendall(stdin)
    channel.shutdown_write()
    ready = select.poll()
    ready.register(channel.fileno(), select.POLLIN)
    while not (channel.eof_received or channel.closed) or channel.recv_ready() or channel.recv_stderr_ready():
        if left() <= 0.01:
            return bytes(out), bytes(err), first, False
        ready.poll(left() * 1000)
        first = first or time.time()
        if channel.recv_ready():
            out += channel.recv(1 << 18)
        if channel.recv_stderr_ready():
            err += channel.recv_stderr(1 << 18)
        if len(out) + len(err) > MAX_OUTPUT:
            raise ValueError(f"more than {MAX_OUTPUT >> 20} MiB of output")
    return bytes(out), bytes(err), first, True


def _transport(sock: socket.socket, known: Sequence[paramiko.PKey], left: float) -> paramiko.Transport:
    """A transport that asks for the kinds of host key we have on record and for no other."""
    import paramiko

    logging.getLogger(_LOG_CHANNEL).setLevel(logging.CRITICAL)
    transport = paramiko.Transport(sock)
    transport.set_log_channel(_LOG_CHANNEL)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = left
    options = transport.get_security_options()
    wanted = {kind for key in known for kind in _algorithms(key.get_name())}
    options.key_types = [kind for kind in options.key_types if kind in wanted] or list(options.key_types)
    return transport


def _algorithms(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa") if kind == "ssh-rsa" else (kind,)


def _recorded_keys(host: Reachable) -> tuple[paramiko.PKey, ...]:
    """Keys recorded for exactly this address and port, plain or hashed; a port other than 22 needs `[address]:port`."""
    import paramiko

    name = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
    keys: list[paramiko.PKey] = []
    for line in (part.strip() for text in host.host_keys for part in text.splitlines()):
        if not line or line.startswith(("#", "@")):
            continue
        with contextlib.suppress(paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
            entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
            if entry is not None and any(_names(name, recorded) for recorded in entry.hostnames or ()):
                keys.append(entry.key)
    return tuple(keys)


def _names(name: str, recorded: str) -> bool:
    import paramiko

    return recorded == name or (recorded.startswith("|1|") and paramiko.HostKeys.hash_host(name, recorded) == recorded)


def _private_key(connection: str, text: str) -> paramiko.PKey:
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(StringIO(text))
    raise TransportError(
        "the SSH key is not a private key that can be used without a passphrase",
        where=f"connection {connection}",
        then="put an unencrypted ed25519, ECDSA or RSA key into the connection's extra.private_key",
    )
