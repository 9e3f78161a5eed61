"""A whole lane of packages on systemd hosts, executor, gates and ledger as they are; a proven reboot, a cut link."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.plan_files import parse_plan, plan_digest
from changeover.domain.outcome import Outcome
from changeover.gameday.without_airflow import LaneDriver, PlanText, SiteFiles, at_its_lane
from changeover.lab import machines
from changeover.lab.machines import ledgerd, machine
from changeover.settings import Settings, load

pytestmark = [pytest.mark.machines, pytest.mark.slow]
OLD, NEW = ledgerd.OLD, ledgerd.NEW
HOSTS = ("m-prod1", "m-prod2")


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

    def versions(self) -> list[str]:
        return [ledgerd.inside(host, f"dpkg-query -W -f '${{Version}}' {ledgerd.NAME}") for host in self.hosts]


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
    ledgerd.install_old(hosts, ledgerd.build(folder, OLD).read_bytes())
    ledgerd.build(folder, NEW, settings="currency = SEK\nround = yes\n")
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": home, "RELEASES": ledgerd.write_releases(tmp_path), "ARTEFACTS": tmp_path / "artefacts"}
    settings = load({f"CHANGEOVER_{name}": str(path) for name, path in places.items()})
    content = ledgerd.plan(reboot="always")
    plan = parse_plan(content.encode(), name="the plan")
    text = PlanText(plan, plan_digest(content.encode()), content, tmp_path / "plan.yaml")
    return Site(hosts, settings, text, SiteFiles(ledgerd.write_estate(place, tmp_path), place / "secrets.json"))


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
    boots = [ledgerd.inside(host, "cat /proc/sys/kernel/random/boot_id") for host in site.hosts]
    driver = site.driver()
    driver.go()
    assert site.outcome(driver) is Outcome.SUCCESSFUL, driver.answers
    assert site.versions() == [NEW, NEW]
    after = [ledgerd.inside(host, "cat /proc/sys/kernel/random/boot_id") for host in site.hosts]
    assert all(before != now for before, now in zip(boots, after, strict=True))
    assert [ledgerd.inside(host, "systemctl is-active ledgerd; cat /srv/ledger/balance") for host in site.hosts] == [
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
