"""The whole upgrade of a tracker, playbook by playbook, on real hosts over SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from changeover import lab
from changeover.settings import PROJECT
from tests.playbooks.bench import Bench, Played

EXPECTATIONS = yaml.safe_load((PROJECT / "include/expectations/roundup/business_data.yaml").read_text(encoding="utf-8"))
DATASETS = {name: {"query": about["query"], "key": about["key"]} for name, about in EXPECTATIONS["datasets"].items()}
OLD, NEW = "2.0.0", "2.6.0"


@pytest.fixture(scope="module")
def tracker_lab(lab_root: Path) -> Iterator[Bench]:
    """Four hosts with a seeded tracker each; artefacts are kept between test runs."""
    state = lab.up("roundup", root=lab_root, port=0, artefacts=lab.default_root() / "artefacts")
    yield Bench(state, "roundup", OLD, NEW, extra={"datasets": DATASETS})
    lab.down("roundup", root=lab_root)


@pytest.fixture
def fresh_tracker_lab(tracker_lab: Bench) -> Bench:
    lab.reset("roundup", root=tracker_lab.state.root)
    return tracker_lab


def accept(bench: Bench, version: str, *names: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the acceptance suite against hosts as the product does."""
    known = {host["name"]: host for environment in bench.estate["environments"] for host in environment["hosts"]}
    hosts = {
        name: {
            "address": known[name]["address"],
            "port": known[name]["port"],
            "user": known[name]["user"],
            "variables": known[name]["variables"],
            "target_version": version,
        }
        for name in names
    }
    plan = directory / f"acceptance-{version}.json"
    plan.write_text(json.dumps({"environment": "training", "hosts": hosts}), encoding="utf-8")
    ssh = directory / "ssh_config"
    ssh.write_text(
        f"Host *\n  User {bench.state.user}\n  IdentityFile {bench.state.key_path}\n  BatchMode yes\n"
        f"  UserKnownHostsFile {bench.state.known_hosts_path}\n  StrictHostKeyChecking yes\n",
        encoding="utf-8",
    )
    reached = ",".join(f"ssh://{about['address']}:{about['port']}" for about in hosts.values())
    secrets = {f"CHANGEOVER_SECRET_{name.upper()}": value for name, value in bench.secrets().items()}
    suite = PROJECT / "include/acceptance/roundup"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(suite), str(suite)]
    return subprocess.run(
        [*command, f"--hosts={reached}", f"--ssh-config={ssh}"],
        env={**os.environ, **secrets, "CHANGEOVER_ACCEPTANCE": str(plan)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def done(played: Played) -> Played:
    assert played.ok, played.failures
    return played


def data_of(played: Played, host: str) -> dict[str, Any]:
    return dict(played.reports[host]["data"])


@pytest.mark.slow
def test_an_upgrade_is_made_backed_out_and_made_again(tracker_lab: Bench, tmp_path: Path) -> None:
    """Discover, prepare, close, implement, verify, back out, verify the old release, implement again, commit."""
    bench, host = tracker_lab, "training"
    found = done(bench.play("discover", host)).reports[host]
    assert found["version"] == OLD
    assert found["services"] == {"roundup": "running"}
    assert set(found["customisations"]) == {"schema.py", "html/issue.item.html"}
    assert found["integrations"]["cost-sync"]["schedule"] == "running"
    assert found["lock"] is None

    prepared = done(bench.play("prepare", host, restore_point="run-preparation")).reports[host]
    assert prepared["verified"] is True
    assert prepared["readable"] is True
    before = done(bench.play("restore_point", host)).reports[host]
    assert before["restore_point"]["readable"] is True
    assert len(before["data"]["issues"]) == 60
    assert before["integrations"]["cost-sync"]["schedule"] == "stopped"

    done(bench.play("implement", host, target_version=NEW))
    after = done(bench.play("verify", host, target_version=NEW)).reports[host]
    assert after["version"] == NEW
    assert after["schema"]["version"] == 8
    assert after["data"] == before["data"]
    assert after["integrations"]["cost-sync"]["schedule"] == "stopped"
    accepted = accept(bench, NEW, host, directory=tmp_path)
    assert accepted.returncode == 0, accepted.stdout

    done(bench.play("back_out", host))
    old = done(bench.play("verify", host)).reports[host]
    assert old["version"] == OLD
    assert old["schema"]["version"] == 5
    assert old["data"] == before["data"]
    assert old["integrations"]["cost-sync"]["schedule"] == "running"
    assert set(old["customisations"]) == {"schema.py", "html/issue.item.html"}
    accepted = accept(bench, OLD, host, directory=tmp_path)
    assert accepted.returncode == 0, accepted.stdout
    assert accept(bench, NEW, host, directory=tmp_path).returncode == 1, "the suite must not accept the wrong release"

    done(bench.play("restore_point", host, restore_point="run-window-again"))
    done(bench.play("implement", host, restore_point="run-window-again", target_version=NEW))
    committed = done(bench.play("commit", host, target_version=NEW)).reports[host]
    assert committed["version"] == NEW
    assert done(bench.play("readiness", host)).reports[host]["lock"] is None
    print({name: [round(seconds, 1) for seconds in times] for name, times in bench.timings.items()})
