"""The lane of one environment: what it does to hosts, and what it says afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.lane import Decision, LaneFacts, decide, hosts_to_back_out
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind
from changeover.errors import GateError
from changeover.usecases import closeout, lane
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from tests.support.world import NEW, OLD, World, plan

GATES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
ENDS = ("commit", "back_out", "stand_down")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def go_through(upgrade: Upgrade, tools: Tools, environment: Environment) -> dict[str, Answer]:
    """As the DAG does: a gate runs when the one before it said yes, the rest always."""
    answers: dict[str, Answer] = {}
    going = True
    for stage in GATES:
        if going:
            answers[stage] = getattr(lane, stage)(upgrade, tools, environment)
            going = answers[stage].reply is Reply.YES
    answers["verdict"] = lane.verdict(upgrade, tools, environment)
    if answers["verdict"].reply is Reply.YES:
        answers |= {stage: getattr(lane, stage)(upgrade, tools, environment) for stage in ENDS}
    answers["settle"] = lane.settle(upgrade, tools, environment)
    return answers


def prepared(world: World, **asked: Any) -> tuple[Upgrade, Tools]:
    from changeover.usecases.transition import check_entry

    upgrade, tools = world.upgrade(**asked), world.tools()
    assert check_entry(upgrade, tools).reply is Reply.YES
    world.approve(upgrade)
    return upgrade, tools


def test_an_accepted_environment_is_committed(world: World) -> None:
    upgrade, tools = prepared(world)
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert answers["settle"].reply is Reply.YES
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.SUCCESSFUL
    assert world.versions["train1"] == NEW
    assert world.playbooks("training")[-1] == "commit.yml"


def test_a_failed_acceptance_is_backed_out_and_proven(world: World) -> None:
    """C01: the record says backed out, the settle task says no, the CMDB still says the old version."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert answers["acceptance"].reply is Reply.NO
    assert answers["settle"].reply is Reply.NO
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert world.versions["train1"] == OLD
    assert closeout.close(upgrade, tools).outcome is Outcome.BACKED_OUT
    assert world.cmdb.versions("acme", "tracker", "training") == {"train1": OLD}


def test_the_client_is_asked_once_when_an_upgrade_is_closed(world: World) -> None:
    """Also after a back-out, and not of a run in which no environment was settled."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    closeout.close(upgrade, tools)
    assert world.ledger.marks(upgrade.run.key, kind=MarkKind.SURVEY_ASKED) == ()
    go_through(upgrade, tools, upgrade.lanes[0])
    for _ in range(2):
        closeout.close(upgrade, tools)
    (asked,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.SURVEY_ASKED)
    assert asked.data["title"] == "Tracker"


def test_a_failed_installer_is_backed_out_on_the_touched_hosts(world: World) -> None:
    world.breaks["production", "implement.yml"] = ("prod1",)
    upgrade, tools = prepared(world, environments=["production"])
    go_through(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["production"].outcome is Outcome.BACKED_OUT
    assert ("production", "back_out.yml", ("prod1", "prod2")) in world.played


def test_a_back_out_per_host_leaves_the_healthy_host_alone(world: World) -> None:
    """C02: app02 has no back-out event; the mixed estate is not called backed out, a person decides."""
    world.breaks["production", "implement.yml"] = ("prod1",)
    environments = [e.model_copy(update={"back_out": "per_host"}) for e in plan().environments]
    upgrade = world.upgrade(of=plan(environments=environments), environments=["production"])
    tools = world.tools()
    from changeover.usecases.transition import check_entry

    check_entry(upgrade, tools)
    world.approve(upgrade)
    go_through(upgrade, tools, upgrade.lanes[0])
    assert [hosts for _, playbook, hosts in world.played if playbook == "back_out.yml"] == [("prod1",)]
    assert world.ledger.outcomes(upgrade.run.key)["production"].outcome is Outcome.UNKNOWN
    freed = [hosts for _, playbook, hosts in world.played if playbook == "release.yml"]
    assert freed == [("prod1",)], "the lock of a host about which nobody has decided is kept"
    assert world.ledger.marks(upgrade.run.key, environment="production", kind=MarkKind.BACKED_OUT) == ()


def test_a_refused_readiness_touches_no_host(world: World) -> None:
    """Failure before the change leads to stand-down: no playbook that changes anything ever ran."""
    world.unreachable.add("train1")
    upgrade, tools = prepared(world)
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert answers["readiness"].reply is Reply.NO
    assert answers["stand_down"].text == "no host was touched"
    assert world.playbooks("training") == ["readiness.yml"]
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.REFUSED


def test_a_failed_restore_point_gives_back_what_was_closed(world: World) -> None:
    world.breaks["training", "restore_point.yml"] = ("train1",)
    upgrade, tools = prepared(world)
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert answers["verdict"].data["decision"] == "stand_down"
    assert world.playbooks("training")[-1] == "stand_down.yml"
    assert "implement.yml" not in world.playbooks("training")
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.REFUSED


def test_a_failed_back_out_is_never_called_old_or_new(world: World) -> None:
    world.unwell.add("training")
    world.breaks["training", "back_out.yml"] = ("train1",)
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACK_OUT_FAILED
    assert "release.yml" not in world.playbooks("training")


def test_the_comparison_gets_ready_while_the_hosts_are_put_back(world: World) -> None:
    """Its start costs seconds, and users wait for the old release's acceptance."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    back_out = [playbook for _, playbook, _ in world.played].index("back_out.yml")
    assert back_out in world.warmed


def test_lost_rows_are_an_acceptance_that_says_no(world: World) -> None:
    """C13: the application answers, rows are missing: not accepted, and no back-out is proven while they are."""
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    for stage in GATES[:5]:
        assert getattr(lane, stage)(upgrade, tools, training).reply is Reply.YES
    world.rows["train1"] = []
    assert lane.acceptance(upgrade, tools, training).reply is Reply.NO
    lane.verdict(upgrade, tools, training)
    assert lane.back_out(upgrade, tools, training).reply is Reply.NO
    lane.settle(upgrade, tools, training)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACK_OUT_FAILED


def test_the_next_lane_waits_until_the_one_before_ended_upgraded(world: World) -> None:
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    answers = go_through(upgrade, tools, upgrade.lanes[1])
    assert {name: answer.reply for name, answer in answers.items()} == dict.fromkeys(
        ("window", "verdict", "settle"), Reply.NOT_APPLICABLE
    )
    assert world.playbooks("production") == []


def test_no_lane_starts_without_the_approval_of_this_very_plan(world: World) -> None:
    upgrade, tools = world.upgrade(), world.tools()
    from changeover.usecases.transition import check_entry

    check_entry(upgrade, tools)
    world.approve(upgrade, digest="another")
    assert lane.window(upgrade, tools, upgrade.lanes[0]).reply is Reply.NOT_APPLICABLE


def test_acceptance_cleared_after_a_back_out_tests_the_installed_version(world: World) -> None:
    """A cleared acceptance task may not pass on the old release, and no second try starts by itself."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    world.unwell.clear()
    assert lane.acceptance(upgrade, tools, upgrade.lanes[0]).reply is Reply.NO


def test_a_second_try_takes_a_restore_point_of_its_own(world: World) -> None:
    """Under the first try's label the old copy would be found whole, and a back-out would lose what came since."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    first = lane.window_label(upgrade, tools, training)
    go_through(upgrade, tools, training)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert lane.window_label(upgrade, tools, training) != first


@pytest.mark.parametrize("well", [True, False], ids=["accepted", "not accepted"])
def test_a_second_try_in_the_same_run_is_decided_like_the_first(world: World, well: bool) -> None:
    """Somebody cleared the lane after its back-out: the new release is kept, or put back, and never left standing."""
    world.unwell.add("training")
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    go_through(upgrade, tools, training)
    if well:
        world.unwell.clear()
    answers = go_through(upgrade, tools, training)
    assert answers["verdict"].data["decision"] == ("commit" if well else "back_out")
    outcome = Outcome.SUCCESSFUL_WITH_ISSUES if well else Outcome.BACKED_OUT
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is outcome
    assert world.versions["train1"] == (NEW if well else OLD)
    assert world.playbooks("training").count("back_out.yml") == (1 if well else 2)


def test_an_acceptance_that_was_asked_again_and_failed_is_none(world: World) -> None:
    """Cleared before the verdict, when it had said yes: what it says now counts."""
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    for stage in GATES:
        assert getattr(lane, stage)(upgrade, tools, training).reply is Reply.YES
    world.unwell.add("training")
    assert lane.acceptance(upgrade, tools, training).reply is Reply.NO
    answer = lane.verdict(upgrade, tools, training)
    assert answer.data["decision"] == "back_out"
    assert "commit.yml" not in world.playbooks("training")


class KilledSuite:
    def run(self, *_: Any, **__: Any) -> Any:
        raise GateError("the acceptance tests were killed by signal 9")


def test_an_acceptance_that_could_not_be_read_again_is_none(world: World) -> None:
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    for stage in GATES:
        getattr(lane, stage)(upgrade, tools, training)
    with pytest.raises(GateError):
        lane.acceptance(upgrade, replace(tools, acceptance=KilledSuite()), training)
    assert lane.verdict(upgrade, tools, training).data["decision"] == "back_out"


def test_nothing_is_decided_beside_work_in_progress(world: World) -> None:
    """C02: the verdict waits until the environment's own play has ended."""
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    for stage in GATES[:5]:
        getattr(lane, stage)(upgrade, tools, training)
    directory = tools.settings.executions_directory(upgrade.run.key) / "training.implement.1"
    world.alive.add(str(directory))
    waited = []

    def tell(line: str) -> None:
        waited.append(line)
        world.alive.clear()

    lane.verdict(upgrade, replace(tools, tell=tell), training)
    assert waited == ["waiting: implement still runs"]


def test_a_window_that_cannot_hold_the_way_back_is_missed(world: World) -> None:
    """C07: the measured rehearsal decides; nothing is touched."""
    world.took = {"implement.yml": timedelta(minutes=90), "back_out.yml": timedelta(minutes=60)}
    dated = {
        "kind": "dated",
        "zone": "Pacific/Auckland",
        "on": "2026-08-15",
        "start": "01:00",
        "end": "05:00",
        "late_start_tolerance": "2h",
    }
    environments = [e.model_dump() for e in plan().environments]
    environments[1]["window"] = dated
    upgrade, tools = world.upgrade(of=plan(environments=environments)), world.tools()
    from changeover.usecases import baseline
    from changeover.usecases.transition import check_entry

    check_entry(upgrade, tools)
    world.approve(upgrade)
    for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
        assert step(upgrade, tools).reply is Reply.YES
    world.now = world.now.replace(hour=15, minute=0)
    go_through(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.MISSED
    assert world.playbooks("training") == []


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        (LaneFacts(False, False, False, False, False), Decision.NOT_STARTED),
        (LaneFacts(True, False, False, False, False), Decision.STAND_DOWN),
        (LaneFacts(True, True, False, False, False), Decision.BACK_OUT),
        (LaneFacts(True, True, True, False, False), Decision.BACK_OUT),
        (LaneFacts(True, True, True, True, False), Decision.BACK_OUT),
        (LaneFacts(True, True, True, True, True), Decision.COMMIT),
    ],
)
def test_the_verdict_rests_on_the_ledgers_facts(facts: LaneFacts, decision: Decision) -> None:
    assert decide(facts)[0] is decision


def test_a_back_out_per_host_with_no_failed_host_takes_every_touched_one() -> None:
    assert hosts_to_back_out("per_host", touched=("a", "b"), failed=()) == ("a", "b")


def test_the_cmdb_is_told_what_the_rehearsal_left_on_the_baseline(world: World) -> None:
    """After each acceptance: the new release, the old one again, and the new one that stays."""
    from changeover.usecases import baseline
    from changeover.usecases.deliver_outbox import deliver
    from changeover.usecases.transition import check_entry

    upgrade, tools = world.upgrade(), world.tools()
    check_entry(upgrade, tools)
    world.approve(upgrade)
    seen = []
    for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
        assert step(upgrade, tools).reply is Reply.YES
        deliver(tools.ledger, tools.cmdb, tools.clock())
        seen.append(world.cmdb.versions("acme", "tracker", "baseline"))
    assert [found.get("base1") for found in seen][-3:] == ["2.6.0", "2.6.0", "2.0.0"]
    for step in (baseline.implement, baseline.accept_again):
        assert step(upgrade, tools).reply is Reply.YES
    deliver(tools.ledger, tools.cmdb, tools.clock())
    assert world.cmdb.versions("acme", "tracker", "baseline") == {"base1": "2.6.0"}
