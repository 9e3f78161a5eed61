"""Nordwind Trading GmbH: four hosts with Tryton 7.0 on one PostgreSQL, and a module and an integration of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from changeover.errors import LabError
from changeover.lab import artefacts
from changeover.lab.account import Entry
from changeover.lab.environment import Lab, LabHost
from changeover.lab.estate import host_record
from changeover.lab.postgres import PORT, Postgres
from changeover.lab.services import Service
from changeover.lab.site import HostSpec
from changeover.lab.sites import tryton_data
from changeover.settings import PROJECT

CONTENT = PROJECT / "include/lab/tryton"
RELEASE = PROJECT / "include/releases/tryton/8.0.yaml"
OLD, NEW = tryton_data.OLD, "8.0.12"
ENVIRONMENTS = {
    "baseline": ("baseline",),
    "training": ("training",),
    "production": ("prod-app1", "prod-app2"),
}
FILLED = ("training", "production")
"""The baseline starts empty: building it is part of the upgrade."""
CONNECTION = "ssh_nordwind"
ROLE, SEEDED, MADE = tryton_data.ROLE, "nordwind_seed", "nordwind_seed_new"
MODULE = tryton_data.MODULE
DELIVERED = {OLD: "7.0.1", NEW: "8.0.1"}
"""Release of the client's module for each release of the vendor's."""
OLD_FEED, NEW_FEED = "1.4", "2.0"
FEED_INTERVAL = 15
KILL_AFTER = 10
"""Processor seconds after which the fault `kill` ends the migration: about half of what one takes."""
FAULTS = {
    "integration": "production still runs the client's old program, which calls an endpoint that the new release moved",
    "module": "the client's module was not ported: the artefacts of the new release lack it",
    "kill": "something ends the migration of production half-way with SIGKILL",
}


@dataclass(frozen=True)
class TrytonSite:
    """Production has two application hosts on one database; every environment has a database of its own."""

    name: str = "tryton"
    needs_postgres: bool = True

    def hosts(self) -> tuple[HostSpec, ...]:
        names = [name for group in ENVIRONMENTS.values() for name in group]
        return tuple(HostSpec(name, f"127.0.77.{1 + number}") for number, name in enumerate(names))

    def seed(self, lab: Lab) -> None:
        """Artefacts of both releases, the old release's environment, and the database that others are copied from."""
        wheels = _client_wheels(lab)
        wanted = {OLD: _old_requirements(), NEW: _new_requirements()}
        server = _postgres(lab)
        _make_role(server)
        seeded = SEEDED in _databases(server)
        with ThreadPoolExecutor(3) as pool:
            loading = None if seeded else pool.submit(tryton_data.load, server, MADE)
            old, new = pool.map(lambda version: lab.fetch("tryton", version, wanted[version]), wanted)
        if loading:
            loading.result()
        _deliver(lab, old, wheels[OLD])
        if not (new / "withheld").exists():
            _deliver(lab, new, wheels[NEW])
        if not (lab.cache / OLD / "bin/.complete").exists():
            lab.account.remove(lab.cache / OLD)
            lab.make_venv(lab.cache / OLD, old)
            lab.account.write(lab.cache / OLD / "bin", {".complete": Entry("")})
        if not seeded:
            tryton_data.finish(lab, server, MADE)
            server.run("psql", "-Xq", "-d", "postgres", "-c", f"alter database {MADE} rename to {SEEDED}")

    def keep_data(self, lab: Lab) -> Path:
        """Make Nordwind's data anew by the old release's own tools, and keep it in the project."""
        return tryton_data.keep(lab, _postgres(lab))

    def reset(self, lab: Lab) -> None:
        new = lab.artefacts / "tryton" / NEW
        lab.account.remove(new / "withheld")
        _deliver(lab, new, _client_wheels(lab)[NEW])
        server = _postgres(lab)
        for database in _databases(server):
            if database not in ("postgres", SEEDED):
                server.run("dropdb", "--force", database)
        for environment in FILLED:
            server.run("createdb", "-O", ROLE, "-T", SEEDED, f"nordwind_{environment}")

        def put_back(host: LabHost) -> None:
            _empty(lab, host)
            _install_feed(lab, host, NEW_FEED)
            if _environment_of(host) in FILLED:
                _fill(lab, host)
            lab.install_services(host, *_services(lab, host, NEW_FEED))

        lab.each(put_back)

    def apply_fault(self, lab: Lab, fault: str) -> None:
        if fault not in FAULTS:
            raise LabError(f"the site tryton has no fault {fault!r}", then=f"choose one of: {', '.join(FAULTS)}")
        production = tuple(lab.host(name) for name in ENVIRONMENTS["production"])
        if fault == "integration":
            for host in production:
                _install_feed(lab, host, OLD_FEED)
                lab.install_services(host, *_services(lab, host, OLD_FEED))
        elif fault == "module":
            _withhold(lab, lab.artefacts / "tryton" / NEW)
        else:
            _lie_in_wait(lab, production[0])

    def estate(self, lab: Lab) -> Mapping[str, Any]:
        return {
            "schema_version": 1,
            "client": {"slug": "nordwind", "name": "Nordwind Trading GmbH"},
            "people": _people(),
            "applications": [{"slug": "tryton", "vendor": "Tryton Foundation"}],
            "environments": [_environment(lab, name, hosts) for name, hosts in ENVIRONMENTS.items()],
        }

    def secrets(self, lab: Lab) -> Mapping[str, Mapping[str, Any]]:
        return {CONNECTION: {"extra": {"secrets": {"tryton_acceptance": lab.password("tryton-acceptance")}}}}


def _people() -> list[dict[str, str]]:
    return [
        {"id": "jonas.weber", "name": "Jonas Weber", "role": "upgrade_manager", "side": "provider"},
        {"id": "petra.lang", "name": "Petra Lang", "role": "change_manager", "side": "provider"},
        {"id": "mira.schulz", "name": "Mira Schulz", "role": "support_lead", "side": "provider"},
        {
            "id": "anna.berg",
            "name": "Anna Berg",
            "role": "client_approver",
            "side": "client",
            "email": "anna.berg@nordwind.example",
        },
    ]


def _environment(lab: Lab, name: str, hosts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": name,
        "application": "tryton",
        "version": OLD,
        "hosts": [host_record(lab, host, CONNECTION, _variables(lab, lab.host(host))) for host in hosts],
        "customisations": [{"name": MODULE, "kind": "module"}],
        # The endpoint differs from host to host, so none is on record.
        "integrations": [{"name": "order-feed", "kind": "json-rpc"}],
    }


def _variables(lab: Lab, host: LabHost) -> dict[str, Any]:
    environment, own, server = _environment_of(host), _feed(host), _postgres(lab)
    return {
        "tryton_address": host.address,
        "tryton_port": host.service_port(),
        "tryton_database": f"nordwind_{environment}",
        "tryton_database_uri": tryton_data.uri(server),
        "tryton_pg_bin": str(server.binaries),
        "tryton_pg_host": str(server.socket),
        "tryton_pg_port": PORT,
        "tryton_pg_user": ROLE,
        "tryton_migrates": host.name == ENVIRONMENTS[environment][0],
        "tryton_customisations": [MODULE],
        "tryton_integrations": [
            {
                "name": "order-feed",
                "service": "order-feed",
                "program": str(own / "current/order_feed.py"),
                "settings": str(own / "settings.json"),
                "state": str(own / "state.json"),
            }
        ],
    }


def _postgres(lab: Lab) -> Postgres:
    if lab.postgres is None:
        raise LabError("the site tryton was given no PostgreSQL server")
    return lab.postgres


def _databases(server: Postgres) -> set[str]:
    query = "select datname from pg_database where not datistemplate"
    return set(server.run("psql", "-XqAt", "-d", "postgres", "-c", query).split())


def _make_role(server: Postgres) -> None:
    """The application's account. Its queries of the catalogue look costly and are not: compiling them is what costs."""
    if ROLE not in server.run("psql", "-XqAt", "-d", "postgres", "-c", "select rolname from pg_roles").split():
        server.run("psql", "-Xq", "-d", "postgres", "-c", f"create role {ROLE} login createdb")
        server.run("psql", "-Xq", "-d", "postgres", "-c", f"alter role {ROLE} set jit = off")
    server.run("psql", "-Xq", "-d", "postgres", "-c", f"grant pg_read_all_settings to {ROLE}")


def _old_requirements() -> list[str]:
    lines = (CONTENT / f"requirements-{OLD}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _new_requirements() -> list[str]:
    return list(yaml.safe_load(RELEASE.read_text(encoding="utf-8"))["artefacts"]["requirements"])


def _client_wheels(lab: Lab) -> dict[str, Path]:
    """The client's module as the client delivers it: one wheel for each release, built once from its sources."""
    found = {}
    for release, version in DELIVERED.items():
        series = release.rpartition(".")[0]
        wheel = lab.cache / f"delivered/{MODULE}-{version}-py3-none-any.whl"
        if not wheel.exists():
            sources = CONTENT / MODULE / series
            files = [file for file in sorted(sources.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
            build = lab.cache / f"build-{version}"
            for directory in {file.parent for file in files}:
                inside = {file.name: Entry(file.read_bytes()) for file in files if file.parent == directory}
                lab.account.write(build / directory.relative_to(sources), inside)
            _build_wheel(lab, build, wheel.parent)
        found[release] = wheel
    return found


def _build_wheel(lab: Lab, sources: Path, target: Path) -> None:
    """Offline, with what the lab's own environment has."""
    program = "import os, sys, setuptools.build_meta as b; os.chdir(sys.argv[1]); b.build_wheel(sys.argv[2])"
    lab.account.directories(target)
    lab.account.run([lab.tools / "bin/python", "-c", program, sources, target])


def _deliver(lab: Lab, release: Path, wheel: Path) -> None:
    """Put the client's wheel beside the vendor's, into the requirements and under the manifest."""
    if not (release / wheel.name).exists():
        lab.account.run(["cp", wheel, release / wheel.name])
        _describe(lab, release)


def _withhold(lab: Lab, release: Path) -> None:
    wheel = f"{MODULE}-{DELIVERED[NEW]}-py3-none-any.whl"
    lab.account.directories(release / "withheld")
    lab.account.run(["mv", release / wheel, release / "withheld" / wheel])
    _describe(lab, release)


def _describe(lab: Lab, release: Path) -> None:
    """Bring requirements and manifest to the wheels that are there."""
    wheels = sorted(wheel.name.split("-")[:2] for wheel in release.glob("*.whl"))
    pins = "".join(f"{name.replace('_', '-')}=={version}\n" for name, version in wheels if name != "pip")
    lab.account.write(release, {"requirements.txt": Entry(pins)})
    sums = "".join(f"{digest}  {name}\n" for name, digest in artefacts.digests(release).items())
    lab.account.write(release, {"SHA256SUMS": Entry(sums)})


def _lie_in_wait(lab: Lab, host: LabHost) -> None:
    """A process on the host that looks for the migration and kills it; a service, so that a reset ends it."""
    lab.account.write(host.etc, {"fault_kill.py": Entry((CONTENT / "fault_kill.py").read_bytes())})
    command = f"{lab.python} {host.etc / 'fault_kill.py'} {host.app} {KILL_AFTER}"
    lab.install_services(host, Service("fault-kill", command, host.root))


def _environment_of(host: LabHost) -> str:
    return next(name for name, hosts in ENVIRONMENTS.items() if host.name in hosts)


def _feed(host: LabHost) -> Path:
    return host.home / "order-feed"


def _empty(lab: Lab, host: LabHost) -> None:
    """Everything but the old release's environment where it belongs; no upgrade changes that one."""
    keep = f"{host.app}/releases/{OLD}" if _environment_of(host) in FILLED else f"{host.app}/nothing"
    spared = ["!", "-path", f"{host.app}/releases", "!", "-path", keep, "!", "-path", f"{keep}/*"]
    lab.account.run(["find", host.app, "-mindepth", "1", "-depth", *spared, "-delete"])
    lab.account.remove(_feed(host))


def _fill(lab: Lab, host: LabHost) -> None:
    """The application's environment, settings and current release, as they stood before the upgrade."""
    release = host.app / "releases" / OLD
    if not release.exists():
        lab.account.directories(release.parent)
        # Hard links: Python replaces files of an environment, it never changes them in place.
        lab.account.run(["cp", "-al", lab.cache / OLD, release])
    lab.account.run(["ln", "-sfn", f"releases/{OLD}", host.app / "current"])
    text = (CONTENT / "trytond.conf").read_text(encoding="utf-8")
    listen = f"{host.address}:{host.service_port()}"
    settings = text.replace("@uri@", tryton_data.uri(_postgres(lab))).replace("@listen@", listen)
    lab.account.write(host.app / "etc", {"trytond.conf": Entry(settings, 0o640)})


def _install_feed(lab: Lab, host: LabHost, version: str) -> None:
    own = _feed(host)
    settings = {
        "url": f"http://{host.address}:{host.service_port()}/",
        "database": f"nordwind_{_environment_of(host)}",
        "user": "order-feed",
        "password_file": str(own / "password"),
        "interval": FEED_INTERVAL,
        "state": str(own / "state.json"),
    }
    lab.account.write(
        own,
        {
            "settings.json": Entry(json.dumps(settings, indent=1)),
            "password": Entry(lab.password("tryton-order-feed"), 0o600),
        },
    )
    program = Entry((CONTENT / "order_feed" / version / "order_feed.py").read_bytes())
    lab.account.write(own / version, {"order_feed.py": program})
    lab.account.run(["ln", "-sfn", version, own / "current"])


def _services(lab: Lab, host: LabHost, feed: str) -> list[Service]:
    own, release = _feed(host), host.app / "releases" / OLD
    program = f"{lab.python} {own / feed / 'order_feed.py'} {own / 'settings.json'}"
    services = [Service("order-feed", program, own)]
    if _environment_of(host) in FILLED:
        server = f"{release}/bin/python {release}/bin/trytond -c {host.app}/etc/trytond.conf"
        services.insert(0, Service("tryton", f"{server} -d nordwind_{_environment_of(host)}", host.app))
    return services


SITE = TrytonSite()
