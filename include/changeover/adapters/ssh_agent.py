"""An ssh-agent for one execution: keys go in through a pipe, and it ends with the process that made it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from changeover.errors import ExecutionError

_QUIET = {"PATH": os.defpath, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}


@dataclass(frozen=True)
class Agent:
    """`identities` maps a connection to a file with its public key, by which ssh picks the key out of the agent."""

    socket: Path
    identities: Mapping[str, Path]


@contextlib.contextmanager
def ssh_agent(directory: Path, keys: Mapping[str, str], *, lifetime: timedelta) -> Iterator[Agent]:
    """`directory` is private and short (a socket's path is limited to 108 characters)."""
    sock = directory / "agent"
    # The agent ends by itself when the command it was given does, and `cat` ends when our end of its pipe closes,
    # whatever kills us. (A parent-death signal does not do: ssh-agent is set-group-ID, which clears it.)
    try:
        process = subprocess.Popen(
            ["ssh-agent", "-a", str(sock), "/bin/sh", "-c", "echo $SSH_AGENT_PID; exec cat >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            cwd="/",
        )
    except FileNotFoundError as exc:
        raise ExecutionError(
            "ssh-agent is not installed", where="controller", then="install the OpenSSH client"
        ) from exc
    assert process.stdin is not None and process.stdout is not None
    pid = process.stdout.readline().strip()
    try:
        if not pid:
            raise ExecutionError("ssh-agent did not start", where=str(sock), then="see the controller's log")
        yield Agent(sock, {name: _add(sock, directory, name, key, lifetime) for name, key in keys.items()})
    finally:
        process.stdin.close()
        process.stdout.close()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        process.wait(10)


def _add(sock: Path, directory: Path, connection: str, key: str, lifetime: timedelta) -> Path:
    before = _public_keys(sock)
    seconds = str(max(1, int(lifetime.total_seconds())))
    added = _ask(sock, "ssh-add", "-q", "-t", seconds, "-", stdin=key if key.endswith("\n") else f"{key}\n")
    if added.returncode:
        raise ExecutionError(
            "the SSH key cannot be used: it is damaged, or it needs a passphrase",
            where=f"connection {connection}",
            then="put an unencrypted private key into the connection's extra.private_key",
        )
    # A key that two connections share is in the agent already: then the public half is asked of ssh-keygen.
    public = next((line for line in _public_keys(sock) if line not in before), None) or _public_half(key, connection)
    path = directory / f"{len(list(directory.glob('*.pub')))}.pub"
    path.write_text(public + "\n")
    return path


def _public_keys(sock: Path) -> tuple[str, ...]:
    return tuple(_ask(sock, "ssh-add", "-L").stdout.splitlines())


def _public_half(key: str, connection: str) -> str:
    """`ssh-keygen -y` reads only files; a pipe by number is one, so that the key never touches a disk."""
    reading, writing = os.pipe()
    try:
        os.write(writing, key.encode() if key.endswith("\n") else f"{key}\n".encode())
        os.close(writing)
        done = subprocess.run(
            ["ssh-keygen", "-y", "-f", f"/dev/fd/{reading}"],
            pass_fds=(reading,), capture_output=True, text=True, env=_environment(), stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    finally:
        os.close(reading)
    if done.returncode:
        raise ExecutionError("the public half of the SSH key cannot be read", where=f"connection {connection}")
    return done.stdout.strip()


def _ask(sock: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**_environment(), "SSH_AUTH_SOCK": str(sock)}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=30, check=False)


def _environment() -> dict[str, str]:
    return {**_QUIET, "PATH": os.environ.get("PATH", os.defpath)}


