"""The game day on hosts with a systemd of their own: Debian packages, real power cuts, links, disks and keys."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from changeover import wiring
from changeover.domain.gameday import Cell, Phase, Runs, Sight
from changeover.errors import LabError
from changeover.gameday.cell import Tell, Upgrading, played
from changeover.gameday.faults import Fault
from changeover.gameday.ground import ENVIRONMENT, marker_phase, secrets_of
from changeover.gameday.without_airflow import LaneDriver, PlanText, SiteFiles, at_its_lane
from changeover.lab import machines
from changeover.lab.machines import ledgerd, machine
from changeover.lab.machines.machine import Machine
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.domain.plan import Plan

HOSTS, VICTIM = ("m-prod1", "m-prod2"), "m-prod2"
APPROVER, SETTLED_BY = "karin.hansson", "petra.lang"
DISK = 200
"""Megabytes that the victim may write, where its disk is to be filled."""
_KEY = "etc/ssh/ssh_host_ed25519_key"
Files = frozenset[tuple[str, bytes]]


@dataclass
class PackagesGround:
    """A `Scene`: two hosts in production with the old package at work, each with a network of its own."""

    settings: Settings
    plan: PlanText
    place: Path
    hosts: tuple[Machine, ...]
    before: dict[str, Files]

    @property
    def victim(self) -> Machine:
        return next(host for host in self.hosts if host.name == VICTIM)

    @property
    def site(self) -> SiteFiles:
        return SiteFiles(self.settings.home / "estate.json", self.place / "secrets.json")

    def changing(self) -> bool:
        return _migrations(self.victim) > 0

    def marker(self) -> str:
        return marker_phase(self.victim.files / "var/lib/changeover/marker.json")

    def sights(self, plan: Plan, run: str, tries: int) -> list[Sight]:
        return [_sight(host, self.before[host.name], plan, run, tries) for host in self.hosts]

    def exposed(self) -> tuple[list[Path], list[Path]]:
        own = ("srv", "tmp", "var/log", "var/tmp", "var/lib/changeover", f"home/{machines.USER}", "root", "run")
        return [host.files / name for host in self.hosts for name in own], []

    def secrets(self) -> dict[str, str]:
        return secrets_of(self.place / "secrets.json")


def _sight(host: Machine, was: Files, plan: Plan, run: str, tries: int) -> Sight:
    """From the host's disk, by dpkg's own books and the program that lies there; and whether systemd runs it."""
    status = (host.files / "var/lib/dpkg/status").read_text(encoding="utf-8")
    found = re.search(rf"^Package: {ledgerd.NAME}\nStatus: (.+)\n(?:.+\n)*?Version: (.+)$", status, re.MULTILINE)
    state, version = found.groups() if found else ("", "")
    program = (host.files / "usr/bin" / ledgerd.NAME).read_text(encoding="utf-8") if found else ""
    runs = Runs.BETWEEN
    if state == "install ok installed" and f"echo {version}\n" in program:
        runs = {plan.from_version: Runs.OLD, plan.to_version: Runs.NEW}.get(version, Runs.BETWEEN)
    missing = was - _files(host)
    lost = missing - _kept(host, run)
    return Sight(host.name, runs, _serves(host), len(lost), len(missing), _migrations(host), tries)


def _files(host: Machine) -> Files:
    top = host.files / ledgerd.DATA[1:]
    return frozenset((str(path.relative_to(top)), path.read_bytes()) for path in top.rglob("*") if path.is_file())


def _kept(host: Machine, run: str) -> Files:
    """What lies in the run's restore points."""
    found: set[tuple[str, bytes]] = set()
    for archive in (host.files / "srv/app/restore_points").glob(f"{run}*/data.tar.gz"):
        with contextlib.suppress(OSError, tarfile.TarError, EOFError), tarfile.open(archive) as stream:
            for member in stream:
                if member.isfile() and (content := stream.extractfile(member)):
                    found.add((str(Path("/", member.name).relative_to(ledgerd.DATA)), content.read()))
    return frozenset(found)


def _serves(host: Machine) -> bool:
    """Its systemd says so, and its SSH server greets; a host that is down serves nobody."""
    with contextlib.suppress(LabError):
        return machine.answers(host) and ledgerd.inside(host, f"systemctl is-active {ledgerd.NAME}") == "active"
    return False


def _migrations(host: Machine) -> int:
    with contextlib.suppress(OSError):
        return len((host.files / ledgerd.MIGRATIONS[1:]).read_text(encoding="utf-8").splitlines())
    return 0


@contextlib.contextmanager
def prepared(place: Path, home: Path, *, breaks: bool, disk: bool) -> Iterator[PackagesGround]:
    """The hosts at the old release; `breaks`: the new one does not stay up, so that it is backed out."""
    from changeover.adapters.plan_files import parse_plan, plan_digest

    home.mkdir(parents=True, exist_ok=True)
    hosts = tuple(one for one in machines.machines(place) if one.name in HOSTS)
    if disk:
        victim = next(one for one in hosts if one.name == VICTIM)
        machine.stop(victim)
        machine.empty(victim)
        machine.small_disk(victim, DISK)
        machines.reset(place, only=[one.name for one in machines.machines(place) if one.name != VICTIM])
        machines.up(place)
    else:
        machines.reset(place)
    try:
        artefacts = home / "artefacts/debian_packages"
        ledgerd.install_old(hosts, ledgerd.build(artefacts, ledgerd.OLD).read_bytes())
        ledgerd.build(artefacts, ledgerd.NEW, script=ledgerd.MIGRATES, runs=not breaks)
        text = ledgerd.plan(reboot="never")
        settings = dataclasses.replace(
            wiring.load_settings(),
            home=home,
            ledger_url=f"sqlite:///{home / 'ledger.db'}",
            cmdb_url=f"sqlite:///{home / 'cmdb.db'}",
            releases=ledgerd.write_releases(home),
            artefacts=home / "artefacts",
        )
        ledgerd.write_estate(place, home)
        plan = PlanText(
            parse_plan(text.encode(), name="the plan"), plan_digest(text.encode()), text, home / "plan.yaml"
        )
        yield PackagesGround(settings, plan, place, hosts, {host.name: _files(host) for host in hosts})
    finally:
        for host in hosts:
            machine.mend_link(host)


def play(fault: Fault, phase: Phase, *, root: Path, home: Path, tell: Tell) -> Cell:
    """A cell without Airflow, its lane driven as the DAG drives it."""
    begun = time.monotonic()
    with prepared(root, home, breaks=phase is Phase.BACK_OUT, disk=fault.disk) as ground:
        wiring.make_own_databases(ground.settings)
        upgrade, make = at_its_lane(ground.settings, ground.plan, ground.site, ENVIRONMENT, APPROVER)
        driver = LaneDriver(upgrade, ground.plan.plan.environment(ENVIRONMENT), make, tell)
        cell = played(Upgrading(ground, upgrade, make, driver, driver.go, tell, SETTLED_BY), fault, phase)
    return replace(cell, seconds=time.monotonic() - begun)


def missing() -> str:
    """Why such hosts cannot be had on this machine."""
    return "" if os.geteuid() == 0 and not machines.missing() else machines.missing() or "hosts with systemd need root"


def _fill(ground: PackagesGround) -> None:
    machine.run_inside(ground.victim, "dd", "if=/dev/zero", "of=/var/filler", "bs=1M")


def _free(ground: PackagesGround) -> None:
    machine.run_inside(ground.victim, "rm", "-f", "/var/filler")


def _change_key(ground: PackagesGround) -> None:
    """Another key under the same address, and no connection that was made with the one before."""
    files = ground.victim.files
    for name in (_KEY, f"{_KEY}.pub"):
        (files / f"{name}.kept").write_bytes((files / name).read_bytes())
        (files / name).unlink()
    keygen = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", VICTIM, "-f", str(files / _KEY)]
    subprocess.run(keygen, check=True, stdin=subprocess.DEVNULL)
    _restart_ssh(ground.victim)


def _key_back(ground: PackagesGround) -> None:
    files = ground.victim.files
    for name in (_KEY, f"{_KEY}.pub"):
        (files / f"{name}.kept").replace(files / name)
    (files / _KEY).chmod(0o600)
    _restart_ssh(ground.victim)


def _restart_ssh(host: Machine) -> None:
    ledgerd.inside(host, f"systemctl restart ssh; pkill -KILL -f '^sshd: {machines.USER}' || :")
    machine.wait_until_booted(host)


def _bring_back(ground: PackagesGround) -> None:
    machines.up(ground.place)


FAULTS = (
    Fault(
        "cut-link",
        "link cut",
        lambda ground: machine.cut_link(ground.victim),
        lambda ground: machine.mend_link(ground.victim),
        absent=missing,
    ),
    Fault("kill-host", "power cut", lambda ground: machine.kill(ground.victim), _bring_back, absent=missing),
    Fault("fill-disk", "disk full", _fill, _free, absent=missing, disk=True),
    Fault("changed-key", "host key changed", _change_key, _key_back, absent=missing),
)
