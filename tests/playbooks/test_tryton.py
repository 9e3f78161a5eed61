"""The whole upgrade of Nordwind's Tryton, playbook by playbook, on real hosts over SSH; and each fault of the lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from changeover import lab
from changeover.adapters.expectation_files import load_expectations
from changeover.settings import PROJECT
from tests.playbooks.bench import Bench, Played

OLD, NEW = "7.0.59", "8.0.12"
PRODUCTION = ("prod-app1", "prod-app2")
EXPECTED = load_expectations(PROJECT / "include/expectations/tryton")
pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def nordwind(lab_root: Path) -> Iterator[Bench]:
    """The site tryton with artefacts of its own, since a fault takes one away."""
    state = lab.up("tryton", root=lab_root, port=0, artefacts=lab_root / "artefacts")
    yield Bench(state, "tryton", OLD, NEW)
    lab.down("tryton", root=lab_root)


def reset(bench: Bench, fault: str | None = None) -> None:
    lab.reset("tryton", root=bench.state.root, fault=fault)


def reading(version: str) -> dict[str, Any]:
    """The variables by which a playbook reads the business data of that release."""
    datasets = {name: {"query": about.query_at(version), "key": about.key} for name, about in EXPECTED.datasets.items()}
    return {"target_version": version, "datasets": datasets}


def done(played: Played) -> Played:
    assert played.ok, played.failures
    return played


def data_of(played: Played) -> dict[str, Any]:
    """Business data, from the one host that reads it."""
    (found,) = [report["data"] for report in done(played).reports.values() if "data" in report]
    return dict(found)


def ready(bench: Bench, hosts: Sequence[str]) -> dict[str, Any]:
    """Everything that comes before the change; gives the business data."""
    prepared = done(bench.play("prepare", *hosts, restore_point="test-preparation"))
    assert all(report["verified"] and report["readable"] for report in prepared.reports.values())
    return data_of(bench.play("restore_point", *hosts, **reading(OLD)))


def assert_backed_out(bench: Bench, hosts: Sequence[str], before: dict[str, Any], evidence: Path) -> None:
    done(bench.play("back_out", *hosts))
    old = bench.play("verify", *hosts, **reading(OLD))
    assert data_of(old) == before
    for report in old.reports.values():
        assert report["version"] == OLD
        assert report["schema"]["series"] == "before 7.6"
        assert report["integrations"]["order-feed"]["schedule"] == "running"
    assert bench.refused(OLD, *hosts, evidence=evidence) == {}


def test_an_environment_of_two_hosts_is_upgraded_and_backed_out(nordwind: Bench, tmp_path: Path) -> None:
    """One host migrates the database that both use; both then run the new release, and both go back together."""
    reset(nordwind)
    before = ready(nordwind, PRODUCTION)
    assert (len(before["sales"]), len(before["parties"]), len(before["products"])) == (30, 23, 12)

    done(nordwind.play("implement", *PRODUCTION, target_version=NEW))
    new = nordwind.play("verify", *PRODUCTION, **reading(NEW))
    assert data_of(new) == before
    for report in new.reports.values():
        assert (report["version"], report["version_fault"]) == (NEW, "")
        assert report["schema"]["series"] == "8.0"
        assert report["customisations"]["customer_nordwind"]["version"] == "8.0.1"
        assert report["integrations"]["order-feed"]["schedule"] == "stopped"
    assert nordwind.refused(NEW, *PRODUCTION, evidence=tmp_path / "new") == {}
    wrong = nordwind.refused(OLD, "prod-app2", evidence=tmp_path / "wrong")
    assert ("test_server_is_started_from_the_wanted_release", "prod-app2") in wrong

    alone = nordwind.play("back_out", "prod-app2")
    assert "All hosts that share it are backed out together" in alone.failures["prod-app2"]
    assert_backed_out(nordwind, PRODUCTION, before, tmp_path / "old")


def test_a_baseline_is_built_from_productions_data_and_a_second_try_is_backed_out_too(
    nordwind: Bench, tmp_path: Path
) -> None:
    """It starts empty; production is only read; its restore point serves every try of the rehearsal."""
    reset(nordwind)
    label: dict[str, Any] = {"restore_point": "test-baseline"}
    built = nordwind.play("build", "baseline", sources=PRODUCTION, **label, **reading(OLD))
    before = data_of(built)
    assert not any(built.changed.get(name) for name in PRODUCTION)
    assert before == data_of(nordwind.play("verify", *PRODUCTION, **reading(OLD)))
    report = built.reports["baseline"]
    assert report["restore_point"]["readable"] is True
    (about,) = report["settings"].values()
    assert about["values"]["account.reconciliation_chunk"] == "20"
    for _ in range(2):
        done(nordwind.play("implement", "baseline", target_version=NEW, **label))
        done(nordwind.play("back_out", "baseline", **label))
        assert data_of(nordwind.play("verify", "baseline", **reading(OLD))) == before
    assert nordwind.refused(OLD, "baseline", evidence=tmp_path) == {}


def test_a_module_that_was_not_ported_fails_the_migration(nordwind: Bench) -> None:
    """Nothing but the rehearsal finds out, and the restore point brings the baseline back."""
    reset(nordwind, "module")
    label: dict[str, Any] = {"restore_point": "test-baseline"}
    before = data_of(nordwind.play("build", "baseline", sources=PRODUCTION, **label, **reading(OLD)))
    failed = nordwind.play("implement", "baseline", target_version=NEW, **label)
    assert "modules/customer_nordwind/tryton.cfg" in failed.failures["baseline"]
    half = done(nordwind.play("discover", "baseline")).reports["baseline"]
    assert half["version"] is None
    assert half["schema"]["series"].startswith("between")
    done(nordwind.play("back_out", "baseline", **label))
    assert data_of(nordwind.play("verify", "baseline", **reading(OLD))) == before
    reset(nordwind)
    assert "customer_nordwind-8.0.1-py3-none-any.whl" in (
        (nordwind.state.artefacts_path / "tryton" / NEW / "SHA256SUMS").read_text(encoding="utf-8")
    )


def test_a_migration_that_is_killed_half_way_is_backed_out(nordwind: Bench, tmp_path: Path) -> None:
    """PostgreSQL undoes the migration itself, but not the vendor's actions before it: code alone is not a way back."""
    reset(nordwind, "kill")
    before = ready(nordwind, PRODUCTION)
    failed = nordwind.play("implement", *PRODUCTION, target_version=NEW)
    assert list(failed.failures) == ["prod-app1"]
    assert failed.failures["prod-app1"].startswith("Migrate the database")
    half = done(nordwind.play("discover", *PRODUCTION)).reports
    for report in half.values():
        assert report["version"] is None
        assert report["schema"]["series"].startswith("between")
        assert report["marker"]["phase"] == "implementing"
    assert_backed_out(nordwind, PRODUCTION, before, tmp_path)


def test_an_integration_left_behind_shows_in_acceptance_alone(nordwind: Bench, tmp_path: Path) -> None:
    """The old program works until the endpoint moves, and again after the back-out; the upgrade itself succeeds."""
    reset(nordwind, "integration")
    assert nordwind.refused(OLD, *PRODUCTION, evidence=tmp_path / "before") == {}
    before = ready(nordwind, PRODUCTION)
    done(nordwind.play("implement", *PRODUCTION, target_version=NEW))
    assert data_of(nordwind.play("verify", *PRODUCTION, **reading(NEW))) == before
    said = nordwind.refused(NEW, *PRODUCTION, evidence=tmp_path / "new")
    assert set(said) == {("test_integration_makes_its_round", name) for name in PRODUCTION}
    assert all("HTTP 405" in message for message in said.values())
    assert_backed_out(nordwind, PRODUCTION, before, tmp_path / "old")
