"""A run whose plan is approved is carried out, and backed out, on the release records that were approved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.pinned_releases import pin_releases
from changeover.adapters.plan_files import parse_plan
from changeover.errors import PlanError
from changeover.settings import Settings, load
from tests.support.records import a_run

PLAN = load({}).plans / "lindgren/roundup-2.6.yaml"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(load({}).releases, tmp_path / "releases")
    return replace(load({}), home=tmp_path / "home", releases=tmp_path / "releases")


def test_what_becomes_of_the_files_after_the_approval_is_not_the_runs(settings: Settings) -> None:
    run, plan = a_run(), parse_plan(PLAN.read_bytes(), name="the plan")
    approved = wiring.upgrade_of(settings, run, plan)
    wiring.pin_releases(settings, approved)
    for path in (settings.releases / "roundup").iterdir():
        path.write_text("release: [", encoding="utf-8")
    again = wiring.upgrade_of(settings, run, plan)
    assert (again.record, again.product) == (approved.record, approved.product)
    shutil.rmtree(settings.releases)
    wiring.pin_releases(settings, again)
    assert wiring.upgrade_of(settings, run, plan).record == approved.record
    with pytest.raises(PlanError):
        wiring.upgrade_of(settings, a_run("another-run"), plan)


def test_before_the_approval_a_correction_counts(settings: Settings) -> None:
    run, plan = a_run(), parse_plan(PLAN.read_bytes(), name="the plan")
    record = settings.releases / "roundup/2.6.0.yaml"
    good = record.read_text(encoding="utf-8")
    record.write_text("release: [", encoding="utf-8")
    with pytest.raises(PlanError):
        wiring.upgrade_of(settings, run, plan)
    record.write_text(good, encoding="utf-8")
    assert wiring.upgrade_of(settings, run, plan).record.version == "2.6.0"


def test_of_two_processes_the_first_ones_copy_stays(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "pinned"
    pin_releases("roundup", releases=settings.releases, place=place)
    before = sorted(path.name for path in (place / "roundup").iterdir())
    (settings.releases / "roundup/2.6.0.yaml").unlink()
    pin_releases("roundup", releases=settings.releases, place=place)
    assert sorted(path.name for path in (place / "roundup").iterdir()) == before
    assert [path.name for path in tmp_path.glob("pinned*")] == ["pinned"]
