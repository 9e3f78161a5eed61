"""A way of several legs in one lane: in order, each proven before the next, counted against the window, and back."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.host_lock import HostHold, Lock, Marker
from changeover.domain.legs import Hop, hops_of, plain, stage_of
from changeover.domain.no_return import Reversible
from changeover.domain.outcome import Outcome
from changeover.domain.path import Product
from changeover.domain.plan import Environment, Plan
from changeover.domain.progress import TRACES, _records
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from changeover.domain.release import ReleaseRecord
from changeover.domain.run_view import EnvironmentView
from changeover.domain.runsheet import run_sheet
from changeover.domain.settlement import Truth, Way
from changeover.domain.step_times import MeasuredRun, step_times
from changeover.usecases import baseline, lane
from changeover.usecases.analysis import analyse_release
from changeover.usecases.leaving import may_leave
from changeover.usecases.prepare import prepare
from changeover.usecases.settle_run import Case, look
from changeover.usecases.show_legs import leg_branches
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import NEW, OLD, START, World, plan, release

STOP = "2.3.0"
REHEARSAL = (
    baseline.build,
    baseline.implement,
    baseline.accept_new,
    baseline.back_out,
    baseline.accept_old,
    baseline.implement,
    baseline.accept_again,
)
GATES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
ENDS = ("commit", "back_out", "stand_down")


def record(version: str, since: str, **more: Any) -> ReleaseRecord:
    changes = {"release": version, "version": version, "supported_from": [since], **more}
    return ReleaseRecord.model_validate(release().model_dump(by_alias=True) | changes)


def two_legs(world: World, *, of: Plan | None = None, **at_stop: Any) -> tuple[Upgrade, Tools]:
    """From 2.0.0 by the stop 2.3.0 to 2.6.0, analysed, approved and open for work."""
    records = (record(STOP, ">=2.0,<2.3", **at_stop), record(NEW, "==2.3.0"))
    upgrade = dataclasses.replace(world.upgrade(of=of), record=records[-1], product=Product("tracker", records))
    tools = world.tools()
    assert check_entry(upgrade, tools).reply is Reply.YES
    assert analyse_release(upgrade, tools).reply is Reply.YES
    world.approve(upgrade)
    return upgrade, tools


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def go(upgrade: Upgrade, tools: Tools, environment: Environment) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for stage in GATES:
        answers[stage] = getattr(lane, stage)(upgrade, tools, environment)
        if answers[stage].reply is not Reply.YES:
            break
    for stage in ("verdict", *ENDS, "settle"):
        answers[stage] = getattr(lane, stage)(upgrade, tools, environment)
    return answers


def told(world: World, environment: str, *playbooks: str) -> list[tuple[str, str, str, str]]:
    """Step, from, to and restore point of what was played there."""
    wanted = playbooks or ("restore_point.yml", "implement.yml", "back_out.yml")
    return [
        (
            spec.step,
            spec.variables["from_version"],
            spec.variables["to_version"],
            spec.variables["restore_point"].rpartition("-train")[2],
        )
        for spec in world.specs
        if spec.environment == environment and spec.playbook in wanted
    ]


def test_each_leg_is_accepted_before_the_next_begins(world: World) -> None:
    """V15: every leg has its own restore point and gate; the lane ends upgraded."""
    upgrade, tools = two_legs(world)
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL)
    assert prepare(upgrade, tools).reply is Reply.YES
    answers = go(upgrade, tools, upgrade.lanes[0])
    assert answers["implement"].text == "2.6.0 installed on 1 hosts by 2 legs"
    assert answers["settle"].reply is Reply.YES
    assert told(world, "training") == [
        ("restore_point", OLD, STOP, "ing"),
        ("implement", OLD, STOP, "ing"),
        ("restore_point_leg2", STOP, NEW, "ing-leg2"),
        ("implement_leg2", STOP, NEW, "ing-leg2"),
    ]
    gates = [g for _, g in world.ledger.gates(upgrade.run.key, environment="training") if g.gate != "start"]
    assert [(gate.gate, gate.passed) for gate in gates] == [
        ("readiness", True),
        ("acceptance_leg1", True),
        ("acceptance", True),
    ]
    found = {result.key: result.message for result in gates[1].results}
    assert found["version-running"] == STOP
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.SUCCESSFUL


def test_every_legs_release_is_brought_to_every_host_first(world: World) -> None:
    upgrade, tools = two_legs(world)
    assert baseline.build(upgrade, tools).reply is Reply.YES
    assert prepare(upgrade, tools).reply is Reply.YES
    brought = [
        (spec.environment, spec.playbook, spec.variables["artefact_dir"].rpartition("/")[2])
        for spec in world.specs
        if spec.playbook in ("build.yml", "prepare.yml", "stage.yml")
    ]
    assert brought == [
        ("baseline", "build.yml", STOP),
        ("baseline", "stage.yml", NEW),
        ("estate", "prepare.yml", STOP),
        ("estate", "stage.yml", NEW),
    ]
    ((_, gate),) = world.ledger.gates(upgrade.run.key, environment="")[-1:]
    assert {key for key, _ in gate.declared} == {
        "artefacts-verified",
        "restore-point-readable",
        f"artefacts-verified-{NEW}",
    }


def test_a_host_that_does_not_get_a_later_legs_release_stops_the_preparations(world: World) -> None:
    upgrade, tools = two_legs(world)
    world.breaks["estate", "stage.yml"] = ("prod2",)
    answer = prepare(upgrade, tools)
    assert (answer.reply, answer.text) == (Reply.NO, "prod2: it broke")


@pytest.mark.parametrize(
    ("breaks", "unwell", "why"),
    [
        ({}, f"training {STOP}", "leg 1 of 2, 2.0.0 to 2.3.0: works on train1"),
        ({("training", "implement.yml"): ("train1",)}, "", "leg 1 of 2, 2.0.0 to 2.3.0: the upgrade failed"),
        ({}, "training", ""),
    ],
)
def test_the_back_out_of_any_leg_goes_to_where_the_lane_came_from(
    world: World, breaks: dict[tuple[str, str], tuple[str, ...]], unwell: str, why: str
) -> None:
    """Whether a stop is not accepted, a leg breaks or the end is not accepted: the first leg's restore point."""
    upgrade, tools = two_legs(world)
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL[:5])
    world.breaks |= breaks
    world.unwell |= {unwell} - {""}
    answers = go(upgrade, tools, upgrade.lanes[0])
    if why:
        assert answers["implement"].text.startswith(why)
    assert told(world, "training")[-1] == ("back_out", OLD, NEW, "ing")
    assert world.versions["train1"] == OLD
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT


def test_a_second_leg_that_breaks_is_backed_out_to_where_the_lane_came_from(world: World) -> None:
    upgrade, tools = two_legs(world)
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL[:5])
    training = upgrade.lanes[0]
    for stage in GATES[:4]:
        getattr(lane, stage)(upgrade, tools, training)
    world.break_step["training", "implement_leg2"] = ("train1",)
    answer = lane.implement(upgrade, tools, training)
    assert answer.text == "leg 2 of 2, 2.3.0 to 2.6.0: the upgrade failed; train1: it broke"
    for stage in ("verdict", *ENDS, "settle"):
        getattr(lane, stage)(upgrade, tools, training)
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.BACKED_OUT
    assert any("implement_leg2: train1: it broke" in reason for reason in verdict.reasons)


def test_a_lost_task_goes_on_where_it_was(world: World) -> None:
    """What a leg has behind it is not repeated: neither its change nor its gate."""
    upgrade, tools = two_legs(world)
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL[:5])
    training = upgrade.lanes[0]
    for stage in GATES[:4]:
        getattr(lane, stage)(upgrade, tools, training)
    world.caller_lost.add("implement_leg2")
    with pytest.raises(ConnectionError):
        lane.implement(upgrade, tools, training)
    assert lane.implement(upgrade, tools, training).reply is Reply.YES
    changes = [spec.step for spec in world.specs if spec.environment == "training" and spec.playbook == "implement.yml"]
    assert changes == ["implement", "implement_leg2"]
    gates = [gate.gate for _, gate in world.ledger.gates(upgrade.run.key, environment="training")]
    assert gates.count("acceptance_leg1") == 1


def test_a_run_that_stopped_at_a_stop_is_resumed_there_or_backed_out(world: World) -> None:
    """The controller died while the stop was accepted: it is neither old nor new, and both ways are open."""
    upgrade, tools = two_legs(world)
    assert all(each(upgrade, tools).reply is Reply.YES for each in REHEARSAL[:5])
    training = upgrade.lanes[0]
    for stage in GATES[:4]:
        getattr(lane, stage)(upgrade, tools, training)
    world.caller_lost.add("acceptance_leg1_verify")
    with pytest.raises(ConnectionError):
        lane.implement(upgrade, tools, training)
    marker = Marker(upgrade.run.key, "implement", "t", "implemented", world.now)
    world.held["train1"] = HostHold("train1", True, lock=Lock(upgrade.run.key, "restore_point"), marker=marker)
    found = look(Case(upgrade, tools, world, None))
    (here,) = (one for one in found.environments if one.environment == "training")
    assert here.truth is Truth.BETWEEN
    resume = here.option(Way.RESUME)
    assert (resume.possible, resume.stage) == (True, "implement"), resume.reasons
    assert "2.3.0, a stop on the way, is found on every host" in resume.reasons[0]
    assert here.option(Way.BACK_OUT).possible
    assert lane.implement(upgrade, tools, training).reply is Reply.YES


def test_the_vendors_condition_before_the_next_leg_is_part_of_its_gate(world: World) -> None:
    """V15: a test that is to prove that background work has ended, and did not run, keeps the lane at the stop."""
    waits = [{"what": "its background work has ended", "source": "notes", "acceptance_test": "test_no_work_is_left"}]
    upgrade, tools = two_legs(world, before_leaving=waits)
    assert baseline.build(upgrade, tools).reply is Reply.YES
    answer = baseline.implement(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "its background work has ended: not tested again, test_no_work_is_left did not run" in answer.text
    assert "implement_leg2" not in [spec.step for spec in world.specs]


NO_WORK = "test_no_work_is_left"
WAITS = [{"what": "its background work has ended", "source": "notes", "acceptance_test": NO_WORK}]


def one_leg(world: World) -> tuple[Upgrade, Tools]:
    """From 2.0.0, whose record wants something before it is left, straight to 2.6.0."""
    records = (record(OLD, "==1.9", before_leaving=WAITS), record(NEW, ">=2.0,<2.6"))
    upgrade = dataclasses.replace(world.upgrade(), record=records[-1], product=Product("tracker", records))
    tools = world.tools()
    assert check_entry(upgrade, tools).reply is Reply.YES
    assert analyse_release(upgrade, tools).reply is Reply.YES
    world.approve(upgrade)
    return upgrade, tools


def test_a_condition_that_lost_its_test_is_a_no(world: World) -> None:
    """The analysis refuses it; should a run come here all the same, not the whole suite is run instead."""
    upgrade, tools = one_leg(world)
    told = [hop.as_json() | {"before": [["its background work has ended", ""]]} for hop in hops_of(upgrade.path)]
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.PATH_PLANNED, world.now, "", "", {"legs": told}))
    answer = may_leave(upgrade, tools, "training")
    assert answer.text == "nothing proves what has to be true before 2.0.0 is left; its background work has ended"


@pytest.mark.parametrize("says", ["no", "nothing"])
def test_a_release_that_may_not_be_left_yet_is_found_before_anything_is_closed(world: World, says: str) -> None:
    """V15: a migration still active, or nothing that could say so; no host is locked, closed or changed."""
    world.tests = {NO_WORK: {"training"}} if says == "no" else {}
    upgrade, tools = one_leg(world)
    answers = go(upgrade, tools, upgrade.lanes[0])
    assert answers["restore_point"].reply is Reply.NO
    wanted = "test_no_work_is_left on train1: failed" if says == "no" else "test_no_work_is_left did not run"
    assert answers["restore_point"].text.startswith("2.0.0 may not be left yet")
    assert wanted in answers["restore_point"].text
    assert world.playbooks("training") == ["readiness.yml", "verify.yml"]
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.REFUSED
    assert any(wanted in reason for reason in verdict.reasons)


def test_a_release_that_may_be_left_is_left_and_not_asked_again_with_its_traffic_closed(world: World) -> None:
    world.tests = {NO_WORK: set()}
    upgrade, tools = one_leg(world)
    training = upgrade.lanes[0]
    for stage in GATES[:3]:
        assert getattr(lane, stage)(upgrade, tools, training).reply is Reply.YES
    world.caller_lost.add("restore_point")
    with pytest.raises(ConnectionError):
        lane.restore_point(upgrade, tools, training)
    world.tests = {NO_WORK: {"training"}}
    assert lane.restore_point(upgrade, tools, training).reply is Reply.YES
    gates = [gate for _, gate in world.ledger.gates(upgrade.run.key, environment="training")]
    assert [(gate.gate, gate.passed) for gate in gates if gate.gate == "before_leaving"] == [("before_leaving", True)]


def test_a_plan_shows_what_is_asked_before_its_restore_points(world: World) -> None:
    upgrade, _ = one_leg(world)
    (line,) = (line for branch in leg_branches(hops_of(upgrade.path)) for line in branch.lines())
    assert line == "before the restore point: its background work has ended (acceptance test test_no_work_is_left)"


def test_the_baseline_a_copy_of_productions_data_is_asked_first(world: World) -> None:
    world.tests = {NO_WORK: {"baseline"}}
    upgrade, tools = one_leg(world)
    assert baseline.build(upgrade, tools).text.startswith("2.0.0 may not be left yet")
    assert [gate.gate for _, gate in world.ledger.gates(upgrade.run.key, environment="baseline")] == ["before_leaving"]
    world.tests = {NO_WORK: set()}
    assert baseline.build(upgrade, tools).reply is Reply.YES
    assert baseline.implement(upgrade, tools).reply is Reply.YES
    assert baseline.build(upgrade, tools).reply is Reply.YES, (
        "a task that is cleared later asks the new release nothing"
    )


def test_all_legs_share_the_plans_one_limit(world: World) -> None:
    within = {"implement_within": timedelta(minutes=3)}
    of = plan(environments=[environment.model_copy(update=within) for environment in plan().environments])
    upgrade, tools = two_legs(world, of=of)
    world.took = {"implement.yml": timedelta(minutes=1)}
    assert baseline.build(upgrade, tools).reply is Reply.YES
    assert baseline.implement(upgrade, tools).reply is Reply.YES
    timeouts = {spec.step: spec.timeout for spec in world.specs if spec.playbook == "implement.yml"}
    assert timeouts == {"implement": timedelta(minutes=3), "implement_leg2": timedelta(minutes=2)}


def windowed(end: str) -> Plan:
    window = {
        "kind": "dated", "zone": "UTC", "on": "2026-08-15", "start": "01:00", "end": end, "late_start_tolerance": "1h",
    }  # fmt: skip
    environments = [environment.model_dump() for environment in plan().environments]
    environments[1]["window"] = window
    return plan(environments=environments)


def test_a_window_that_no_longer_holds_the_next_leg_ends_in_the_back_out(world: World) -> None:
    """C07: the first leg took longer than it was rehearsed; the second does not begin, and everything goes back."""
    upgrade, tools = two_legs(world, of=windowed("04:00"))
    world.took = {"implement.yml": timedelta(minutes=40), "back_out.yml": timedelta(minutes=30)}
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL[:5])
    world.now = world.now.replace(day=15, hour=1, minute=0)
    world.took |= {"implement.yml": timedelta(minutes=115)}
    answers = go(upgrade, tools, upgrade.lanes[0])
    assert answers["restore_point"].reply is Reply.YES
    assert answers["implement"].reply is Reply.NO
    assert answers["implement"].text.startswith("leg 2 of 2, 2.3.0 to 2.6.0: ")
    assert "restore_point_leg2" not in [spec.step for spec in world.specs if spec.environment == "training"]
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT


def test_a_window_too_short_for_all_legs_is_missed(world: World) -> None:
    """One leg and the way back would fit; both legs do not."""
    upgrade, tools = two_legs(world, of=windowed("03:15"))
    world.took = {"implement.yml": timedelta(minutes=55), "back_out.yml": timedelta(minutes=30)}
    assert all(step(upgrade, tools).reply is Reply.YES for step in REHEARSAL[:5])
    world.now = world.now.replace(day=15, hour=1, minute=0)
    go(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.MISSED
    assert world.playbooks("training") == []


def test_an_unrehearsed_leg_does_not_begin(world: World) -> None:
    upgrade, tools = two_legs(world)
    training = upgrade.lanes[0]
    for stage in GATES[:4]:
        getattr(lane, stage)(upgrade, tools, training)
    assert "the rehearsal did not measure leg 2 of 2" in lane.implement(upgrade, tools, training).text


def step(name: str, minutes: int, generation: int = 1) -> StepRecord:
    ended = START + timedelta(minutes=minutes)
    return StepRecord("run", "baseline", name, generation, START, ended, StepStatus.SUCCESSFUL)


MEASURED = step_times(
    [
        MeasuredRun(
            "run",
            (
                step("implement", 10),
                step("acceptance_leg1", 2),
                step("acceptance_leg1_verify", 1),
                step("restore_point_leg2", 3),
                step("implement_leg2", 20),
                step("implement_leg2", 25, 2),
                step("acceptance", 4),
                step("back_out", 5),
            ),
            "baseline",
            {},
        )
    ]
)


def test_every_leg_has_its_place_on_the_clock() -> None:
    steps = MEASURED.steps({"implement": Reversible.UNTIL_COMMIT})
    assert [(each.name, each.work.careful // timedelta(minutes=1)) for each in steps] == [
        ("restore_point", 0),
        ("implement", 10),
        ("acceptance_leg1", 2),
        ("restore_point_leg2", 3),
        ("implement_leg2", 25),
        ("acceptance", 4),
        ("commit", 0),
    ]
    assert MEASURED.lane == timedelta(minutes=44)
    assert MEASURED.way_back == timedelta(minutes=9)
    assert MEASURED.legs() == (timedelta(minutes=12), timedelta(minutes=32))


def test_the_run_sheet_tells_each_legs_share_of_the_night() -> None:
    of = windowed("03:00")
    lanes = of.lanes[:1]
    nights = {"training": lanes[0].window.night}  # type: ignore[union-attr]
    text = run_sheet(of, lanes, {"training": MEASURED}, digest="d" * 64, hosts={}, nights=nights).markdown()
    assert "Legs on training: leg 1 0:12:00 (27% of the work, 10% of the night), leg 2 0:32:00 (73% of the work" in text
    assert "implement_leg2 02:22 " in text


def test_the_process_map_shows_the_stage_from_the_first_leg_to_the_last() -> None:
    begun = dataclasses.replace(step("implement_leg2", 25), started_at=START + timedelta(minutes=15))
    begun = dataclasses.replace(begun, ended_at=None, status=StepStatus.RUNNING)
    here = EnvironmentView("production", (), None, (step("implement", 10), begun), (), ())
    (shown,) = _records(here, TRACES["implement"])
    assert (shown.at, shown.until, shown.state) == (START, None, "running")


def test_the_steps_of_a_leg_belong_to_the_stage_that_does_them() -> None:
    hop = Hop(2, 3, "1", "2")
    names = (hop.step("implement"), hop.gate, hop.label("run-prod"))
    assert names == ("implement_leg2", "acceptance_leg2", "run-prod-leg2")
    assert [stage_of(name) for name in ("restore_point", "restore_point_leg2", "implement_leg2", "commit")] == [
        "restore_point",
        "implement",
        "implement",
        "commit",
    ]
    assert plain("acceptance_leg1") == "acceptance"
    assert plain("acceptance_leg1_verify") == "acceptance_leg1_verify"


def test_the_restore_points_of_later_legs_never_are_the_way_back(world: World) -> None:
    upgrade, tools = two_legs(world)
    assert all(each(upgrade, tools).reply is Reply.YES for each in REHEARSAL)
    marks = world.ledger.marks(upgrade.run.key, environment="baseline")
    labels = [mark.data["label"] for mark in marks if mark.kind is MarkKind.LEG_RESTORE_POINT]
    assert [label.rpartition("-baseline")[2] for label in labels] == ["-leg2", "-leg2-2"], "each try has one of its own"
    ways_back = {spec.variables["restore_point"] for spec in world.specs if spec.playbook == "back_out.yml"}
    assert [label.rpartition("-")[2] for label in ways_back] == ["baseline"]
