"""Waivers: named, scoped, with reason and end; never for a check that is marked unwaivable."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from changeover.adapters.waiver_files import add_waiver, load_waivers, read_waivers
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import GateResult
from changeover.domain.waiver import AfterWaivers, Waiver, apply_waivers, expired
from changeover.errors import PlanError
from changeover.usecases.waivers import with_waivers
from tests.support.analysed import CATALOGUE, PLAN
from tests.support.world import World

TODAY = date(2026, 8, 14)
FOUND = Finding("impact-endpoint-moved", "prod1/feed", "calls what moves", environment="production")
ENTRY: dict[str, Any] = {
    "id": "W-1",
    "key": "impact-endpoint-moved",
    "subject": "prod?/feed",
    "environment": "production",
    "reason": "the feed is ported on the same night",
    "by": "owner",
    "given_on": "2026-08-01",
    "expires_on": "2026-08-31",
}


def waiver(**changes: Any) -> Waiver:
    return Waiver.model_validate(ENTRY | changes)


def judged(*waivers: Waiver, finding: Finding = FOUND, today: date = TODAY) -> AfterWaivers:
    return apply_waivers([finding], waivers, CATALOGUE, PLAN, today=today)


def test_a_waived_inhibitor_does_not_inhibit_and_says_under_whose_word() -> None:
    (found,) = judged(waiver()).findings
    assert not found.inhibits
    assert found.severity is Severity.INHIBITOR
    assert found.waived is not None
    assert (found.waived.waiver, found.waived.by, found.waived.until) == ("W-1", "owner", "2026-08-31")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": "customisation-edited"}, "matches no finding"),
        ({"subject": "prod2/feed"}, "matches no finding"),
        ({"environment": "training"}, "matches no finding"),
        ({"expires_on": "2026-08-13"}, "it expired on 2026-08-13"),
        ({"given_on": "2026-08-15"}, "it counts from 2026-08-15"),
        ({"by": "stranger"}, "stranger is no participant of the plan"),
        ({"by": "ops"}, "ops asked for the upgrade and cannot waive"),
        ({"key": "artefact-digest"}, "artefact-digest may never be waived"),
    ],
)
def test_a_waiver_out_of_its_scope_changes_nothing_and_is_told(changes: dict[str, Any], why: str) -> None:
    after = judged(waiver(**changes))
    assert after.findings == (FOUND,)
    assert len(after.notes) == 1
    assert why in after.notes[0]


@pytest.mark.parametrize(
    "subject", ["*", "??", "*/*", "*-*", "*a*", "?*?/*", "[]*", "pro*", "prod*/*", "*feed", "*/ab", "*/  "]
)
def test_a_subject_that_names_too_little_is_refused_and_counts_for_nothing(tmp_path: Path, subject: str) -> None:
    (fault,) = read_waivers(write(tmp_path, ENTRY | {"subject": subject}), CATALOGUE).faults
    assert (fault.path, "write out a part" in fault.message) == ("waivers.0.subject", True)
    after = judged(waiver(subject=subject))
    assert after.findings == (FOUND,)
    assert "write out a part between slashes" in after.notes[0]


@pytest.mark.parametrize("subject", ["prod1/feed", "prod?/feed", "*/feed", "prod1/*", "prod1*", "pr*d1/feed"])
def test_a_subject_that_names_a_part_of_it_counts(subject: str) -> None:
    (found,) = judged(waiver(subject=subject)).findings
    assert found.waived is not None


def test_all_but_star_and_question_mark_stands_for_itself() -> None:
    odd = replace(FOUND, subject="app[1]/feed.v2")
    assert judged(waiver(subject="app[1]/feed.v2"), finding=odd).findings[0].waived is not None
    assert judged(waiver(subject="app[1]/*"), finding=odd).findings[0].waived is not None
    assert judged(waiver(subject="app[12]/feed.v2"), finding=odd).findings[0].waived is None
    for none in ("prod[1]/feed", "[a-z]*", "[!x]*"):
        assert judged(waiver(subject=none)).findings == (FOUND,)
    assert judged(waiver(subject="prod1/f.ed")).findings == (FOUND,)


def test_it_is_told_how_many_findings_a_waiver_holds() -> None:
    both = [FOUND, replace(FOUND, subject="prod2/feed")]
    notes = apply_waivers(both, [waiver()], CATALOGUE, PLAN, today=TODAY).notes
    assert notes == ("waiver W-1 (impact-endpoint-moved, prod?/feed) holds 2 findings",)
    assert judged(waiver(subject="prod1/feed")).notes == (
        "waiver W-1 (impact-endpoint-moved, prod1/feed) holds 1 finding",
    )


def test_a_waiver_of_another_upgrade_is_no_matter() -> None:
    after = judged(waiver(upgrade="another"))
    assert after == AfterWaivers((FOUND,), ())


def test_an_unwaivable_finding_stays_whatever_a_file_says() -> None:
    unchanged = Finding("analysis-host-unchanged", "prod1/feed", "changed", environment="production")
    (found,) = judged(waiver(key="analysis-host-unchanged"), finding=unchanged).findings
    assert found.inhibits


def test_a_waiver_given_under_an_earlier_name_of_the_check_counts() -> None:
    renamed = CATALOGUE["impact-endpoint-moved"].model_copy(
        update={"key": "new-name", "aliases": ("impact-endpoint-moved",)}
    )
    checks = tuple(c for c in CATALOGUE.checks if c.key != "impact-endpoint-moved")
    catalogue = CATALOGUE.model_copy(update={"checks": (*checks, renamed)})
    after = apply_waivers([replace(FOUND, key="new-name")], [waiver()], catalogue, PLAN, today=TODAY)
    assert not after.findings[0].inhibits


def test_one_that_ended_since_is_found_again() -> None:
    (found,) = judged(waiver()).findings
    assert expired([found], on=date(2026, 8, 31)) == ()
    assert expired([found], on=date(2026, 9, 1)) == (found,)


# Files


def write(tmp_path: Path, *entries: dict[str, Any], client: str = "acme") -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(yaml.safe_dump({"schema_version": 1, "client": client, "waivers": list(entries)}))
    return path


def test_a_client_without_a_file_has_no_waivers(tmp_path: Path) -> None:
    assert load_waivers("acme", waivers=tmp_path, catalogue=CATALOGUE) == ()


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    assert load_waivers("acme", waivers=tmp_path, catalogue=CATALOGUE) == (waiver(),)


def test_every_fault_of_a_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        ENTRY,
        ENTRY | {"expires_on": "2026-07-01"},
        ENTRY | {"id": "W-2", "key": "no-such-check"},
        ENTRY | {"id": "W-3", "key": "analysis-host-unchanged"},
        ENTRY | {"id": "W-4", "key": "environment-fidelity", "expires_on": "2028-01-01"},
        ENTRY | {"id": "W-5", "subject": "*"},
        client="other",
    )
    told = {(fault.path, fault.message) for fault in read_waivers(path, CATALOGUE).faults}
    assert {path for path, _ in told} == {
        "client",
        "waivers.1.id",
        "waivers.1.expires_on",
        "waivers.2.key",
        "waivers.3.key",
        "waivers.4.key",
        "waivers.4.expires_on",
        "waivers.5.subject",
    }
    assert ("waivers.3.key", "analysis-host-unchanged may never be waived") in told
    assert all(fault.line for fault in read_waivers(path, CATALOGUE).faults)


@pytest.mark.parametrize("missing", ["reason", "by", "expires_on", "subject", "id"])
def test_a_waiver_without_a_part_is_refused(tmp_path: Path, missing: str) -> None:
    write(tmp_path, {key: value for key, value in ENTRY.items() if key != missing})
    with pytest.raises(PlanError, match=f"waivers.0.{missing}"):
        load_waivers("acme", waivers=tmp_path, catalogue=CATALOGUE)


def test_one_more_waiver_leaves_the_standing_ones(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    more = waiver(id="W-2", subject="prod2/feed")
    add_waiver("acme", more, standing=tmp_path, target=tmp_path / "more", catalogue=CATALOGUE)
    assert load_waivers("acme", waivers=tmp_path / "more", catalogue=CATALOGUE) == (waiver(), more)
    assert load_waivers("acme", waivers=tmp_path, catalogue=CATALOGUE) == (waiver(),)


# Asked again before the change


def readiness(tmp_path: Path, *, until: str, environment: str = "production") -> GateResult:
    """A readiness gate that passes, of a run whose analysis was waived until that day."""
    world = World(tmp_path)
    upgrade = world.upgrade()
    (found,) = judged(waiver(expires_on=until)).findings
    analysis = GateResult("client_analysis", "", (("a", ""),), (), ("h",), ("h",), (found,))
    world.ledger.record_gate(upgrade.run.key, analysis, world.now)
    return with_waivers(GateResult("readiness", environment, (), (), ("h",), ("h",)), upgrade, world.tools())


def test_a_waiver_is_asked_again_in_its_own_environment(tmp_path: Path) -> None:
    assert [r.state for r in readiness(tmp_path, until="2026-08-14").results] == ["passed"]
    assert readiness(tmp_path, until="2026-08-31", environment="training").results == ()


def test_a_waiver_that_ended_between_analysis_and_window_blocks_there(tmp_path: Path) -> None:
    world = World(tmp_path)
    upgrade = world.upgrade()
    (found,) = judged(waiver(expires_on="2026-08-14")).findings
    analysis = GateResult("client_analysis", "", (("a", ""),), (), ("h",), ("h",), (found,))
    world.ledger.record_gate(upgrade.run.key, analysis, world.now)
    world.now = world.now.replace(day=15)
    gate = with_waivers(GateResult("readiness", "production", (), (), ("h",), ("h",)), upgrade, world.tools())
    assert "waivers-valid: failed: W-1 (impact-endpoint-moved, prod1/feed) ended on 2026-08-14" in gate.reasons()
