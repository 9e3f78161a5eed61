"""How the acceptance suite speaks with its hosts: one SSH connection a host, under recorded host keys only."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from changeover.adapters.ssh_agent import ssh_agent
from changeover.domain.estate import Host
from changeover.errors import GateError
from changeover.ports import Credentials

CONNECT_WITHIN = timedelta(seconds=10)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@\\-]*")
"""What may stand in ssh's configuration as it is: no space, no line end, no token of its own."""


@contextlib.contextmanager
def connections(
    directory: Path, hosts: Sequence[Host], credentials: Credentials, *, lifetime: timedelta
) -> Iterator[Mapping[str, str]]:
    """Connect to all hosts at once; yields host → why it cannot be reached. `directory/ssh_config` uses what is open.

    The connections end with this process, whatever kills it: each holds a pipe of ours open.
    """
    needed = {host.connection for host in hosts}
    if missing := sorted(needed - set(credentials.ssh_keys)):
        raise GateError(f"no SSH key was given for connection {', '.join(missing)}", then="complete the connection")
    keys = {name: credentials.ssh_keys[name] for name in sorted(needed)}
    with ssh_agent(directory, keys, lifetime=lifetime) as agent:
        config = directory / "ssh_config"
        _write(directory / "known_hosts", "".join(f"{line}\n" for host in hosts for line in host.host_keys))
        _write(config, "\n".join(_entry(directory, host, agent.socket, agent.identities) for host in hosts))
        masters = {host.name: _connect(config, directory, host.name) for host in hosts}
        try:
            yield _unreachable(directory, masters)
        finally:
            for master in masters.values():
                _end(master)


def control_path(directory: Path, host: str) -> Path:
    return directory / f"{host}.ssh"


def _entry(directory: Path, host: Host, agent: Path, identities: Mapping[str, Path]) -> str:
    for what in (host.address, host.user):
        if not _SAFE.fullmatch(what):
            raise GateError(f"{what!r} is not an address or a login", where=host.name, then="correct it in the CMDB")
    return f"""Host {host.name}
  HostName {host.address}
  Port {host.port}
  User {host.user}
  IdentityAgent {agent}
  IdentityFile {identities[host.connection]}
  IdentitiesOnly yes
  UserKnownHostsFile {directory}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  CheckHostIP no
  UpdateHostKeys no
  BatchMode yes
  PreferredAuthentications publickey
  ConnectTimeout {int(CONNECT_WITHIN.total_seconds())}
  ServerAliveInterval 5
  ServerAliveCountMax 3
  ControlPath {control_path(directory, host.name)}
  ControlMaster no
  LogLevel ERROR
"""


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _program() -> str:
    found = shutil.which("ssh")
    if found is None:
        raise GateError("ssh is not installed", where="controller", then="install the OpenSSH client")
    return found


def _connect(config: Path, directory: Path, host: str) -> subprocess.Popen[bytes]:
    """A connection that others go through; `cat` over there ends when our end of the pipe closes, and it with it."""
    with (directory / f"{host}.log").open("wb") as log:
        return subprocess.Popen(
            [
                _program(),
                "-F",
                str(config),
                "-o",
                "ControlMaster=yes",
                "-o",
                "ControlPersist=no",
                host,
                "cat >/dev/null",
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd="/",
        )


def _unreachable(directory: Path, masters: Mapping[str, subprocess.Popen[bytes]]) -> dict[str, str]:
    until = time.monotonic() + CONNECT_WITHIN.total_seconds() + 2
    waiting, lost = set(masters), {}
    while waiting:
        for host in sorted(waiting):
            if masters[host].poll() is not None:
                lost[host] = _last_line(directory / f"{host}.log") or f"ssh ended with {masters[host].returncode}"
            elif control_path(directory, host).exists():
                waiting.discard(host)
            elif time.monotonic() > until:
                lost[host] = f"no SSH session within {CONNECT_WITHIN.total_seconds():g} s"
        waiting -= set(lost)
        time.sleep(0.01)
    return lost


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _end(master: subprocess.Popen[bytes]) -> None:
    if master.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            master.stdin.close()
    try:
        master.wait(1)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
