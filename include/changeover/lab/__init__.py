"""The rootless lab: real SSH hosts on loopback with a client's estate on them, for the demo and the tests.

`up`, `down`, `reset` and `status` are the whole interface. Everything lies below one lab root and belongs to one
ordinary account; called by root, the lab runs as the system account `changeover-lab`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from changeover.errors import LabError
from changeover.lab import estate, hosts, services
from changeover.lab.account import Account
from changeover.lab.environment import Lab, LabHost, find_python
from changeover.lab.postgres import Postgres, find_binaries
from changeover.lab.site import KeepsData, Site
from changeover.settings import PROJECT

SITES = ("roundup", "tryton")
LONGEST_ROOT = 52  # a socket's path may have 107 characters, and a site's hosts add up to 50

__all__ = [
    "SITES",
    "HostStatus",
    "LabHost",
    "LabState",
    "LabStatus",
    "default_root",
    "down",
    "keep_data",
    "reset",
    "status",
    "up",
]


@dataclass(frozen=True)
class LabState:
    """Where a site's lab is; also kept as <root>/<site>.json."""

    site: str
    root: Path
    hosts: tuple[LabHost, ...]
    user: str
    key_path: Path
    known_hosts_path: Path
    estate_path: Path
    secrets_path: Path
    artefacts_path: Path
    """artefacts/<application>/<version>/{*.whl,requirements.txt,SHA256SUMS}"""
    seeded: bool = False

    def host(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)


@dataclass(frozen=True)
class HostStatus:
    host: LabHost
    answers: bool
    services: Mapping[str, str]


@dataclass(frozen=True)
class LabStatus:
    """What of a site's lab is running now."""

    state: LabState
    hosts: tuple[HostStatus, ...]
    postgres: bool | None
    """None when the site needs no PostgreSQL."""

    @property
    def running(self) -> bool:
        return all(host.answers for host in self.hosts) and self.postgres is not False


def default_root() -> Path:
    """`$CHANGEOVER_LAB`, else a short path under /var/tmp of its own for each account and project directory."""
    if named := os.environ.get("CHANGEOVER_LAB"):
        return Path(named)
    account = Account.current(Path("/"))
    digest = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]
    return Path(f"/var/tmp/changeover-{account.uid}-{digest}")  # noqa: S108 - its owner is checked before it is used


def up(
    site: str,
    *,
    root: Path | None = None,
    port: int | None = None,
    artefacts: Path | None = None,
    fault: str | None = None,
) -> LabState:
    """Make what is missing and start the site's hosts, seeding the old release at first; what runs stays as it is.

    `port` is the first of ten ports on each address (0: a random free block). `artefacts` (or
    $CHANGEOVER_LAB_ARTEFACTS) is where fetched releases are kept, by default below the root. `fault` implies a reset
    and then makes that fault.
    """
    return _bring_up(site, root, port=port, artefacts=artefacts, anew=fault is not None, fault=fault)


def reset(site: str, *, root: Path | None = None, fault: str | None = None) -> LabState:
    """Put every host of the site back to the seeded old release, starting the lab when it is down."""
    return _bring_up(site, root, port=None, artefacts=None, anew=True, fault=fault)


def down(site: str, *, root: Path | None = None, remove: bool = False) -> None:
    """Stop every process of the site; with `remove` its hosts' files go too (fetched releases and keys stay)."""
    with _opened(root) as (account, place):
        state = _read(place, site)
        if state is None:
            return
        definition = _site(site)
        hosts.stop(state.hosts)
        others = [
            _read(place, name) for name in SITES if name != site and _site_known(name) and _site(name).needs_postgres
        ]
        shared = any(other and any(map(hosts.answers, other.hosts)) for other in others)
        if definition.needs_postgres and not shared:
            _postgres(account, place).stop()
        if remove:
            names = [f"{site}.{ending}" for ending in ("json", "known_hosts", "estate.yaml", "secrets.json")]
            account.remove(place / site, *(place / name for name in names))


def keep_data(site: str, *, root: Path | None = None) -> Path:
    """Make a site's data anew with its application's own tools and keep it in the project; the file."""
    definition = _site(site)
    if not isinstance(definition, KeepsData):
        raise LabError(
            f"the site {site} keeps no data in the project: it is made quickly", then="nothing has to be done"
        )
    up(site, root=root)
    with _opened(root) as (account, place):
        before = _read(place, site)
        lab = _make(definition, account, place, _port(definition, before, None), _artefacts(place, before, None))
        return definition.keep_data(lab)


def status(site: str, *, root: Path | None = None) -> LabStatus | None:
    """What runs of the site, None when it was never made here. Changes nothing."""
    place = root or default_root()
    state = _read(place, site)
    if state is None:
        return None
    account = Account.current(place / "home")
    found = []
    for host in state.hosts:
        running: Mapping[str, str] = {}
        with contextlib.suppress(LabError):
            running = services.states(account, place / "venv", host)
        found.append(HostStatus(host, hosts.answers(host), running))
    postgres = _postgres(account, place).running() if _site(site).needs_postgres else None
    return LabStatus(state, tuple(found), postgres)


def _bring_up(
    site: str, root: Path | None, *, port: int | None, artefacts: Path | None, anew: bool, fault: str | None
) -> LabState:
    """One way for all: a reset that was cut short leaves a state that is not seeded, and the next call begins again."""
    definition = _site(site)
    with _opened(root) as (account, place):
        before = _read(place, site)
        lab = _make(definition, account, place, _port(definition, before, port), _artefacts(place, before, artefacts))
        _start(lab)
        definition.seed(lab)
        estate.write(lab, definition)
        if anew or before is None or not before.seeded or before.hosts != lab.hosts:
            _write(account, _state(lab))
            _reset(lab, definition, fault)
        else:
            with contextlib.suppress(LabError):  # a release that does not start is for `status` to show
                lab.each(lab.wait_for_services)
        state = replace(_state(lab), seeded=True)
        _write(account, state)
        return state


def _site_known(name: str) -> bool:
    return importlib.util.find_spec(f"changeover.lab.sites.{name}") is not None


def _site(name: str) -> Site:
    if name not in SITES:
        raise LabError(f"There is no site {name!r}", then=f"choose one of: {', '.join(SITES)}")
    return cast(Site, importlib.import_module(f"changeover.lab.sites.{name}").SITE)


@contextlib.contextmanager
def _opened(root: Path | None) -> Iterator[tuple[Account, Path]]:
    """The account and the lab root: made when absent, refused when not the account's own, locked while in use."""
    place = (root or default_root()).absolute()
    if len(str(place)) > LONGEST_ROOT:
        raise LabError(
            f"The lab root {place} is too long for Unix sockets",
            then=f"set CHANGEOVER_LAB to a path of at most {LONGEST_ROOT} characters",
        )
    account = Account.current(place / "home")
    if not place.exists():
        account.directories(place, mode=0o711)
    found = place.lstat()
    if place.is_symlink() or found.st_uid != account.uid:
        raise LabError(
            f"The lab root {place} does not belong to {account.name}",
            then="remove it or set CHANGEOVER_LAB to another path",
        )
    account.directories(place, mode=0o711)
    account.directories(account.home)
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield account, place
    finally:
        os.close(handle)


def _port(site: Site, before: LabState | None, wanted: int | None) -> int:
    """The port in use stays; a port that another program took while the lab was down is given up."""
    addresses = [spec.address for spec in site.hosts()]
    if before is not None:
        port = before.hosts[0].port
        ours = any(hosts.is_ours(host) for host in before.hosts)
        with contextlib.suppress(LabError):
            return port if ours else hosts.choose_port(addresses, port)
    return hosts.choose_port(addresses, wanted)


def _artefacts(root: Path, before: LabState | None, wanted: Path | None) -> Path:
    """Where they were stays, unless another place is asked for."""
    named = os.environ.get("CHANGEOVER_LAB_ARTEFACTS")
    known = before.artefacts_path if before is not None else root / "artefacts"
    return wanted or (Path(named) if named else known)


def _postgres(account: Account, root: Path) -> Postgres:
    return Postgres(account, root / "postgres", find_binaries(account, root))


def _make(site: Site, account: Account, root: Path, port: int, artefacts: Path) -> Lab:
    made = tuple(LabHost(spec.name, spec.address, port, root / site.name / spec.name) for spec in site.hosts())
    postgres = _postgres(account, root) if site.needs_postgres else None
    return Lab(site.name, root, account, made, artefacts, find_python(account), postgres)


def _start(lab: Lab) -> None:
    """Bring up sshd, the service manager and PostgreSQL; each is left alone when it runs."""
    sshd = hosts.find_sshd(lab.account, lab.root)
    key = hosts.make_keys(lab.account, lab.root)
    if not (lab.tools / "bin/supervisord").exists():
        lab.account.remove(lab.tools)
        lab.make_venv(lab.tools, lab.fetch("supervisor", "4.3", ["supervisor==4.3.*", "setuptools<81"]))
    if lab.postgres:
        lab.postgres.start()

    def bring_up(host: LabHost) -> None:
        hosts.make_host(lab.account, host, key.parent / "authorized_keys", sshd)
        hosts.start(lab.account, host, sshd)
        services.start(lab.account, lab.tools, host)

    lab.each(bring_up)


def _reset(lab: Lab, site: Site, fault: str | None) -> None:
    def clear(host: LabHost) -> None:
        lab.remove_services(host)
        hosts.end_strays(host)
        lab.account.run(
            ["/bin/sh", "-c", 'for d; do find "$d" -mindepth 1 -delete; done', "reset", host.state, host.tmp]
        )

    lab.each(clear)
    site.reset(lab)
    if fault:
        site.apply_fault(lab, fault)
    lab.each(lab.wait_for_services)


def _state(lab: Lab) -> LabState:
    return LabState(
        site=lab.site,
        root=lab.root,
        hosts=lab.hosts,
        user=lab.account.name,
        key_path=lab.root / "keys/operator",
        known_hosts_path=lab.root / f"{lab.site}.known_hosts",
        estate_path=lab.root / f"{lab.site}.estate.yaml",
        secrets_path=lab.root / f"{lab.site}.secrets.json",
        artefacts_path=lab.artefacts,
    )


def _write(account: Account, state: LabState) -> None:
    account.run(
        ["/bin/sh", "-c", 'cat > "$0.new" && mv "$0.new" "$0"', state.root / f"{state.site}.json"],
        data=json.dumps(asdict(state), default=str, indent=2),
    )


def _read(root: Path, site: str) -> LabState | None:
    try:
        found = json.loads((root / f"{site}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    hosts_found = tuple(
        LabHost(entry["name"], entry["address"], entry["port"], Path(entry["root"])) for entry in found["hosts"]
    )
    return LabState(
        site=site,
        root=root,
        hosts=hosts_found,
        user=found["user"],
        key_path=Path(found["key_path"]),
        known_hosts_path=Path(found["known_hosts_path"]),
        estate_path=Path(found["estate_path"]),
        secrets_path=Path(found["secrets_path"]),
        artefacts_path=Path(found["artefacts_path"]),
        seeded=found["seeded"],
    )
