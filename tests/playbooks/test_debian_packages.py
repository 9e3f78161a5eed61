"""Debian packages on hosts with a systemd of their own: versions, locks, questions, reboots, the way back."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from changeover import lab
from changeover.lab import machines
from changeover.lab.machines import machine
from tests.playbooks.bench import Bench
from tests.support import debs

pytestmark = [pytest.mark.machines]
OLD, NEW = "1.9-1", "1.10-1"
HOST = "m-training"
DATA = "/srv/ledger"
DEAF = "ask() { printf 'keep? '; read -r answer </dev/tty; }; [ ! -t 0 ] || ask"
"""A script that would ask a person, were there one."""


@dataclass(frozen=True)
class Stage:
    """A host with the old package, the client's own settings and data, and what an upgrade is told."""

    bench: Bench
    host: machine.Machine

    def inside(self, command: str) -> str:
        done = machine.run_inside(self.host, "sh", "-c", command)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode().strip()

    def version(self) -> str:
        return self.inside(f"dpkg-query -W -f '${{Version}}' {debs.NAME}")

    def begin(self) -> None:
        """Up to where the change begins."""
        for play in ("prepare", "restore_point"):
            played = self.bench.play(play, HOST)
            assert played.ok, played.failures


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    root = Path(f"/var/tmp/com-{secrets.token_hex(3)}")
    yield root
    machines.down(root, remove=True)


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefacts")
    debs.build(folder / "debian_packages", OLD, settings="currency = SEK\n")
    debs.build(folder / "debian_packages", NEW, settings="currency = SEK\nround = yes\n", script=DEAF)
    return folder


@pytest.fixture
def stage(place: Path, artefacts: Path) -> Stage:
    (host,) = machines.reset(place, only=(HOST,))
    state = lab.LabState(
        "machines",
        place,
        (),
        "ops",
        place / "operator",
        place / "known_hosts",
        place / "estate.yaml",
        place / "secrets.json",
        artefacts,
    )
    extra = {
        "debian_packages_names": [debs.NAME],
        "debian_packages_services": ["ledgerd.service"],
        "debian_packages_data": [DATA],
        "debian_packages_lock_wait": 20,
        "datasets": {"files": {"query": "files"}},
    }
    made = Stage(Bench(state, "debian_packages", OLD, NEW, extra=extra), host)
    deb = (artefacts / "debian_packages" / OLD / f"{debs.NAME}_{OLD}_all.deb").read_bytes()
    done = machine.run_inside(host, "sh", "-c", "cat >/var/tmp/old.deb && dpkg -i /var/tmp/old.deb", data=deb)
    assert done.returncode == 0
    made.inside(f"mkdir -p {DATA} && echo 42 >{DATA}/balance && echo 'currency = EUR' >{debs.SETTINGS}")
    made.inside("systemctl enable --now ledgerd.service apt-daily.timer apt-daily-upgrade.timer")
    return made


def test_old_becomes_new_and_the_client_keeps_its_settings(stage: Stage) -> None:
    """C15: nobody is asked; the changed file of settings stays, the new one lies beside it, and this is told."""
    stage.begin()
    assert "inactive" in stage.inside("systemctl is-active apt-daily.timer apt-daily-upgrade.timer || :")
    done = stage.bench.play("implement", HOST)
    assert done.ok, done.failures
    assert stage.version() == NEW
    assert stage.inside(f"cat {debs.SETTINGS}") == "currency = EUR"
    kept = done.reports[HOST]["settings_kept"][debs.SETTINGS]
    assert kept == {"package": debs.NAME, "changed": True, "offered": [f"{debs.SETTINGS}.dpkg-dist"]}
    verified = stage.bench.play("verify", HOST)
    assert verified.reports[HOST]["version"] == NEW
    assert [row["path"] for row in verified.reports[HOST]["data"]["files"]] == [f"{DATA}/balance"]
    committed = stage.bench.play("commit", HOST)
    assert committed.ok, committed.failures
    assert stage.inside("systemctl is-active ledgerd apt-daily.timer apt-daily-upgrade.timer").split() == ["active"] * 3


def test_the_kept_packages_are_the_way_back(stage: Stage) -> None:
    """Old packages, settings and data as they were; a second time restores nothing that was written since."""
    stage.begin()
    assert stage.bench.play("implement", HOST).ok
    stage.inside(f"echo 13 >{DATA}/balance; echo 'currency = XXX' >{debs.SETTINGS}")
    back = stage.bench.play("back_out", HOST)
    assert back.ok, back.failures
    assert stage.version() == OLD
    assert stage.inside(f"cat {DATA}/balance {debs.SETTINGS}").split("\n") == ["42", "currency = EUR"]
    assert stage.inside("systemctl is-active ledgerd apt-daily.timer").split() == ["active"] * 2
    stage.inside(f"echo 99 >{DATA}/balance")
    assert stage.bench.play("back_out", HOST).ok
    assert stage.inside(f"cat {DATA}/balance") == "99"


def test_a_reboot_is_proven_by_the_boot_and_not_by_an_answer(stage: Stage) -> None:
    """C14: another boot id, the kernel that runs, the service that runs; the lock is still there."""
    stage.begin()
    done = stage.bench.play("implement", HOST, debian_packages_reboot="always")
    assert done.ok, done.failures
    reboot = done.reports[HOST]["reboot"]
    assert reboot["before"]["id"] != reboot["after"]["id"]
    assert stage.inside("cat /proc/sys/kernel/random/boot_id") == reboot["after"]["id"]
    assert stage.inside("systemctl is-active ledgerd") == "active"
    assert "lock.json" in stage.inside("ls /var/lib/changeover")
    others = "apt-daily.timer apt-daily-upgrade.timer"
    assert "active" not in stage.inside(f"systemctl is-active {others} || :").split(), "paused over the boot too"
    assert stage.inside(f"systemctl is-enabled {others}").split() == ["enabled"] * 2
    assert stage.bench.play("commit", HOST).ok
    assert stage.inside(f"systemctl is-active {others}").split() == ["active"] * 2


def test_a_host_that_is_slow_to_go_down_is_not_taken_for_rebooted(stage: Stage) -> None:
    """C14: it answers for a while after the order; only the next boot counts."""
    stage.begin()
    stage.inside("systemd-run --quiet --unit=slow -p ExecStop='/bin/sleep 12' -p TimeoutStopSec=30 sleep infinity")
    boot = stage.inside("cat /proc/sys/kernel/random/boot_id")
    begun = time.monotonic()
    done = stage.bench.play("implement", HOST, debian_packages_reboot="always")
    assert done.ok, done.failures
    assert time.monotonic() - begun > 12
    assert done.reports[HOST]["reboot"]["before"]["id"] == boot
    assert stage.inside("cat /proc/sys/kernel/random/boot_id") == done.reports[HOST]["reboot"]["after"]["id"] != boot


def test_other_hands_at_work_are_waited_for_and_put_back(stage: Stage) -> None:
    """The distribution's own upgrade is in progress: nothing begins beside it, and its timers run again afterwards."""
    own = "[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep 8\n"
    stage.inside(f"mkdir -p /etc/systemd/system/apt-daily-upgrade.service.d; printf '{own}' >/tmp/own.conf")
    stage.inside("mv /tmp/own.conf /etc/systemd/system/apt-daily-upgrade.service.d/; systemctl daemon-reload")
    played = stage.bench.play("prepare", HOST)
    assert played.ok, played.failures
    stage.inside("systemctl start --no-block apt-daily-upgrade.service; sleep 1")
    assert stage.inside("systemctl is-active apt-daily-upgrade.service || :") == "activating"
    closed = stage.bench.play("restore_point", HOST)
    assert closed.ok, closed.failures
    assert stage.inside("systemctl is-active apt-daily-upgrade.service || :") == "inactive"
    assert stage.bench.play("stand_down", HOST).ok
    assert stage.inside("systemctl is-active apt-daily.timer apt-daily-upgrade.timer ledgerd").split() == ["active"] * 3


def test_a_unit_that_cannot_be_masked_is_paused_again_after_the_boot(stage: Stage) -> None:
    """The host has one of its own under /etc; and masks that a failed boot left behind go with the give-back."""
    own = "/etc/systemd/system/apt-daily.timer"
    stage.inside(
        f"cp /lib/systemd/system/apt-daily.timer {own}; systemctl daemon-reload; systemctl restart apt-daily.timer"
    )
    stage.begin()
    done = stage.bench.play("implement", HOST, debian_packages_reboot="always")
    assert done.ok, done.failures
    assert stage.inside("systemctl is-active apt-daily.timer || :") == "inactive"
    stage.inside("systemctl mask apt-daily-upgrade.timer")
    assert stage.bench.play("commit", HOST).ok
    assert stage.inside("systemctl is-active apt-daily.timer apt-daily-upgrade.timer").split() == ["active"] * 2


def test_a_restore_point_is_what_was_there_and_goes_nowhere_else(stage: Stage) -> None:
    """C19: as many files are no proof; what is in them is. An earlier copy is told when data was entered since."""
    stage.begin()
    archive = "$(ls -d /srv/*/restore_points/*/data.tar.gz | head -1)"
    assert stage.bench.play("restore_point", HOST).reports[HOST]["restore_point"]["current"] is True
    stage.inside(f"echo 43 >{DATA}/balance")
    assert stage.bench.play("restore_point", HOST).reports[HOST]["restore_point"]["current"] is False
    forged = f"p=$(dirname {archive}); rm {archive}; tar czf $p/data.tar.gz -C / {DATA[1:]}; cd $p; "
    stage.inside(forged + "find . -type f ! -name SHA256SUMS -printf '%P\\n' | sort | xargs sha256sum >SHA256SUMS")
    refused = stage.bench.play("restore_point", HOST)
    assert "is not what the restore point was taken of" in refused.failures[HOST]
    stage.inside(
        f'p=$(dirname {archive}); sed -i \'s/"host": "{HOST}"/"host": "other"/\' $p/point.json; cd $p; '
        "find . -type f ! -name SHA256SUMS -printf '%P\\n' | sort | xargs sha256sum >SHA256SUMS"
    )
    assert "'host': 'other'" in stage.bench.play("back_out", HOST).failures[HOST]


def test_a_full_disk_costs_no_data(stage: Stage) -> None:
    """C13: what is there is taken away when its replacement lies whole beside it."""
    stage.inside(f"mount -t tmpfs -o size=1m tmpfs {DATA}; head -c 300000 /dev/urandom >{DATA}/entries")
    stage.begin()
    assert stage.bench.play("implement", HOST).ok
    stage.inside(f"head -c 600000 /dev/urandom >{DATA}/more; sha256sum {DATA}/* >/tmp/before")
    full = stage.bench.play("back_out", HOST)
    assert "No space left" in full.failures[HOST]
    assert stage.inside(f"sha256sum -c --quiet /tmp/before; ls -A {DATA}").split() == ["entries", "more"]
    stage.inside(f"rm {DATA}/more")
    back = stage.bench.play("back_out", HOST)
    assert back.ok, back.failures
    assert stage.inside(f"ls -A {DATA}") == "entries"


def test_a_reboot_into_an_old_kernel_is_a_failure(stage: Stage, tmp_path: Path) -> None:
    """C14: the newest installed kernel is the one that has to run."""
    tree = tmp_path / "kernel"
    (tree / "DEBIAN").mkdir(parents=True)
    control = "Package: linux-image-99.0.0-1-amd64\nVersion: 99.0\nArchitecture: all\nMaintainer: a <a@b.example>\n"
    (tree / "DEBIAN/control").write_text(f"{control}Description: a kernel that nothing boots\n", encoding="utf-8")
    deb = tmp_path / "kernel.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, capture_output=True)
    machine.run_inside(stage.host, "sh", "-c", "cat >/var/tmp/k.deb && dpkg -i /var/tmp/k.deb", data=deb.read_bytes())
    stage.begin()
    done = stage.bench.play("implement", HOST, debian_packages_reboot="always")
    assert not done.ok
    assert "the newest installed is 99.0.0-1-amd64" in done.failures[HOST]


def test_a_lock_is_waited_for_and_its_holder_named(stage: Stage) -> None:
    """Held for a moment: waited for. Held on and on: a bounded wait, and who it is."""
    stage.begin()
    hold = "import fcntl,time;f=open('/var/lib/dpkg/lock-frontend','w');fcntl.lockf(f,fcntl.LOCK_EX);time.sleep({})"
    stage.inside(f'systemd-run --quiet --unit=holder python3 -c "{hold.format(300)}"; sleep 1')
    begun = time.monotonic()
    refused = stage.bench.play("implement", HOST, debian_packages_lock_wait=4)
    assert time.monotonic() - begun < 60
    assert not refused.ok
    assert (
        "waited 4 s for the package lock /var/lib/dpkg/lock-frontend: it is held by process" in refused.failures[HOST]
    )
    assert "python3 -c" in refused.failures[HOST]
    assert stage.version() == OLD
    stage.inside("systemctl stop holder")
    stage.inside(f'systemd-run --quiet --unit=brief python3 -c "{hold.format(6)}"; sleep 1')
    done = stage.bench.play("implement", HOST)
    assert done.ok, done.failures
    assert stage.version() == NEW


def test_a_held_package_is_not_overridden(stage: Stage) -> None:
    stage.begin()
    stage.inside(f"apt-mark hold {debs.NAME}")
    refused = stage.bench.play("implement", HOST)
    assert f"held on this host, by somebody's decision: {debs.NAME}" in refused.failures[HOST]
    assert stage.version() == OLD


def test_packages_left_half_way_are_found_before_anything_is_installed(stage: Stage) -> None:
    """U23: an interrupted run of the package tools is told, and not built upon."""
    stage.begin()
    stage.inside(f"dpkg --unpack /var/tmp/old.deb; dpkg --audit | grep -q {debs.NAME}")
    refused = stage.bench.play("implement", HOST)
    assert "left packages half-way" in refused.failures[HOST]


def test_without_the_old_package_there_is_no_restore_point(stage: Stage, artefacts: Path, tmp_path: Path) -> None:
    """C19: no way back, no upgrade."""
    lone = tmp_path / "debian_packages" / NEW
    lone.mkdir(parents=True)
    for path in (artefacts / "debian_packages" / NEW).iterdir():
        (lone / path.name).write_bytes(path.read_bytes())
    bench = replace(stage.bench, state=replace(stage.bench.state, artefacts_path=tmp_path))
    refused = bench.play("prepare", HOST)
    assert f"no way back: {debs.NAME} {OLD} can be had nowhere" in refused.failures[HOST]
