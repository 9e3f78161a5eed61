"""The hypercare watch: what a look sees, what is written of it, and who is asked with which facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.hypercare import Course
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.ports import WriteState
from changeover.usecases.answers import no_answer, record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.closeout import exit_conditions
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.evidence import keep_business_data
from changeover.usecases.planning import write_run_sheet
from changeover.usecases.support import hypercare_look, support_accepts, watch_on
from changeover.usecases.tools import Reply, Tools, Upgrade, mark
from changeover.usecases.transition import open_change
from tests.support.world import NEW, World, plan

PRODUCTION = ("prod1", "prod2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _upgrade(world: World, **hypercare: Any) -> Upgrade:
    support = plan().support.model_dump(mode="json", exclude_none=True)
    support["hypercare"] = {"length": "1m", "interval": "20s"} | hypercare
    upgrade = world.upgrade(of=plan(support=support))
    found = [world.cmdb.environment("acme", "tracker", name) for name in ("training", "production")]
    world.ledger.freeze_hosts(upgrade.run.key, {each.name: each.hosts for each in found if each})
    for lane in upgrade.lanes:
        mark(upgrade, world.tools(), MarkKind.IMPLEMENTING, lane.name)
    return upgrade


def _upgraded(world: World) -> None:
    world.versions = dict.fromkeys(world.versions, NEW)


def _marks(world: World, upgrade: Upgrade, kind: MarkKind) -> list[dict[str, Any]]:
    return [dict(found.data) for found in world.ledger.marks(upgrade.run.key, kind=kind)]


def _look(upgrade: Upgrade, tools: Tools) -> Course:
    hypercare_look(upgrade, tools)
    return watch_on(upgrade, tools).course


def test_looks_keep_their_rhythm_however_long_one_takes(world: World) -> None:
    _upgraded(world)
    world.took["discover.yml"] = timedelta(seconds=8)
    upgrade, tools = _upgrade(world), world.tools()
    hypercare_look(upgrade, tools)
    began, waits = world.now, []
    while (step := watch_on(upgrade, tools)).course is Course.LOOK_AGAIN:
        waits.append(step.wait.total_seconds())
        world.now += step.wait
        hypercare_look(upgrade, tools)
    assert step.course is Course.END
    assert waits == [20, 12, 12]
    assert world.now - began == timedelta(seconds=68)
    assert _marks(world, upgrade, MarkKind.HYPERCARE_ENDED) == [{"reason": "4 clean looks in a row"}]


def test_a_host_that_went_back_is_unwell_and_two_such_looks_reopen_the_decision(world: World) -> None:
    upgrade, tools = _upgrade(world), world.tools()
    gate = hypercare_look(upgrade, tools)
    assert not gate.passed
    assert watch_on(upgrade, tools).course is Course.LOOK_AGAIN
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.ASK
    (reopened,) = _marks(world, upgrade, MarkKind.HYPERCARE_REOPENED)
    assert reopened["reason"].startswith("2 looks in a row found a host unwell: train1: version 2.0.0 found")


def test_a_version_written_in_another_way_is_the_same_version(world: World) -> None:
    world.versions = dict.fromkeys(world.versions, "2.6")
    assert hypercare_look(_upgrade(world), world.tools()).passed


def test_an_unreachable_host_is_unwell(world: World) -> None:
    _upgraded(world)
    world.unreachable = {"prod2"}
    upgrade = _upgrade(world, reopens={"failed_looks": 1})
    assert _look(upgrade, world.tools()) is Course.ASK
    assert "prod2: it gave no report" in _marks(world, upgrade, MarkKind.HYPERCARE_CHECKED)[0]["unwell"]


def test_errors_are_judged_where_the_plan_says_how_many_are_too_many(world: World) -> None:
    _upgraded(world)
    world.errors = dict.fromkeys(world.versions, 100)
    upgrade, tools = _upgrade(world, reopens={"errors_per_hour": 5, "failed_looks": 1}), world.tools()
    assert hypercare_look(upgrade, tools).passed, "errors from before the watch are not held against the release"
    world.now += timedelta(seconds=20)
    world.errors["prod1"] = 106
    gate = hypercare_look(upgrade, tools)
    assert gate.reasons() == ("error-rate on prod1: failed: 6 errors in an hour",)
    assert watch_on(upgrade, tools).course is Course.ASK


def test_errors_that_cannot_be_read_are_a_no_once_they_are_judged(world: World) -> None:
    _upgraded(world)
    assert hypercare_look(_upgrade(world), world.tools()).passed
    upgrade = _upgrade(World(world.directory), reopens={"errors_per_hour": 5})
    assert not hypercare_look(upgrade, world.tools()).passed


def test_a_look_keeps_the_incidents_it_saw_and_links_them_to_the_change(world: World) -> None:
    """Once each however often it looks, and again when one became graver: the ledger can count them."""
    _upgraded(world)
    upgrade, tools = _upgrade(world), world.tools()
    open_change(upgrade, tools)
    world.cmdb.open_incident("acme", "tracker", severity=3, summary="search is slow", at=world.now)
    other = world.cmdb.open_incident("acme", "tracker", severity=1, summary="theirs", at=world.now, caused_by="CHG9")
    hypercare_look(upgrade, tools)
    hypercare_look(upgrade, tools)
    assert [(seen["number"], seen["severity"]) for seen in _marks(world, upgrade, MarkKind.INCIDENT_SEEN)] == [
        ("INC0000001", 3), ("INC0000002", 1),
    ]  # fmt: skip
    deliver(world.ledger, world.cmdb, world.now)
    assert not world.ledger.outbox(change=upgrade.run.key, state=WriteState.PENDING)
    linked = {i.number: i.caused_by for i in world.cmdb.open_incidents("acme", "tracker")}
    assert linked == {"INC0000001": upgrade.run.key, other.number: "CHG9"}


def test_incidents_of_the_old_release_are_not_put_down_to_the_upgrade(world: World) -> None:
    """A run is opened days before its window. What is of one environment counts from that one's change on."""
    _upgraded(world)
    upgrade, tools = world.upgrade(), world.tools()
    found = [world.cmdb.environment("acme", "tracker", name) for name in ("training", "production")]
    world.ledger.freeze_hosts(upgrade.run.key, {each.name: each.hosts for each in found if each})
    open_change(upgrade, tools)

    def opened(environment: str) -> str:
        world.now += timedelta(hours=1)
        incident = world.cmdb.open_incident(
            "acme", "tracker", severity=2, summary="old", at=world.now, environment=environment
        )
        return incident.number

    old = [opened(""), opened("training"), opened("production")]
    mark(upgrade, tools, MarkKind.IMPLEMENTING, "training")
    new = [opened(""), opened("training")]
    old.append(opened("production"))
    world.now += timedelta(hours=1)
    mark(upgrade, tools, MarkKind.IMPLEMENTING, "production")
    new.append(opened("production"))
    hypercare_look(upgrade, tools)
    deliver(world.ledger, world.cmdb, world.now)
    assert [seen["number"] for seen in _marks(world, upgrade, MarkKind.INCIDENT_SEEN)] == new
    linked = {i.number: i.caused_by for i in world.cmdb.open_incidents("acme", "tracker")}
    assert linked == dict.fromkeys(old, "") | dict.fromkeys(new, upgrade.run.key)
    (look,) = _marks(world, upgrade, MarkKind.HYPERCARE_CHECKED)
    assert look["critical"] == new
    assert look["before"] == [f"{number} (severity 2): old" for number in old]
    facts = str(open_request(upgrade, tools, gate="support").data["facts"])
    assert f"| open before the change | {'; '.join(look['before'])} |" in facts


def test_an_incident_that_came_and_went_between_two_looks_is_seen_and_stops_nothing(world: World) -> None:
    _upgraded(world)
    upgrade, tools = _upgrade(world), world.tools()
    open_change(upgrade, tools)
    hypercare_look(upgrade, tools)
    incident = world.cmdb.open_incident("acme", "tracker", severity=1, summary="down", at=world.now)
    world.now += timedelta(seconds=10)
    closed_at = world.now
    world.cmdb.close_incident(incident.number, closed_at)
    world.now += timedelta(seconds=10)
    assert hypercare_look(upgrade, tools).passed
    (seen,) = _marks(world, upgrade, MarkKind.INCIDENT_SEEN)
    assert (seen["number"], seen["severity"], seen["state"]) == ("INC0000001", 1, "closed")
    assert seen["closed_at"] == closed_at.isoformat()
    assert _marks(world, upgrade, MarkKind.HYPERCARE_CHECKED)[-1]["incidents"] == ["INC0000001"]
    deliver(world.ledger, world.cmdb, world.now)
    assert world.cmdb.incidents["INC0000001"][2].caused_by == upgrade.run.key
    assert exit_conditions(upgrade, tools)["no-critical-incident"] == ""


def test_so_many_new_incidents_reopen_the_decision_though_each_was_resolved(world: World) -> None:
    _upgraded(world)
    upgrade, tools = _upgrade(world, reopens={"incidents": 2}), world.tools()
    for _ in range(2):
        incident = world.cmdb.open_incident("acme", "tracker", severity=3, summary="slow", at=world.now)
        world.cmdb.close_incident(incident.number, world.now)
    assert _look(upgrade, tools) is Course.ASK


def test_every_change_of_severity_and_state_is_told_also_back_again(world: World) -> None:
    upgrade, tools = _upgrade(world), world.tools()
    number = world.cmdb.open_incident("acme", "tracker", severity=3, summary="slow", at=world.now).number

    def becomes(severity: int, closed_at: datetime | None = None) -> None:
        owner, application, incident = world.cmdb.incidents[number]
        now = replace(incident, severity=severity, closed_at=closed_at)
        world.cmdb.incidents[number] = (owner, application, now)

    for severity, closed_at in ((3, None), (3, None), (1, None), (3, None), (3, world.now), (3, world.now), (3, None)):
        becomes(severity, closed_at)
        hypercare_look(upgrade, tools)
        world.now += timedelta(seconds=1)
    seen = [(told["severity"], told["state"]) for told in _marks(world, upgrade, MarkKind.INCIDENT_SEEN)]
    assert seen == [(3, "open"), (1, "open"), (3, "open"), (3, "closed"), (3, "open")]


def test_an_incident_of_an_environment_that_was_not_upgraded_is_not_ours(world: World) -> None:
    upgrade = _upgrade(world)
    world.cmdb.open_incident("acme", "tracker", severity=1, summary="x", at=world.now, environment="baseline")
    hypercare_look(upgrade, world.tools())
    assert _marks(world, upgrade, MarkKind.INCIDENT_SEEN) == []


def test_a_watch_extends_itself_with_its_reason_and_ends_once_it_is_clean(world: World) -> None:
    _upgraded(world)
    upgrade, tools = _upgrade(world, length="20s", clean_looks=2, reopens={"critical_incidents": 2}), world.tools()
    incident = world.cmdb.open_incident("acme", "tracker", severity=2, summary="no login", at=world.now)
    assert _look(upgrade, tools) is Course.LOOK_AGAIN
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.EXTEND
    (extended,) = _marks(world, upgrade, MarkKind.HYPERCARE_EXTENDED)
    assert extended["reason"] == "0 of 2 clean looks in a row; INC0000001 is open"
    world.cmdb.close_incident(incident.number, world.now)
    assert _look(upgrade, tools) is Course.LOOK_AGAIN
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.END


def _asked(world: World) -> tuple[Upgrade, Tools, str]:
    """The decision is reopened by a critical incident; what the people read."""
    _upgraded(world)
    upgrade, tools = _upgrade(world, decided_by={"by": ["owner"]}), world.tools()
    for lane, hosts in (("training", ("train1",)), ("production", PRODUCTION)):
        keep_business_data(upgrade, tools, lane, {host: {"issues": [{"id": 1}]} for host in hosts})
        mark(upgrade, tools, MarkKind.RESTORE_POINT_PROVEN, lane, label=f"point-{lane}")
    world.now += timedelta(days=2, hours=3)
    world.rows["prod1"] = [{"id": 1}, {"id": 2}, {"id": 3}]
    world.cmdb.open_incident("acme", "tracker", severity=1, summary="orders are lost", at=world.now)
    assert _look(upgrade, tools) is Course.ASK
    return upgrade, tools, str(open_request(upgrade, tools, gate="hypercare").data["facts"])


def test_who_decides_reads_why_and_what_would_be_lost(world: World) -> None:
    _, _, facts = _asked(world)
    assert "| why | 1 new critical incident: INC0000001 |" in facts
    assert "INC0000001 (severity 1, critical): orders are lost" in facts
    assert "point-production, proven 2026-08-14 13:00Z, kept 30 days after the run has ended" in facts
    assert "everything entered since 2026-08-14 13:00Z (2 d 3 h): prod1 issues 1 rows then, 3 now" in facts


def test_facts_that_cannot_be_read_keep_nobody_from_deciding(world: World) -> None:
    world.breaks["production", "verify.yml"] = PRODUCTION
    world.unreachable = set()
    _, _, facts = _asked(world)
    assert "way back of production" in facts


def test_keeping_lets_the_watch_go_on_with_what_was_known(world: World) -> None:
    upgrade, tools, _ = _asked(world)
    said = record_answer(
        upgrade, tools, gate="hypercare", environment="", option="Approve", responder={"id": "owner"}, comment="known"
    )
    assert said.reply is Reply.YES
    assert _marks(world, upgrade, MarkKind.HYPERCARE_KEPT) == [{"by": "owner"}]
    assert watch_on(upgrade, tools).course is Course.LOOK_AGAIN
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.LOOK_AGAIN, "the same incident does not reopen it"
    world.cmdb.open_incident("acme", "tracker", severity=2, summary="another", at=world.now)
    assert _look(upgrade, tools) is Course.ASK


def test_backing_out_says_what_to_start_and_the_run_cannot_close_well(world: World) -> None:
    upgrade, tools, _ = _asked(world)
    said = record_answer(
        upgrade, tools, gate="hypercare", environment="", option="Reject", responder={"id": "owner"}, comment=""
    )
    assert said.reply is Reply.NO
    assert "owner decided to back out" in said.text
    assert f"--mode {Mode.BACK_OUT} --environment training --environment production" in said.text
    assert exit_conditions(upgrade, tools)["watch-ended"] == "owner decided to back out"


def test_a_watch_that_was_looked_at_again_reopened_and_kept_ends_once_more(world: World) -> None:
    """Its task was cleared after it had ended; until it ends anew it has not ended."""
    _upgraded(world)
    upgrade, tools = _upgrade(world, length="20s", decided_by={"by": ["owner"]}), world.tools()
    _look(upgrade, tools)
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.END
    number = world.cmdb.open_incident("acme", "tracker", severity=1, summary="orders are lost", at=world.now).number
    world.now += timedelta(seconds=20)
    assert _look(upgrade, tools) is Course.ASK
    assert open_request(upgrade, tools, gate="hypercare").reply is Reply.YES
    record_answer(
        upgrade, tools, gate="hypercare", environment="", option="Approve", responder={"id": "owner"}, comment="known"
    )
    assert support_accepts(upgrade, tools, by="support").text.endswith("the hypercare watch has not ended")
    world.cmdb.close_incident(number, world.now)
    world.now += timedelta(seconds=20)
    while _look(upgrade, tools) is not Course.END:
        assert exit_conditions(upgrade, tools)["watch-ended"]
        world.now += timedelta(seconds=20)
    assert len(_marks(world, upgrade, MarkKind.HYPERCARE_ENDED)) == 2
    assert exit_conditions(upgrade, tools)["watch-ended"] == ""


def test_nobody_else_decides_and_silence_decides_nothing(world: World) -> None:
    upgrade, tools, _ = _asked(world)
    stranger = {"id": "support"}
    said = record_answer(
        upgrade, tools, gate="hypercare", environment="", option="Approve", responder=stranger, comment=""
    )
    assert said.reply is Reply.NO
    assert no_answer(upgrade, tools, gate="hypercare", environment="").reply is Reply.NO
    assert _marks(world, upgrade, MarkKind.HYPERCARE_KEPT) == []
    assert exit_conditions(upgrade, tools)["watch-ended"] == "nobody decided whether the release is kept"


def test_support_cannot_accept_before_the_watch_has_ended(world: World) -> None:
    _upgraded(world)
    upgrade, tools = _upgrade(world), world.tools()
    assert support_accepts(upgrade, tools, by="support").reply is Reply.NO
    hypercare_look(upgrade, tools)
    assert support_accepts(upgrade, tools, by="support").reply is Reply.NO
    world.now += timedelta(minutes=1)
    assert _look(upgrade, tools) is Course.END
    assert support_accepts(upgrade, tools, by="support").reply is Reply.YES


def test_support_reads_how_the_watch_went_and_what_the_way_back_is(world: World) -> None:
    """Hosts are not read for it: only who decides about the release needs to know how much would be lost."""
    _upgraded(world)
    upgrade, tools = _upgrade(world), world.tools()
    mark(upgrade, tools, MarkKind.RESTORE_POINT_PROVEN, "production", label="point-1")
    hypercare_look(upgrade, tools)
    facts = str(open_request(upgrade, tools, gate="support").data["facts"])
    assert "| the watch | 1 look, 1 of them clean |" in facts
    assert "| open incidents | none |" in facts
    assert "| way back of training | no proven restore point is on record |" in facts
    assert "point-1, proven 2026-08-14 13:00Z, kept 30 days after the run has ended" in facts
    assert "verify.yml" not in world.playbooks("production")


def test_the_run_sheet_keeps_the_windows_that_were_agreed(world: World) -> None:
    window = {"kind": "dated", "on": "2026-12-05", "start": "22:00", "end": "02:00", "zone": "Europe/Berlin"}
    environments = [environment.model_dump(mode="json") for environment in plan().environments]
    environments[2]["window"] = window
    upgrade = world.upgrade(of=plan(environments=environments))
    write_run_sheet(upgrade, world.tools())
    (kept,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.WINDOW_AGREED)
    assert (kept.environment, kept.data["closes"]) == ("production", "2026-12-06T01:00:00+00:00")
    assert kept.data["closes_second"] == datetime(2026, 12, 6, 1, tzinfo=UTC).timestamp()
    assert (kept.data["forecast_seconds"], kept.data["decide_by"]) == (0.0, "2026-12-06T01:00:00+00:00")
