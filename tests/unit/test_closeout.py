"""Closeout: what keeps a run from closing is named, and nothing it took stays behind unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.report_files import review_text
from changeover.domain.change import ChangeState, CloseCode
from changeover.domain.finding import Finding, Severity, Waived
from changeover.domain.given_back import not_given_back, traffic
from changeover.domain.hypercare import Course
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind, StepRecord, StepStatus
from changeover.domain.review import review_of
from changeover.domain.waiver import Waiver
from changeover.usecases import baseline, lane
from changeover.usecases.closeout import check_exit, close, exit_conditions, outcome_of
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.run_view import view_run
from changeover.usecases.steer_run import hold, resume
from changeover.usecases.support import hypercare_look, support_accepts, watch_on
from changeover.usecases.tools import Reply, Tools, Upgrade, mark, tell_cmdb
from changeover.usecases.transition import check_entry, open_change
from tests.support.estate import Estate as EstateOfAnalysis
from tests.support.story import Story, upgraded
from tests.support.world import NEW, OLD, World

STAGES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
ENDS = ("verdict", "commit", "settle")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def begun(world: World) -> tuple[Upgrade, Tools]:
    """Rehearsed and approved: the lanes may begin."""
    upgrade, tools = world.upgrade(), world.tools()
    check_entry(upgrade, tools)
    open_change(upgrade, tools)
    world.approve(upgrade)
    for step in (
        baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old,
        baseline.implement, baseline.accept_again,
    ):  # fmt: skip
        assert step(upgrade, tools).reply is Reply.YES
    tell_cmdb(upgrade, tools, "move_change", "implement", state="implement")
    return upgrade, tools


def through(upgrade: Upgrade, tools: Tools, environment: Environment, *stages: str) -> None:
    for stage in stages:
        assert getattr(lane, stage)(upgrade, tools, environment).reply is Reply.YES, stage


def watched(world: World) -> tuple[Upgrade, Tools]:
    """Every lane upgraded, and the watch ended well: what is left is support's word."""
    upgrade, tools = begun(world)
    for each in upgrade.lanes:
        through(upgrade, tools, each, *STAGES, *ENDS)
    while True:
        hypercare_look(upgrade, tools)
        follows = watch_on(upgrade, tools)
        if follows.course is Course.END:
            deliver(tools.ledger, tools.cmdb, tools.clock())
            return upgrade, tools
        assert follows.course is not Course.ASK, follows.reasons
        world.now += follows.wait


def unmet(upgrade: Upgrade, tools: Tools) -> dict[str, str]:
    return {key: reason for key, reason in exit_conditions(upgrade, tools).items() if reason}


def closed(world: World, upgrade: Upgrade, tools: Tools) -> tuple[str, Outcome, CloseCode | None]:
    """What the exit says, the outcome, and the code with which the change is closed."""
    said = check_exit(upgrade, tools)
    verdict = close(upgrade, tools)
    change = world.cmdb.change(upgrade.run.key)
    return said.text, verdict.outcome, change.close_code if change else None


def test_a_run_closes_once_everything_is_met(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    assert closed(world, upgrade, tools) == ("exit conditions met", Outcome.SUCCESSFUL, CloseCode.SUCCESSFUL)


def test_it_does_not_close_without_supports_acceptance(world: World) -> None:
    upgrade, tools = watched(world)
    text, outcome, code = closed(world, upgrade, tools)
    assert text == "support-accepted: failed: support has not accepted"
    assert (outcome, code) == (Outcome.UNKNOWN, None)


def test_it_does_not_close_with_a_critical_incident_open(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    world.cmdb.open_incident("acme", "tracker", severity=2, summary="orders are lost", at=world.now)
    text, outcome, code = closed(world, upgrade, tools)
    assert text == "no-critical-incident: failed: open: INC0000001"
    assert (outcome, code) == (Outcome.UNKNOWN, None)


def test_what_is_put_right_is_closed_with_the_code_that_the_ledger_has(world: World) -> None:
    """Until then the change is in review, with a note that says why, and nobody asks the client how it was."""
    upgrade, tools = watched(world)
    incident = world.cmdb.open_incident("acme", "tracker", severity=1, summary="orders are lost", at=world.now)
    for _ in range(2):
        closed(world, upgrade, tools)
    change = world.cmdb.change(upgrade.run.key)
    assert change is not None
    assert (change.state, change.close_code) == (ChangeState.REVIEW, None)
    (note,) = [note for note in change.notes if note.startswith("not closed")]
    assert "support has not accepted" in note
    assert "exit: no-critical-incident: open: INC0000001" in note
    told = tools.ledger.marks(upgrade.run.key)
    assert not {MarkKind.SURVEY_ASKED, MarkKind.CHANGE_CLOSED} & {each.kind for each in told}
    world.cmdb.close_incident(incident.number, world.now)
    support_accepts(upgrade, tools, by="support")
    assert closed(world, upgrade, tools) == ("exit conditions met", Outcome.SUCCESSFUL, CloseCode.SUCCESSFUL)
    change, record = world.cmdb.change(upgrade.run.key), world.cmdb.run_record(upgrade.run.key)
    assert (change and change.state, record and record.outcome) == (ChangeState.CLOSED, "successful")
    assert tools.ledger.outcomes(upgrade.run.key)[""].outcome is Outcome.SUCCESSFUL
    assert len(tools.ledger.marks(upgrade.run.key, kind=MarkKind.SURVEY_ASKED)) == 1


def test_what_comes_after_the_closing_changes_neither_the_ledger_nor_the_cmdb(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    closed(world, upgrade, tools)
    world.cmdb.open_incident("acme", "tracker", severity=1, summary="weeks later", at=world.now)
    assert closed(world, upgrade, tools)[1:] == (Outcome.SUCCESSFUL, CloseCode.SUCCESSFUL)


def test_a_decision_to_back_out_closes_the_change_for_good(world: World) -> None:
    """The way back is a run of its own; this one cannot end well any more, whoever looks again."""
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    world.now += timedelta(minutes=1)
    mark(upgrade, tools, MarkKind.REJECTED, gate="hypercare", by="owner")
    assert closed(world, upgrade, tools)[1:] == (Outcome.UNKNOWN, CloseCode.UNSUCCESSFUL)
    mark(upgrade, tools, MarkKind.HYPERCARE_ENDED, reason="3 clean looks in a row")
    assert unmet(upgrade, tools) == {}
    assert closed(world, upgrade, tools)[1:] == (Outcome.UNKNOWN, CloseCode.UNSUCCESSFUL)
    assert "which stands" in tools.ledger.outcomes(upgrade.run.key)[""].reasons[0]


def test_silence_in_the_watch_closes_nothing(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    mark(upgrade, tools, MarkKind.REJECTED, gate="hypercare", by="nobody: no answer in time")
    assert closed(world, upgrade, tools)[1:] == (Outcome.UNKNOWN, None)


def test_a_person_may_close_what_will_not_be_put_right(world: World) -> None:
    upgrade, tools = watched(world)
    close(upgrade, tools)
    assert close(upgrade, tools, by="ops").outcome is Outcome.UNKNOWN
    change = world.cmdb.change(upgrade.run.key)
    assert change is not None
    assert (change.state, change.close_code) == (ChangeState.CLOSED, CloseCode.UNSUCCESSFUL)
    assert change.close_notes.startswith("unknown: closed by ops; exit: support-accepted")


def test_a_change_whose_environment_is_unknown_waits_for_a_person(world: World) -> None:
    """Resumed, it may still end well; its code is written once."""
    world.lost.add(("training", "implement.yml"))
    upgrade, tools = begun(world)
    training = upgrade.lanes[0]
    through(upgrade, tools, training, *STAGES[:-3])
    assert lane.implement(upgrade, tools, training).reply is Reply.NO
    lane.settle(upgrade, tools, training)
    assert tools.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.UNKNOWN
    close(upgrade, tools)
    change = world.cmdb.change(upgrade.run.key)
    assert change is not None
    assert (change.state, change.close_code) == (ChangeState.IMPLEMENT, None)
    assert change.notes[-1] == "not closed: training ended unknown"
    mark(upgrade, tools, MarkKind.SETTLED, "training", action="close", by="ops")
    assert closed(world, upgrade, tools)[2] is CloseCode.UNSUCCESSFUL


def test_a_hold_that_was_never_ended_is_an_open_item(world: World) -> None:
    """It can be ended also after the run has: one of an environment ended with that."""
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    mark(upgrade, tools, MarkKind.HELD, "training", by="rule: night policy", reason="silence")
    assert unmet(upgrade, tools) == {}
    mark(upgrade, tools, MarkKind.HELD, by="ops", reason="orders look odd")
    assert unmet(upgrade, tools) == {"given-back": "held by ops (orders look odd): resume it"}
    assert closed(world, upgrade, tools)[1:] == (Outcome.UNKNOWN, None)
    assert resume(tools.ledger, upgrade.run, by="ops", reason="they are right", at=world.now).refused == ()
    assert closed(world, upgrade, tools)[1:] == (Outcome.SUCCESSFUL, CloseCode.SUCCESSFUL)


def test_nobody_promises_to_hold_what_waits_for_no_hold(world: World) -> None:
    upgrade, tools = watched(world)
    (refused,) = hold(tools.ledger, upgrade.run, by="ops", reason="wait", at=world.now).refused
    assert refused.startswith("every environment has ended, and no stage that is left waits for a hold")
    assert tools.ledger.marks(upgrade.run.key, kind=MarkKind.HELD) == ()


def test_the_exit_names_what_somebody_still_has_to_look_at(world: World) -> None:
    """Incidents of the old release and waivers of this upgrade alone keep nothing open, and are not lost."""
    world.cmdb.open_incident("acme", "tracker", severity=1, summary="of old", at=world.now)
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    fields = {
        "key": "release-hold", "subject": "x", "reason": "the feed is replaced", "by": "owner",
        "given_on": "2026-08-01", "expires_on": "2026-12-31",
    }  # fmt: skip
    given = Waiver.model_validate(fields | {"id": "W-1", "upgrade": "tracker-2.6"})
    of_all = Waiver.model_validate(fields | {"id": "W-2"})
    tools = replace(tools, content=EstateOfAnalysis(world.directory, given=(given, of_all)))
    assert check_exit(upgrade, tools).text == (
        "exit conditions met; open since before the change: INC0000001; "
        "waivers of this upgrade alone, to be withdrawn: W-1 by owner"
    )


def test_a_lesser_incident_keeps_nothing_open(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    world.cmdb.open_incident("acme", "tracker", severity=3, summary="a label is cut off", at=world.now)
    assert closed(world, upgrade, tools)[1] is Outcome.SUCCESSFUL


def test_it_does_not_close_while_the_cmdb_says_something_else(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    place = ("acme", "tracker", "production")
    world.cmdb.recorded[place, "prod2"] = OLD
    text, outcome, _ = closed(world, upgrade, tools)
    assert text == "cmdb-equals-discovery: failed: prod2: CMDB 2.0.0, discovered 2.6.0"
    assert outcome is Outcome.UNKNOWN


def test_it_does_not_close_before_the_watch_is_over(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    mark(upgrade, tools, MarkKind.HYPERCARE_REOPENED, reason="1 new critical incident: INC1")
    assert unmet(upgrade, tools) == {"watch-ended": "the decision is open: 1 new critical incident: INC1"}


def test_a_backed_out_run_closes_when_the_records_agree_and_not_before(world: World) -> None:
    world.unwell.add("production")
    upgrade, tools = begun(world)
    lane_of = {each.name: each for each in upgrade.lanes}
    through(upgrade, tools, lane_of["training"], *STAGES, *ENDS)
    through(upgrade, tools, lane_of["production"], *STAGES[:-2])
    assert lane.acceptance(upgrade, tools, lane_of["production"]).reply is Reply.NO
    through(upgrade, tools, lane_of["production"], "verdict", "back_out")
    assert lane.settle(upgrade, tools, lane_of["production"]).reply is Reply.NO
    assert check_exit(upgrade, tools).text == "exit: unsuccessful and backed out"
    world.cmdb.recorded[("acme", "tracker", "production"), "prod1"] = NEW
    assert check_exit(upgrade, tools).text == "cmdb-equals-discovery: failed: prod1: CMDB 2.6.0, discovered 2.0.0"


def test_everything_unmet_is_named_at_once(world: World) -> None:
    upgrade, tools = watched(world)
    world.cmdb.open_incident("acme", "tracker", severity=1, summary="x", at=world.now)
    world.cmdb.recorded[("acme", "tracker", "production"), "prod1"] = OLD
    assert set(unmet(upgrade, tools)) == {"support-accepted", "no-critical-incident", "cmdb-equals-discovery"}


def test_traffic_that_was_closed_and_not_opened_again_keeps_it_open(world: World) -> None:
    """A second restore point after the commit closes traffic again: the first giving back does not count for it."""
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    assert [taken.open for taken in traffic(view_run(world.ledger, upgrade.run).environments)] == [False] * 3
    world.now += timedelta(minutes=1)
    for host in ("prod1", "prod2"):
        mark(upgrade, tools, MarkKind.TAKEN, "production", host=host, names=[])
    assert unmet(upgrade, tools) == {
        "given-back": "production: traffic closed and locks held on prod1, prod2 (tracker)"
    }
    assert not_given_back(view_run(world.ledger, upgrade.run).environments)


def test_a_test_of_the_rehearsal_that_was_made_again_counts_as_it_ended_last(world: World) -> None:
    upgrade, tools = watched(world)
    support_accepts(upgrade, tools, by="support")
    for number, status in enumerate((StepStatus.FAILED, StepStatus.SUCCESSFUL, StepStatus.FAILED), start=7):
        world.now += timedelta(minutes=1)
        begun = StepRecord(upgrade.run.key, "baseline", "acceptance", number, world.now)
        world.ledger.begin_step(begun)
        world.ledger.end_step(replace(begun, ended_at=world.now, status=status))
        good = outcome_of(upgrade, tools).outcome is Outcome.SUCCESSFUL
        assert good is (status is StepStatus.SUCCESSFUL)


def test_what_was_not_given_back_is_a_deviation_of_the_review(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    story.mark(MarkKind.TAKEN, "production", "prod-app1", names=["order-feed"])
    told = review_of(wiring.report(story.ledger, story.cmdb, story.run.key))
    assert [(d.environment, d.what) for d in told.deviations][-1] == ("production", "something was not given back")
    assert [taken.environment for taken in told.taken if taken.open] == ["production"]


def page(story: Story) -> str:
    return review_text(review_of(wiring.report(story.ledger, story.cmdb, story.run.key)), "html")


def test_the_review_lists_waivers_and_what_was_taken(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    waived = Waived("W-7", "petra.lang", "the module is replaced next month", "2026-12-31")
    finding = Finding("release-hold", "order-feed", "failed elsewhere", Severity.INHIBITOR, waived=waived)
    story.gate("client_analysis", "", "x", findings=(finding,))
    told = review_of(wiring.report(story.ledger, story.cmdb, story.run.key))
    listed = [(taken.what.split(" on ")[0], taken.open) for taken in told.taken]
    assert ("traffic closed and locks held", False) in listed
    assert sum(taken.what.startswith("restore point ") for taken in told.taken) == 2
    (waiver,) = [taken for taken in told.taken if taken.what.startswith("waiver")]
    assert waiver.what == ("waiver W-7 by petra.lang for release-hold (order-feed): the module is replaced next month")
    assert waiver.fate == "counts until 2026-12-31; withdraw it, its work is done"
    assert "waiver W-7 by petra.lang" in page(story)
    assert told.as_json()["taken_and_given_back"]


def test_the_review_has_the_clients_answer_once_there_is_one(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    assert "The client was not asked." in page(story)
    story.mark(MarkKind.SURVEY_ASKED, title="Tryton")
    assert "not answered when this was written" in page(story)
    story.mark(MarkKind.SURVEY_ANSWERED, overall=4, result=5, comment="well <done>")
    text = page(story)
    assert "“well &lt;done&gt;”" in text
    survey = review_of(wiring.report(story.ledger, story.cmdb, story.run.key)).as_json()["survey"]
    assert (survey["scores"], survey["comment"]) == ({"overall": 4, "result": 5}, "well <done>")


def test_report_and_review_tell_how_the_watch_went(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    story.mark(MarkKind.HYPERCARE_CHECKED, passed=True)
    story.mark(MarkKind.HYPERCARE_EXTENDED, until="2026-12-02T09:00:00+00:00", reason="INC7 is open", why="x")
    story.mark(MarkKind.HYPERCARE_REOPENED, reason="1 new critical incident: INC8")
    report = wiring.report(story.ledger, story.cmdb, story.run.key)
    assert report.watch[0] == "1 look, 1 of them clean"
    assert "extended until 2026-12-02 09:00Z (INC7 is open)" in report.watch[1]
    assert [d.what for d in review_of(report).deviations] == [
        "the hypercare watch was extended", "the watch reopened the decision",
    ]  # fmt: skip
    assert "1 new critical incident: INC8" in page(story)
    assert report.as_json()["hypercare"] == list(report.watch)
