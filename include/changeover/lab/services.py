"""The service manager of a lab host: one supervisord per host, with one file per service."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from changeover.errors import LabError
from changeover.lab.account import Account, Entry

if TYPE_CHECKING:
    from changeover.lab.environment import LabHost

START_LIMIT = 15.0


@dataclass(frozen=True)
class Service:
    """A program the service manager keeps running."""

    name: str
    command: str
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = True


def variables(tools: Path, host: LabHost) -> dict[str, str]:
    """The host variables by which the role app_service finds this host's supervisor."""
    return {
        "service_manager": "supervisor",
        "supervisor_bin": str(tools / "bin"),
        "supervisor_conf": str(host.etc / "supervisord.conf"),
        "supervisor_programs": str(host.etc / "supervisor.d"),
        "supervisor_log_dir": str(host.log),
    }


def start(account: Account, tools: Path, host: LabHost) -> None:
    """Start the host's supervisord and, with it, the services that start by themselves."""
    account.write(host.etc, {"supervisord.conf": Entry(_configuration(host), 0o600)})
    account.directories(host.etc / "supervisor.d")
    if _pid(account, tools, host):
        return
    account.remove(host.run / "supervisord.pid", host.run / "supervisor.sock")
    account.run([tools / "bin/supervisord", "-c", host.etc / "supervisord.conf"], env=host.environment())
    deadline = time.monotonic() + START_LIMIT
    while not _pid(account, tools, host):
        if time.monotonic() > deadline:
            raise LabError("supervisord did not start", where=host.name, then=f"read {host.log / 'supervisord.log'}")
        time.sleep(0.05)


def install(account: Account, tools: Path, host: LabHost, wanted: Sequence[Service]) -> None:
    """Write the services' definitions and have supervisord take them up (and start those that start by themselves)."""
    account.write(
        host.etc / "supervisor.d", {f"{service.name}.ini": Entry(_program(host, service)) for service in wanted}
    )
    _control(account, tools, host, "update")


def states(account: Account, tools: Path, host: LabHost) -> dict[str, str]:
    """Service name -> running | stopped (everything that is not running)."""
    lines = _control(account, tools, host, "status").splitlines()
    rows = (line.split() for line in lines if len(line.split()) >= 2)
    return {row[0]: "running" if row[1] == "RUNNING" else "stopped" for row in rows}


def wait(account: Account, tools: Path, host: LabHost) -> None:
    """Wait until every service that starts by itself runs; raise LabError for one that does not come up."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        text = _control(account, tools, host, "status")
        failed = re.findall(r"^(\S+)\s+(?:FATAL|BACKOFF|EXITED)", text, re.MULTILINE)
        if not failed and "STARTING" not in text:
            return
        if failed or time.monotonic() > deadline:
            names = ", ".join(failed) or "a service"
            raise LabError(f"{names} did not start", where=host.name, then=f"read the log of the service in {host.log}")
        time.sleep(0.3)


def remove_all(account: Account, tools: Path, host: LabHost) -> None:
    """Stop and forget every service."""
    account.run(["/bin/sh", "-c", 'rm -f -- "$0"/*.ini', host.etc / "supervisor.d"])
    _control(account, tools, host, "update")


def _control(account: Account, tools: Path, host: LabHost, verb: str) -> str:
    """supervisorctl; its code 3 only says that a program is not running."""
    command: list[str | Path] = [tools / "bin/supervisorctl", "-c", host.etc / "supervisord.conf", verb]
    done = account.run(command, env=host.environment(), check=False)
    text = done.stdout.decode(errors="replace")
    if done.returncode not in (0, 3) or "refused" in text or "no such file" in text:
        raise LabError(f"supervisorctl {verb} ended with code {done.returncode}: {text.strip()}", where=host.name)
    return text


def _pid(account: Account, tools: Path, host: LabHost) -> int:
    """The answering supervisord's process id, 0 for none: a pid file may be left over from a kill."""
    command: list[str | Path] = [tools / "bin/supervisorctl", "-c", host.etc / "supervisord.conf", "pid"]
    with contextlib.suppress(ValueError):
        return int(account.run(command, env=host.environment(), check=False).stdout)
    return 0


def _configuration(host: LabHost) -> str:
    return f"""[unix_http_server]
file={host.run}/supervisor.sock
chmod=0600
[supervisord]
logfile={host.log}/supervisord.log
pidfile={host.run}/supervisord.pid
childlogdir={host.log}
directory={host.root}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{host.run}/supervisor.sock
[include]
files={host.etc}/supervisor.d/*.ini
"""


def _program(host: LabHost, service: Service) -> str:
    environment = ",".join(f'{key}="{value}"' for key, value in sorted(service.environment.items()))
    return f"""[program:{service.name}]
command={service.command}
directory={service.directory}
environment={environment}
autostart={str(service.autostart).lower()}
autorestart=unexpected
startsecs=1
stopasgroup=true
killasgroup=true
stopwaitsecs=15
redirect_stderr=true
stdout_logfile={host.log}/{service.name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""
