"""Sub-process 3 and the entry conditions over every record of the product."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.check_files import load_catalogue
from changeover.domain.check import CheckStage
from changeover.domain.finding import Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.legs import hops_of
from changeover.domain.path import Product
from changeover.domain.path_findings import KEYS
from changeover.domain.plan_check import WAIVABLE
from changeover.domain.release import ReleaseRecord
from changeover.domain.release_checks import as_told
from changeover.domain.waiver import Waiver
from changeover.settings import load
from changeover.usecases.analysis import analyse_release
from changeover.usecases.legs import hops
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry, entry_conditions
from changeover.usecases.waivers import with_waivers
from tests.support.world import World, release

MONTH = timedelta(days=31)
EMPTY_READINESS = GateResult(
    "readiness", "production", (("ready", ""),), (CheckResult("ready", "", CheckState.PASSED),), ("plan",), ("plan",)
)
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
    world = World(tmp_path)
    forward = upgrade_over(world, recalled)
    answer = check_entry(forward, world.tools())
    assert answer.reply is Reply.NO
    assert "release-applicable: failed: tracker 2.6.0 was recalled on 2026-02-01" in answer.text
    backward = dataclasses.replace(forward, run=dataclasses.replace(forward.run, mode="back-out"))
    found = entry_conditions(backward, date(2026, 8, 14), backward.release_findings())
    assert found["release-applicable"] == ""


DEFECT = {
    "id": "CVE-9",
    "title": "It leaks mail",
    "affects": ["==2.6.0"],
    "severity": "inhibitor",
    "applies_if": "mail comes in by IMAP",
    "source": "advisory",
}


@dataclasses.dataclass
class Content:
    """Waivers alone; the analysis of clients is not asked here."""

    given: tuple[Waiver, ...] = ()

    def waivers(self, client: str) -> tuple[Waiver, ...]:
        return self.given


def waiver(**changes: Any) -> Waiver:
    given = {
        "id": "W-9",
        "key": "release-defect",
        "subject": "CVE-9",
        "reason": "this client has no mail at all",
        "by": "owner",
        "given_on": "2026-08-01",
        "expires_on": "2026-08-31",
    }
    return Waiver.model_validate(given | changes)


def knowing(world: World, *waivers: Waiver) -> Tools:
    content: Any = Content(waivers)
    return dataclasses.replace(world.tools(), catalogue=load_catalogue(load({}).checks), content=content)


def test_a_defect_that_stops_an_upgrade_stops_it_until_it_is_waived_for_this_client(tmp_path: Path) -> None:
    """Without a way on, one defect of a feature that few use would block every client there is."""
    world = World(tmp_path)
    upgrade = upgrade_over(world, record("2.6.0", ">=2.0,<2.6", known_defects=[DEFECT]))
    refused = check_entry(upgrade, knowing(world))
    assert refused.reply is Reply.NO
    assert "2.6.0 has it: It leaks mail; no fix is known; concerns whoever meets this: mail comes" in refused.text
    assert analyse_release(upgrade, knowing(world)).reply is Reply.NO
    assert check_entry(upgrade, knowing(world, waiver())).reply is Reply.YES
    answer = analyse_release(upgrade, knowing(world, waiver()))
    assert answer.reply is Reply.YES
    assert answer.text.startswith("2 findings, none inhibits, 1 waived")
    gate = world.ledger.gates(upgrade.run.key)[-1][1]
    (found,) = (finding for finding in gate.findings if finding.key == "release-defect")
    assert found.waived is not None
    assert (found.groups, found.waived.waiver) == (("defects",), "W-9")
    assert found.remediation.startswith("Plan a release in which it is repaired")
    ended = with_waivers(EMPTY_READINESS, upgrade, dataclasses.replace(knowing(world), clock=lambda: world.now + MONTH))
    assert ended.reasons() == ("waivers-valid: failed: W-9 (release-defect, CVE-9) ended on 2026-08-31",)


def test_a_waiver_that_does_not_count_for_a_release_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    upgrade = upgrade_over(world, record("2.6.0", ">=2.0,<2.6", known_defects=[DEFECT]))
    others = waiver(id="W-8", key="impact-endpoint-moved", subject="prod1/feed")
    answer = analyse_release(upgrade, knowing(world, waiver(subject="CVE-8"), others))
    assert answer.text.endswith("; waiver W-9 matches no finding: withdraw it"), "those of other checks are not judged"


@pytest.mark.parametrize(
    "key",
    ["release-recalled", "release-version", "release-target", "release-record-unreadable", "release-path"],
)
def test_what_the_vendor_does_not_support_may_never_be_waived(key: str) -> None:
    check = load_catalogue(load({}).checks).find(key)
    assert check is not None
    assert not check.waivable


def test_a_plan_is_told_the_same_as_its_runs_ask() -> None:
    catalogue = load_catalogue(load({}).checks)
    inhibitors = [check for check in catalogue.at(CheckStage.RELEASE) if check.severity is Severity.INHIBITOR]
    assert {check.key for check in inhibitors if check.waivable} == WAIVABLE


def test_every_finding_that_records_give_rise_to_is_in_the_catalogue(tmp_path: Path) -> None:
    """So that it has an audience, groups, and something to do about it."""
    catalogue = load_catalogue(load({}).checks)
    full = {
        "manual_steps": [STEP],
        "known_defects": [DEFECT],
        "changed": [{"kind": "endpoint", "what": "rpc", "from": "/", "to": "/rpc/", "source": "notes"}],
        "terms": [{"kind": kind, "what": "It changes", "source": "notes"} for kind in ("licence", "support")],
        "irreversible": [{"what": "It drops a table", "way_back": "restore it", "source": "notes"}],
        "before_leaving": [{"what": "its work has ended", "source": "notes"}],
    }
    way = (record("2.3", ">=2.0,<2.3", **full), record("2.6.0", "==2.3", **full))
    found = as_told(upgrade_over(World(tmp_path), *way, faults=("x",)).release_findings(), catalogue)
    keys = {finding.key for finding in found} | set(KEYS.values()) | {"release-recall-lifted"}
    assert all(finding.groups and finding.remediation and finding.actions for finding in found)
    entries = {"release-changed" if key.startswith("release-changed-") else key for key in keys}
    assert entries == {check.key for check in catalogue.at(CheckStage.RELEASE)}
    less = as_told(found, catalogue, off={"release-changed", "release-defect"})
    assert {f.key for f in found} - {f.key for f in less} == {"release-changed-endpoint"}, "an inhibitor stays"
