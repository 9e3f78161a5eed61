"""An ssh-agent for one execution: keys go in through a pipe, and it ends with the process that made it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from changeover.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path


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
    process = subprocess.Popen(
        [_program("ssh-agent"), "-a", str(sock), "/bin/sh", "-c", "echo $SSH_AGENT_PID; exec cat >/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
        cwd="/",
    )
    lives, says = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    pid = says.readline().strip()
    try:
        if not pid:
            raise ExecutionError("ssh-agent did not start", where=str(sock), then="see the controller's log")
        yield Agent(sock, _add_all(sock, directory, keys, lifetime))
    finally:
        lives.close()
        says.close()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        process.wait(10)


def _add_all(sock: Path, directory: Path, keys: Mapping[str, str], lifetime: timedelta) -> dict[str, Path]:
    """Connections may share a key: each different key is added once."""
    files: dict[str, Path] = {}
    for connection, key in keys.items():
        text = key.strip() + "\n"
        if text not in files:
            path = directory / f"{len(files)}.pub"
            path.write_text(_add(sock, connection, text, lifetime) + "\n")
            files[text] = path
    return {connection: files[key.strip() + "\n"] for connection, key in keys.items()}


def _add(sock: Path, connection: str, key: str, lifetime: timedelta) -> str:
    """The public half of the key, as the agent tells it."""
    before = _public_keys(sock)
    seconds = str(max(1, int(lifetime.total_seconds())))
    if _ask(sock, "ssh-add", "-q", "-t", seconds, "-", stdin=key).returncode:
        raise ExecutionError(
            "the SSH key cannot be used: it is damaged, or it needs a passphrase",
            where=f"connection {connection}",
            then="put an unencrypted private key into the connection's extra.private_key",
        )
    added = [line for line in _public_keys(sock) if line not in before]
    if len(added) != 1:
        raise ExecutionError(
            "the SSH key is another connection's key, written differently",
            where=f"connection {connection}",
            then="give both connections the same text",
        )
    return added[0]


def _public_keys(sock: Path) -> tuple[str, ...]:
    return tuple(_ask(sock, "ssh-add", "-L").stdout.splitlines())


def _ask(sock: Path, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_program(program), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**_environment(), "SSH_AUTH_SOCK": str(sock)},
        timeout=30,
        check=False,
    )


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ExecutionError(f"{name} is not installed", where="controller", then="install the OpenSSH client")
    return found


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
