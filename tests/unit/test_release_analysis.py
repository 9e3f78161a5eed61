"""Sub-process 3 and the entry conditions over every record of the product."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

from changeover.domain.legs import hops_of
from changeover.domain.path import Product
from changeover.domain.release import ReleaseRecord
from changeover.usecases.analysis import analyse_release
from changeover.usecases.legs import hops
from changeover.usecases.tools import Answer, Reply, Upgrade
from changeover.usecases.transition import entry_conditions
from tests.support.world import World, release

STEP = {"id": "reindex", "series": "2.3", "when": "after", "title": "Rebuild the index", "source": "notes"}


def record(version: str, supported_from: str, **more: Any) -> ReleaseRecord:
    changes = {"release": version, "version": version, "supported_from": [supported_from], **more}
    return ReleaseRecord.model_validate(release().model_dump(by_alias=True) | changes)


def upgrade_over(world: World, *records: ReleaseRecord, faults: tuple[str, ...] = (), **asked: Any) -> Upgrade:
    """From 2.0.0 to 2.6.0; the last of the records is the plan's own."""
    known = Product("tracker", records, faults)
    return dataclasses.replace(world.upgrade(**asked), record=records[-1], product=known)


def analysed(tmp_path: Path, *records: ReleaseRecord, faults: tuple[str, ...] = ()) -> tuple[Answer, dict[str, str]]:
    world = World(tmp_path)
    upgrade = upgrade_over(world, *records, faults=faults)
    answer = analyse_release(upgrade, world.tools())
    ((_, gate),) = world.ledger.gates(upgrade.run.key)
    return answer, {finding.key: finding.summary for finding in gate.findings}


def test_the_steps_of_the_releases_between_are_findings_of_the_analysis(tmp_path: Path) -> None:
    between, wanted = record("2.3", "==2.0", manual_steps=[STEP]), record("2.6.0", ">=2.0,<2.6")
    answer, found = analysed(tmp_path, between, wanted)
    assert answer.reply is Reply.YES
    assert found == {
        "release-leg": "leg 1 of 1: restore point of 2.0.0, proven readable before anything changes; "
        "gate: 2.6.0 accepted on every host; share of the window: 100%; no record says how long it takes",
        "release-manual-steps": "the vendor asks for 1 manual steps: Rebuild the index",
    }


def test_a_run_knows_the_record_along_its_way(tmp_path: Path) -> None:
    between, wanted = record("2.3", "==2.0", manual_steps=[STEP]), record("2.6.0", ">=2.0,<2.6")
    along = upgrade_over(World(tmp_path), between, wanted).release
    assert (along.version, [step.id for step in along.manual_steps]) == ("2.6.0", ["reindex"])


def test_a_way_of_several_legs_is_told_and_written_down(tmp_path: Path) -> None:
    """What was analysed is what is carried out: a record that is changed later does not move a stop."""
    world = World(tmp_path)
    upgrade = upgrade_over(world, record("2.3", ">=2.0,<2.3"), record("2.6.0", "==2.3"))
    assert analyse_release(upgrade, world.tools()).reply is Reply.YES
    ((_, gate),) = world.ledger.gates(upgrade.run.key)
    found = {finding.key: finding.summary for finding in gate.findings}
    assert "1. 2.0.0 -> 2.3 (tracker/2.3); 2. 2.3 -> 2.6.0 (tracker/2.6.0)" in found["release-legs"]
    later = upgrade_over(world, record("2.4", ">=2.0,<2.4"), record("2.6.0", "==2.4"))
    assert [hop.to_version for hop in hops_of(later.path)] == ["2.4", "2.6.0"]
    assert [hop.to_version for hop in hops(later, world.tools())] == ["2.3", "2.6.0"]


def test_a_record_that_cannot_be_read_inhibits(tmp_path: Path) -> None:
    answer, found = analysed(tmp_path, record("2.6.0", ">=2.0,<2.6"), faults=("tracker/2.3.yaml:1: is missing",))
    assert answer.reply is Reply.NO
    assert found["release-record-unreadable"] == "tracker/2.3.yaml:1: is missing"


def test_a_recall_refuses_the_entry_and_leaves_the_way_back_open(tmp_path: Path) -> None:
    recall = {"since": date(2026, 2, 1), "reason": "loses issues", "may_lift": ["vendor"], "source": "mail"}
    recalled = record("2.6.0", ">=2.0,<2.6", recall=recall)
    forward = upgrade_over(World(tmp_path), recalled)
    assert "2.6.0 was recalled on 2026-02-01" in entry_conditions(forward, date(2026, 8, 14))["release-applicable"]
    backward = dataclasses.replace(forward, run=dataclasses.replace(forward.run, mode="back-out"))
    assert entry_conditions(backward, date(2026, 8, 14))["release-applicable"] == ""
