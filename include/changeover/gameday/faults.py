"""The faults of a game day: what each needs, how it is made in the middle of an upgrade, and how it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from changeover import lab
from changeover.errors import LabError
from changeover.gameday.ground import SITE, Ground
from changeover.lab import faults as made
from changeover.lab.account import Account
from changeover.lab.postgres import find_binaries
from changeover.orchestration.breaking import kill, task_processes

SLOW = 0.15
AHEAD = 7200


@dataclass(frozen=True)
class Fault:
    """`absent`: why it cannot be made on this machine, "" when it can. `airflow`: it is a fault of Airflow itself.

    `make` and `mend` are given the ground that the cell is played on.
    """

    key: str
    title: str
    make: Callable[[Any], None]
    mend: Callable[[Any], None]
    absent: Callable[[], str] = lambda: ""
    airflow: bool = False
    disk: bool = False
    clock: bool = False
    postgres: bool = False


def _nothing(ground: Ground) -> None:
    """It mends itself, or cannot be mended."""


def _bring_back(ground: Ground) -> None:
    lab.up(SITE, root=ground.state.root)


def _change_key(ground: Ground) -> None:
    made.change_host_key(ground.account, ground.victim, ground.state.root)


def _key_back(ground: Ground) -> None:
    made.put_host_key_back(ground.account, ground.victim, ground.state.root)


def _restart_database(ground: Ground) -> None:
    """At once, as after a crash: every open connection is lost, in the middle of a transaction too."""
    if ground.postgres:
        ground.postgres.crash()
        ground.postgres.start()


def _kill_task(ground: Ground) -> None:
    """The task's process and the one that supervises it: a worker that is gone."""
    server, run = ground.running_airflow(), ground.airflow_run
    for process in task_processes(server, run) if run else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_component(*names: str) -> Callable[[Ground], None]:
    def kill_them(ground: Ground) -> None:
        for name in names:
            kill(ground.running_airflow(), name)

    return kill_them


def _needs_root() -> str:
    return "" if os.geteuid() == 0 else "a small disk for a host needs root"


def _needs_faketime() -> str:
    return "" if made.faketime_library() else "libfaketime is not installed (apt-get install faketime)"


def _needs_postgres() -> str:
    try:
        find_binaries(Account.current(Path("/")), lab.default_root())
    except LabError as exc:
        return exc.what
    return "" if find_spec("psycopg") else "psycopg is not installed (`./changeover gameday` does it)"


FAULTS = (
    Fault("cut-link", "link cut", lambda ground: ground.link.cut(), lambda ground: ground.link.mend()),
    Fault("kill-host", "host killed", lambda ground: made.kill_host(ground.victim), _bring_back),
    Fault(
        "fill-disk",
        "disk full",
        lambda ground: made.fill_disk(ground.victim),
        lambda ground: made.free_disk(ground.victim),
        absent=_needs_root,
        disk=True,
    ),
    Fault("slow-host", "host slow", lambda ground: ground.link.slow(SLOW), lambda ground: ground.link.mend()),
    Fault("changed-key", "host key changed", _change_key, _key_back),
    Fault(
        "clock-skew",
        "host's clock 2 h ahead",
        lambda ground: made.set_clock(ground.account, ground.victim, AHEAD),
        lambda ground: made.set_clock(ground.account, ground.victim, 0),
        absent=_needs_faketime,
        clock=True,
    ),
    Fault(
        "database-restart",
        "ledger's database restarted",
        _restart_database,
        _nothing,
        absent=_needs_postgres,
        postgres=True,
    ),
    Fault("kill-worker", "worker killed", _kill_task, _nothing, airflow=True),
    Fault("kill-scheduler", "scheduler killed", _kill_component("scheduler"), _nothing, airflow=True),
    Fault("kill-api", "API servers killed", _kill_component("api-server", "execution-api"), _nothing, airflow=True),
)


def fault(key: str) -> Fault | None:
    return next((one for one in FAULTS if one.key == key), None)
