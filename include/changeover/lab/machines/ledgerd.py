"""A vendor of Debian packages in small: its releases, its customer's plan, and hosts on which the old one runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import textwrap
from collections.abc import Iterable
from pathlib import Path

import yaml

from changeover.errors import LabError
from changeover.lab.machines import machine
from changeover.lab.machines.machine import Machine

NAME = "ledgerd"
SETTINGS = "/etc/ledgerd.conf"
DATA = "/srv/ledger"
MIGRATIONS = "/var/log/ledgerd-migrations"
"""A line for each time that the new package's own script was at work."""
OLD, NEW = "1.9-1", "1.10-1"
MIGRATES = f"echo migrated >>{MIGRATIONS}; sync; sleep 3"
PLAN = """
schema_version: 1
client: hansson
upgrade: ledgerd-1.10
title: ledgerd 1.9 to 1.10 for Hansson Logistik AB
application: debian_packages
from_version: "1.9-1"
to_version: "1.10-1"
release: ledgerd/1.10
trigger: {kind: client_request, reference: REQ-1, dated: 2025-10-14, reason: rounding}
statement_of_work:
  id: SOW-1
  signed_on: 2025-11-17
  environments: [baseline, production]
  valid_from: 2026-01-01
  valid_until: 2035-12-31
requested_by: jonas.weber
participants:
  - {id: jonas.weber, name: Jonas Weber, role: upgrade_manager, side: provider}
  - {id: petra.lang, name: Petra Lang, role: change_manager, side: provider}
  - {id: mira.schulz, name: Mira Schulz, role: support_lead, side: provider}
  - {id: karin.hansson, name: Karin Hansson, role: client_approver, side: client, email: karin@hansson.example}
approval: {by: [karin.hansson, petra.lang], wait: 1h}
environments:
  - name: baseline
    kind: baseline
    data_from: production
    window: {kind: any_time, reason: The lab is nobody's production}
    implement_within: 10m
  - name: production
    kind: production
    window: {kind: any_time, reason: The lab is nobody's production}
    implement_within: 10m
    variables: {debian_packages_reboot: REBOOT}
support:
  hypercare: {length: 5s, interval: 2s}
  accepted_by: {by: [mira.schulz], wait: 1h}
support_contract:
  id: SUP-1
  applications: [debian_packages]
  environments: [production]
  valid_from: 2025-01-01
  valid_until: 2035-12-31
"""


def plan(*, reboot: str) -> str:
    """The plan's text; `reboot`: never, when_required or always."""
    return PLAN.replace("REBOOT", reboot)


def write_releases(folder: Path) -> Path:
    """The records of both releases, below `folder`/releases."""
    place = folder / "releases" / NAME
    place.mkdir(parents=True)
    (place / "1.9.yaml").write_text(_record("1.9", 'supported_from: [">=1.0-1,<1.9-1"]'), encoding="utf-8")
    follows = ('follows: "1.9"', 'supported_from: [">=1.9-1,<1.10-1"]')
    (place / "1.10.yaml").write_text(_record("1.10", *follows), encoding="utf-8")
    return place.parent


def _record(release: str, *more: str) -> str:
    head = ("schema_version: 1", f"product: {NAME}", "version_scheme: debian", "released: 2026-01-05")
    artefacts = f"artefacts: {{files: [{{name: {NAME}_{release}-1_all.deb, sha256: {'a' * 64}}}]}}"
    sources = f"sources: ['https://{NAME}.example/changelog']"
    return "\n".join((*head, f'release: "{release}"', f'version: "{release}-1"', artefacts, sources, *more)) + "\n"


def write_estate(lab: Path, folder: Path) -> Path:
    """The lab's estate with what an upgrade of these packages has to know."""
    estate = yaml.safe_load((lab / "estate.yaml").read_text(encoding="utf-8"))
    about = {
        "debian_packages_names": [NAME],
        "debian_packages_services": [f"{NAME}.service"],
        "debian_packages_data": [DATA],
        "debian_packages_lock_wait": 30,
    }
    for environment in estate["environments"]:
        environment["version"] = OLD
        for host in environment["hosts"]:
            host["variables"] |= about
    path = folder / "estate.json"
    path.write_text(json.dumps(estate), encoding="utf-8")
    return path


def install_old(hosts: Iterable[Machine], deb: bytes) -> None:
    """The old release at work, with what people entered."""
    for host in hosts:
        inside(host, "cat >/var/tmp/old.deb && dpkg -i /var/tmp/old.deb", data=deb)
        inside(host, f"mkdir -p {DATA} && echo 42 >{DATA}/balance")
        inside(host, f"systemctl enable --now {NAME}.service")


def inside(host: Machine, command: str, *, data: bytes = b"") -> str:
    """What a shell on the host says, by no way that an upgrade uses."""
    done = machine.run_inside(host, "sh", "-c", command, data=data)
    if done.returncode:
        raise LabError(f"{command!r} ended with code {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode().strip()


def build(
    folder: Path, version: str, *, settings: str = "currency = SEK\n", script: str = "", runs: bool = True
) -> Path:
    """One version in `folder`/<version>, with SHA256SUMS; `script` is its postinst. Not `runs`: it ends at once."""
    place, tree = folder / version, folder / f"{version}.tree"
    files = {
        "DEBIAN/control": f"""\
            Package: {NAME}
            Version: {version}
            Architecture: all
            Maintainer: Hansson <ops@hansson.example>
            Description: keeps a ledger
            """,
        "DEBIAN/conffiles": f"{SETTINGS}\n",
        "DEBIAN/postinst": f"#!/bin/sh\nset -e\nsystemctl daemon-reload || :\n{script}\n",
        "usr/bin/ledgerd": f"#!/bin/sh\necho {version}\nexec {'sleep infinity' if runs else 'false'}\n",
        f"{SETTINGS[1:]}": settings,
        "lib/systemd/system/ledgerd.service": """\
            [Unit]
            Description=keeps a ledger
            [Service]
            ExecStart=/usr/bin/ledgerd
            [Install]
            WantedBy=multi-user.target
            """,
    }
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        if name.startswith(("usr/bin", "DEBIAN/postinst")):
            path.chmod(0o755)
    sums = [
        f"{hashlib.md5((tree / name).read_bytes()).hexdigest()}  {name}"  # noqa: S324 -- the format of Debian's own list
        for name in files
        if not name.startswith("DEBIAN") and name != SETTINGS[1:]
    ]
    (tree / "DEBIAN/md5sums").write_text("\n".join(sums) + "\n", encoding="utf-8")
    place.mkdir(parents=True, exist_ok=True)
    deb = place / f"{NAME}_{version}_all.deb"
    subprocess.run(
        ["/usr/bin/dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)], check=True, capture_output=True
    )
    (place / "SHA256SUMS").write_text(f"{hashlib.sha256(deb.read_bytes()).hexdigest()}  {deb.name}\n", encoding="utf-8")
    return deb
