"""What the lab tells the rest of the product about a site: the CMDB import and the connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from changeover.lab import services
from changeover.lab.account import Entry
from changeover.lab.environment import Lab
from changeover.lab.hosts import known_host
from changeover.lab.site import Site


def host_record(lab: Lab, name: str, connection: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A host as the CMDB imports it: real address, port and host key, and the variables every role needs."""
    host = lab.host(name)
    common = {
        "app_root": str(host.app),
        "host_state_dir": str(host.state),
        "host_become": False,
        "host_environment": host.environment(),
        "ansible_remote_tmp": str(host.tmp / "ansible"),
        "ansible_python_interpreter": str(lab.python),
        **services.variables(lab.tools, host),
    }
    return {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": lab.account.name,
        "connection": connection,
        "host_keys": [known_host(host)],
        "variables": {**common, **variables},
    }


def write(lab: Lab, site: Site) -> None:
    """Write <site>.known_hosts, <site>.estate.yaml and <site>.secrets.json below the lab root."""
    known_hosts = "".join(f"{known_host(host)}\n" for host in lab.hosts)
    estate = {**site.estate(lab), "known_hosts": known_hosts}
    connections = _joined(_ssh_connections(lab, estate), site.secrets(lab))
    lab.account.write(
        lab.root,
        {
            f"{lab.site}.known_hosts": Entry(known_hosts),
            f"{lab.site}.estate.yaml": Entry(yaml.safe_dump(estate, sort_keys=False, allow_unicode=True)),
            f"{lab.site}.secrets.json": Entry(json.dumps(connections, indent=2), 0o600),
        },
    )


def _joined(ssh: Mapping[str, dict[str, Any]], more: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a site adds to an SSH connection is put beside its key; other connections stand for themselves."""
    joined = dict(ssh)
    for name, added in more.items():
        known = joined.get(name, {})
        joined[name] = {**known, **added, "extra": {**known.get("extra", {}), **added.get("extra", {})}}
    return joined


def _ssh_connections(lab: Lab, estate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One SSH connection per id that a host names; all open with the operator's key."""
    key = (lab.root / "keys/operator").read_text(encoding="utf-8")
    names = {host["connection"] for environment in estate["environments"] for host in environment["hosts"]}
    return {
        name: {
            "conn_type": "ssh",
            "host": "",
            "login": lab.account.name,
            "password": None,
            "extra": {"private_key": key},
        }
        for name in sorted(names)
    }
