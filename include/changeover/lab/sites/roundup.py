"""Lindgren Maskin AB: four hosts with Roundup 2.0.0 on SQLite, a schema and an integration of the client's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changeover.errors import LabError
from changeover.lab.account import Entry
from changeover.lab.environment import Lab, LabHost
from changeover.lab.estate import host_record
from changeover.lab.services import Service
from changeover.lab.site import HostSpec
from changeover.settings import PROJECT

CONTENT = PROJECT / "include/lab/roundup"
OLD, NEW = "2.0.0", "2.6.0"
ENVIRONMENTS = {
    "baseline": ("baseline",),
    "training": ("training",),
    "production": ("prod1", "prod2"),
}
CONNECTION = "ssh_lindgren"
OWN_COLUMNS = ("cost_centre=String()", "effort_hours=Number()", "exported_at=String()")
FAULTS = {
    "integration": "production's integration changes issues without the headers that the new release demands",
    "migrate": "production's database holds a table of the client's own where the new release wants its index",
}
SYNC_INTERVAL = 30


@dataclass(frozen=True)
class RoundupSite:
    """Every host has a tracker of its own; production has two."""

    name: str = "roundup"
    needs_postgres: bool = False

    def hosts(self) -> tuple[HostSpec, ...]:
        names = [name for group in ENVIRONMENTS.values() for name in group]
        return tuple(HostSpec(name, f"127.0.77.{11 + number}") for number, name in enumerate(names))

    def seed(self, lab: Lab) -> None:
        """The artefacts of both releases, the old release's environment, and the tracker that hosts are copied from."""
        old = lab.fetch("roundup", OLD, [f"roundup=={OLD}", "setuptools"])
        lab.fetch("roundup", NEW, [f"roundup=={NEW}"])
        if (lab.cache / "tracker/db/db").exists():
            return
        lab.account.remove(lab.cache)
        lab.account.directories(lab.cache)
        lab.make_venv(lab.cache / OLD, old)
        _make_tracker(lab)

    def reset(self, lab: Lab) -> None:
        def put_back(host: LabHost) -> None:
            _empty(lab, host)
            _fill(lab, host)
            _start(lab, host)

        lab.each(put_back)

    def apply_fault(self, lab: Lab, fault: str) -> None:
        if fault not in FAULTS:
            raise LabError(f"the site roundup has no fault {fault!r}", then=f"choose one of: {', '.join(FAULTS)}")
        for name in ENVIRONMENTS["production"]:
            host = lab.host(name)
            env = {**host.environment(), "ROUNDUP_BREAK": fault}
            lab.account.run([lab.python, _hook(host), host.app / "tracker"], env=env)

    def estate(self, lab: Lab) -> Mapping[str, Any]:
        return {
            "schema_version": 1,
            "client": {"slug": "lindgren", "name": "Lindgren Maskin AB"},
            "people": _people(),
            "applications": [{"slug": "roundup", "vendor": "Roundup issue tracker"}],
            "environments": [_environment(lab, name, hosts) for name, hosts in ENVIRONMENTS.items()],
        }

    def secrets(self, lab: Lab) -> Mapping[str, Mapping[str, Any]]:
        secrets = {"roundup_admin": lab.password("roundup-admin"), "roundup_sync": lab.password("roundup-sync")}
        return {CONNECTION: {"extra": {"secrets": secrets}}}


def _people() -> list[dict[str, str]]:
    return [
        {"id": "jonas.weber", "name": "Jonas Weber", "role": "upgrade_manager", "side": "provider"},
        {"id": "petra.lang", "name": "Petra Lang", "role": "change_manager", "side": "provider"},
        {"id": "mira.schulz", "name": "Mira Schulz", "role": "support_lead", "side": "provider"},
        {
            "id": "erik.lindgren",
            "name": "Erik Lindgren",
            "role": "client_approver",
            "side": "client",
            "email": "erik.lindgren@lindgren.example",
        },
    ]


def _environment(lab: Lab, name: str, hosts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": name,
        "application": "roundup",
        "version": OLD,
        "hosts": [host_record(lab, host, CONNECTION, _variables(lab.host(host))) for host in hosts],
        "customisations": [
            {"name": "schema.py", "kind": "schema"},
            {"name": "html/issue.item.html", "kind": "template"},
        ],
        # The endpoint differs from host to host, so none is on record.
        "integrations": [{"name": "cost-sync", "kind": "rest"}],
    }


def _variables(host: LabHost) -> dict[str, Any]:
    own = _integration(host)
    integration = {"name": "cost-sync", "service": "cost-sync", "program": str(own / "cost_sync.py")}
    return {
        "roundup_address": host.address,
        "roundup_port": host.service_port(),
        "roundup_integrations": [
            {**integration, "settings": str(own / "settings.json"), "state": str(own / "state.json")}
        ],
        "roundup_hook_before_migration": str(_hook(host)),
    }


def _url(host: LabHost) -> str:
    return f"http://{host.address}:{host.service_port()}/"


def _integration(host: LabHost) -> Path:
    return host.home / "cost-sync"


def _hook(host: LabHost) -> Path:
    return host.home / "before_migration.py"


def _make_tracker(lab: Lab) -> None:
    """Install, change as the client did, initialise and fill a tracker with the old release's own tools."""
    tracker, python = lab.cache / "tracker.new", lab.cache / OLD / "bin/python"
    admin: list[str | Path] = [python, lab.cache / OLD / "bin/roundup-admin", "-i", tracker]
    password = lab.password("roundup-admin")
    lab.account.run([*admin, "install", "classic", "sqlite"])
    lab.account.write(tracker, {name: Entry(text) for name, text in _client_changes(tracker).items()})
    lab.account.run([*admin, "initialise", "admin"], data=f"{password}\n{password}\n")
    passwords = json.dumps({"admin": password, "sync": lab.password("roundup-sync")})
    script = {"seed.py": Entry((CONTENT / "seed.py").read_bytes())}
    lab.account.write(lab.cache, script)
    lab.account.run([python, lab.cache / "seed.py", tracker], data=passwords)
    lab.account.run(["mv", tracker, lab.cache / "tracker"])


def _client_changes(tracker: Path) -> dict[str, str]:
    """Own columns in the schema, one of them shown in the issue's page, and the settings an installation needs."""
    schema = (tracker / "schema.py").read_text(encoding="utf-8")
    page = (tracker / "html/issue.item.html").read_text(encoding="utf-8")
    settings = (tracker / "config.ini").read_text(encoding="utf-8")
    shown = '<tr>\n <th>Cost centre</th>\n <td tal:content="structure context/cost_centre/field">centre</td>\n</tr>\n\n'
    status = '<tr>\n <th i18n:translate="">Superseder</th>'
    for old, new in (
        ("#web = NO DEFAULT", "web = http://127.0.0.1/"),
        ("#domain = NO DEFAULT", "domain = lindgren.example"),
        ("#host = NO DEFAULT", "host = localhost"),
        ("instant_registration = no", "instant_registration = yes"),
    ):
        settings = _replace(settings, f"\n{old}\n", f"\n{new}\n")
    own = ",".join(f"\n                {column}" for column in OWN_COLUMNS)
    return {
        "schema.py": _replace(schema, 'status=Link("status"))', f'status=Link("status"),{own})'),
        "html/issue.item.html": _replace(page, status, shown + status),
        "config.ini": settings,
    }


def _replace(text: str, old: str, new: str) -> str:
    if old not in text:
        raise LabError(f"the old release's template has no {old!r}: the client's change cannot be made")
    return text.replace(old, new)


def _empty(lab: Lab, host: LabHost) -> None:
    """Everything but the old release's environment, which no upgrade changes."""
    keep = ["!", "-path", f"{host.app}/releases", "!", "-path", f"{host.app}/releases/{OLD}*"]
    lab.account.run(["find", host.app, "-mindepth", "1", "-depth", *keep, "-delete"])
    lab.account.remove(_integration(host), host.home / "migrations.log")


def _fill(lab: Lab, host: LabHost) -> None:
    """The client's installation, as it stood before the upgrade."""
    account, release = lab.account, host.app / "releases" / OLD
    if not release.exists():
        account.directories(release.parent)
        account.run(["cp", "-a", lab.cache / OLD, release])
    account.run(["cp", "-a", lab.cache / "tracker", host.app / "tracker"])
    account.run(["ln", "-s", f"releases/{OLD}", host.app / "current"])
    address = f"s#^web = http://127.0.0.1/$#web = {_url(host)}#"
    account.run(["sed", "-i", address, host.app / "tracker/config.ini"])
    account.write(host.app / "bin", {"serve.py": Entry((CONTENT / "serve.py").read_bytes())})
    account.write(host.home, {_hook(host).name: Entry((CONTENT / "before_migration.py").read_bytes(), 0o755)})
    settings = {
        "url": f"{_url(host)}rest",
        "user": "sync",
        "password_file": str(_integration(host) / "password"),
        "interval": SYNC_INTERVAL,
        "headers": {"X-Requested-With": "cost-sync", "Origin": _url(host).rstrip("/")},
    }
    files = {
        "cost_sync.py": Entry((CONTENT / "cost_sync.py").read_bytes()),
        "settings.json": Entry(json.dumps(settings, indent=1)),
        "password": Entry(lab.password("roundup-sync"), 0o600),
    }
    account.write(_integration(host), files)


def _start(lab: Lab, host: LabHost) -> None:
    own = _integration(host)
    serve = [host.app / "releases" / OLD / "bin/python", host.app / "bin/serve.py", host.app / "tracker", host.address]
    command = " ".join(map(str, [*serve, host.service_port()]))
    sync = f"{lab.python} {own / 'cost_sync.py'} {own / 'settings.json'}"
    lab.install_services(host, Service("roundup", command, host.app), Service("cost-sync", sync, own))


SITE = RoundupSite()
