"""A whole lane of packages on systemd hosts, executor, gates and ledger as they are; a proven reboot, a cut link."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from changeover import wiring
from changeover.adapters.plan_files import parse_plan, plan_digest
from changeover.domain.outcome import Outcome
from changeover.gameday.without_airflow import LaneDriver, PlanText, SiteFiles, at_its_lane
from changeover.lab import machines
from changeover.lab.machines import machine
from changeover.settings import Settings, load
from tests.support import debs

pytestmark = [pytest.mark.machines, pytest.mark.slow]
OLD, NEW = "1.9-1", "1.10-1"
HOSTS = ("m-prod1", "m-prod2")
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
  - {id: jonas.weber, name: Jonas Weber, role: upgrade_manager}
  - {id: petra.lang, name: Petra Lang, role: change_manager}
  - {id: mira.schulz, name: Mira Schulz, role: support_lead}
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
    variables: {debian_packages_reboot: always}
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


def record(release: str, *more: str) -> str:
    head = ("schema_version: 1", "product: ledgerd", "version_scheme: debian", "released: 2026-01-05")
    artefacts = f"artefacts: {{files: [{{name: ledgerd_{release}-1_all.deb, sha256: {'a' * 64}}}]}}"
    sources = "sources: ['https://ledgerd.example/changelog']"
    return "\n".join((*head, f'release: "{release}"', f'version: "{release}-1"', artefacts, sources, *more)) + "\n"


@dataclass(frozen=True)
class Site:
    """Two hosts with the old package, and everything an upgrade of them is told."""

    hosts: tuple[machine.Machine, ...]
    settings: Settings
    text: PlanText
    files: SiteFiles

    def driver(self) -> LaneDriver:
        wiring.make_own_databases(self.settings)
        upgrade, make = at_its_lane(self.settings, self.text, self.files, "production", "karin.hansson")
        return LaneDriver(upgrade, self.text.plan.environment("production"), make, lambda text: None)

    def outcome(self, driver: LaneDriver) -> Outcome:
        return wiring.ledger(self.settings).outcomes(driver.upgrade.run.key)["production"].outcome

    def inside(self, host: machine.Machine, command: str) -> str:
        done = machine.run_inside(host, "sh", "-c", command)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def versions(self) -> list[str]:
        return [self.inside(host, f"dpkg-query -W -f '${{Version}}' {debs.NAME}") for host in self.hosts]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    root = Path(f"/var/tmp/com-{secrets.token_hex(3)}")
    yield root
    machines.down(root, remove=True)


@pytest.fixture
def site(place: Path, tmp_path: Path) -> Site:
    machines.reset(place)
    hosts = tuple(one for one in machines.machines(place) if one.name in HOSTS)
    folder = tmp_path / "artefacts/debian_packages"
    deb = debs.build(folder, OLD, settings="currency = SEK\n").read_bytes()
    debs.build(folder, NEW, settings="currency = SEK\nround = yes\n")
    for host in hosts:
        machine.run_inside(host, "sh", "-c", "cat >/var/tmp/old.deb && dpkg -i /var/tmp/old.deb", data=deb)
        machine.run_inside(host, "sh", "-c", "mkdir -p /srv/ledger && echo 42 >/srv/ledger/balance")
        machine.run_inside(host, "systemctl", "enable", "--now", "ledgerd.service")
    releases = tmp_path / "releases"
    (releases / "ledgerd").mkdir(parents=True)
    (releases / "ledgerd/1.9.yaml").write_text(record("1.9", 'supported_from: [">=1.0-1,<1.9-1"]'), encoding="utf-8")
    follows = ('follows: "1.9"', 'supported_from: [">=1.9-1,<1.10-1"]')
    (releases / "ledgerd/1.10.yaml").write_text(record("1.10", *follows), encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": home, "RELEASES": releases, "ARTEFACTS": tmp_path / "artefacts"}
    settings = load({f"CHANGEOVER_{name}": str(path) for name, path in places.items()})
    plan = parse_plan(PLAN.encode(), name="the plan")
    text = PlanText(plan, plan_digest(PLAN.encode()), PLAN, tmp_path / "plan.yaml")
    return Site(hosts, settings, text, SiteFiles(_estate(place, tmp_path), place / "secrets.json"))


def _estate(place: Path, folder: Path) -> Path:
    estate = yaml.safe_load((place / "estate.yaml").read_text(encoding="utf-8"))
    about = {
        "debian_packages_names": [debs.NAME],
        "debian_packages_services": ["ledgerd.service"],
        "debian_packages_data": ["/srv/ledger"],
        "debian_packages_lock_wait": 30,
    }
    for environment in estate["environments"]:
        environment["version"] = OLD
        for host in environment["hosts"]:
            host["variables"] |= about
    path = folder / "estate.json"
    path.write_text(json.dumps(estate), encoding="utf-8")
    return path


def when(true: Callable[[], bool], do: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        until = time.monotonic() + 300
        while not true() and time.monotonic() < until:
            time.sleep(0.1)
        do()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    return watching


def test_packages_are_upgraded_over_a_proven_reboot(site: Site) -> None:
    """C14: every host came back as another boot, with the new version and its service; the run says so."""
    boots = [site.inside(host, "cat /proc/sys/kernel/random/boot_id") for host in site.hosts]
    driver = site.driver()
    driver.go()
    assert site.outcome(driver) is Outcome.SUCCESSFUL, driver.answers
    assert site.versions() == [NEW, NEW]
    after = [site.inside(host, "cat /proc/sys/kernel/random/boot_id") for host in site.hosts]
    assert all(before != now for before, now in zip(boots, after, strict=True))
    assert [site.inside(host, "systemctl is-active ledgerd; cat /srv/ledger/balance") for host in site.hosts] == [
        "active\n42"
    ] * 2


def test_a_host_that_is_lost_before_its_reboot_is_never_called_upgraded(site: Site) -> None:
    """C12-like: the link goes while the packages are installed; what is recorded is what is so."""
    driver, lost = site.driver(), site.hosts[1]
    watching = when(lambda: site.versions()[1] == NEW, lambda: machine.cut_link(lost))
    driver.go()
    watching.join(10)
    recorded = site.outcome(driver)
    machine.mend_link(lost)
    assert recorded in (Outcome.BACK_OUT_FAILED, Outcome.UNKNOWN), driver.answers
    assert site.versions()[1] == NEW
