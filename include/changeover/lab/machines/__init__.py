"""The integration lab: hosts with a systemd of their own, in network namespaces of their own. Needs root.

Each is a systemd-nspawn container on an overlay over one cached base: booted in a second, put back by emptying it.
Nothing of it shows in the machine's own network but one link per host, in a range that is reserved for tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from changeover.errors import LabError
from changeover.lab.machines import machine
from changeover.lab.machines.base import USER, base, missing
from changeover.lab.machines.machine import Machine
from changeover.settings import PROJECT

__all__ = ["USER", "Machine", "default_root", "down", "missing", "reset", "status", "up"]

CONNECTION = "ssh_machines"
ENVIRONMENTS = {"baseline": ("m-baseline",), "training": ("m-training",), "production": ("m-prod1", "m-prod2")}
CLIENT = {"slug": "hansson", "name": "Hansson Logistik AB"}


def default_root() -> Path:
    """`$CHANGEOVER_MACHINES`, else a path of its own for each project directory."""
    if named := os.environ.get("CHANGEOVER_MACHINES"):
        return Path(named)
    return Path(f"/var/lib/changeover-machines/{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]}")


def names() -> tuple[str, ...]:
    return tuple(name for group in ENVIRONMENTS.values() for name in group)


def machines(root: Path | None = None, *, only: Sequence[str] = ()) -> tuple[Machine, ...]:
    """The hosts as they are or would be; nothing is started."""
    place = (root or default_root()).absolute()
    # Two labs beside each other must not share addresses: the root's path chooses the block.
    block = int(hashlib.sha256(str(place).encode()).hexdigest()[:4], 16) % 500
    found = tuple(Machine(name, place / name, block, number) for number, name in enumerate(names()))
    return tuple(one for one in found if not only or one.name in only)


def up(root: Path | None = None, *, only: Sequence[str] = ()) -> tuple[Machine, ...]:
    """Boot the hosts that do not run, and write estate, keys and known hosts."""
    return _bring_up(root, only, anew=False)


def reset(root: Path | None = None, *, only: Sequence[str] = ()) -> tuple[Machine, ...]:
    """Put hosts back to the base: stop, empty the overlay, boot."""
    return _bring_up(root, only, anew=True)


def down(root: Path | None = None, *, remove: bool = False) -> None:
    """Stop every host, take its link and its namespace away; with `remove` its files too. The base stays."""
    place = root or default_root()
    if not place.exists():
        return
    with _opened(place):
        for one in machines(place):
            machine.stop(one)
            machine.disconnect(one)
        if remove:
            shutil.rmtree(place)


def status(root: Path | None = None) -> dict[str, bool]:
    """Host → whether its SSH server greets."""
    return {one.name: machine.answers(one) for one in machines(root)}


def _bring_up(root: Path | None, only: Sequence[str], *, anew: bool) -> tuple[Machine, ...]:
    if why := missing():
        raise LabError(why, then="run it as root on Debian with systemd-container and debootstrap installed")
    place = (root or default_root()).absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _opened(place):
        key = machine.operator_key(place)
        wanted, system = machines(place, only=only), base()
        for one in wanted:
            if anew:
                machine.stop(one)
                machine.empty(one)
            if not machine.runs(one):
                machine.connect(one)
                machine.boot(one, system, key)
        for one in wanted:
            machine.wait_until_booted(one)
        _write_estate(place, machines(place))
    return wanted


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[None]:
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_estate(place: Path, found: Sequence[Machine]) -> None:
    by = {one.name: one for one in found}
    hosts = {name: [_record(by[member]) for member in group if by[member].made] for name, group in ENVIRONMENTS.items()}
    estate = {
        "schema_version": 1,
        "client": CLIENT,
        "people": [],
        "applications": [{"slug": "debian_packages", "vendor": "Debian"}],
        "environments": [
            {"name": name, "kind": name, "application": "debian_packages", "version": "", "hosts": group}
            for name, group in hosts.items()
            if group
        ],
    }
    (place / "estate.yaml").write_text(yaml.safe_dump(estate, sort_keys=False), encoding="utf-8")
    (place / "known_hosts").write_text(
        "".join(f"{line}\n" for group in hosts.values() for host in group for line in host["host_keys"]),
        encoding="utf-8",
    )
    secrets = {
        CONNECTION: {"conn_type": "ssh", "login": USER, "extra": {"private_key": (place / "operator").read_text()}}
    }
    handle = os.open(place / "secrets.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(secrets, stream)


def _record(one: Machine) -> dict[str, Any]:
    return {
        "name": one.name,
        "address": one.address,
        "port": 22,
        "user": USER,
        "connection": CONNECTION,
        "host_keys": [one.known_host()],
        "variables": {
            "app_root": "/srv/app",
            "host_state_dir": "/var/lib/changeover",
            "host_become": True,
            "host_environment": {},
            "ansible_python_interpreter": "/usr/bin/python3",
            "service_manager": "systemd",
        },
    }
