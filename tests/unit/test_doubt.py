"""Work on hosts that ended so that nobody knows what is true: nothing starts by itself beside it (C05, C06, C11)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.batch import base_step
from changeover.domain.execution import ExecutionResult
from changeover.domain.lane import Decision, in_doubt
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind, StepStatus
from changeover.domain.settlement import Way
from changeover.ports import Credentials, ExecutionSpec
from changeover.usecases import lane
from changeover.usecases.settle_run import Case, Order, carry_out, look
from changeover.usecases.tools import Reply, Tools, Upgrade
from tests.support.world import NEW, OLD, START, World
from tests.unit.test_lane import go_through, prepared
from tests.unit.test_settle_run import PlayedWorkflow

LOST = "stop not confirmed on train1: process 4711 of the execution is left"


@dataclass
class Doubtful(World):
    """Steps in `doubtful` end unknown; what they had done on the host stays done."""

    doubtful: set[str] = field(default_factory=set)

    def run(self, spec: ExecutionSpec, credentials: Credentials, **how: Any) -> ExecutionResult:
        came = super().run(spec, credentials, **how)
        return replace(came, status=StepStatus.UNKNOWN, reasons=(LOST,)) if spec.step in self.doubtful else came


@pytest.fixture
def world(tmp_path: Path) -> Doubtful:
    return Doubtful(tmp_path, doubtful={"implement"})


def lost(world: Doubtful) -> tuple[Upgrade, Tools]:
    upgrade, tools = prepared(world, environments=["training"])
    go_through(upgrade, tools, upgrade.lanes[0])
    return upgrade, tools


def test_a_stop_that_is_not_confirmed_leaves_the_host_alone_and_keeps_its_lock(world: Doubtful) -> None:
    """C05: no back-out and no retry beside what may still run; the outcome names host and process."""
    upgrade, _ = lost(world)
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.UNKNOWN
    assert any("process 4711" in reason for reason in verdict.reasons)
    assert not {"back_out.yml", "release.yml", "stand_down.yml", "commit.yml"} & set(world.playbooks("training"))


def test_the_verdict_is_red_and_names_the_command_that_asks_the_hosts(world: Doubtful) -> None:
    upgrade, tools = lost(world)
    answer = lane.verdict(upgrade, tools, upgrade.lanes[0])
    assert answer.reply is Reply.NO
    assert f"changeover settle {upgrade.run.key}" in answer.text


def test_clearing_the_verdict_again_and_again_starts_nothing(world: Doubtful) -> None:
    """C06: half-way installed is a question for people, never a blind second start."""
    upgrade, tools = lost(world)
    begun = len(world.played)
    for _ in range(3):
        lane.verdict(upgrade, tools, upgrade.lanes[0])
        for end in ("commit", "back_out", "stand_down"):
            assert getattr(lane, end)(upgrade, tools, upgrade.lanes[0]).reply is Reply.NOT_APPLICABLE
    assert len(world.played) == begun


def test_a_person_who_asked_the_hosts_has_it_backed_out_and_proven(world: Doubtful) -> None:
    """C11: `settle` offers it, and after its word the lane decides as always."""
    upgrade, tools = lost(world)
    workflow = PlayedWorkflow()
    case = Case(upgrade, tools, world, workflow)
    found = look(case)
    training = next(one for one in found.environments if one.environment == "training")
    assert training.option(Way.BACK_OUT).possible
    assert not training.option(Way.RESUME).possible
    came = carry_out(case, found, Order(Way.BACK_OUT, "owner", "the host was asked"))
    assert came.refused == ()
    assert workflow.asked == [("training", "verdict")]
    for stage in ("verdict", "commit", "back_out", "stand_down", "settle"):
        getattr(lane, stage)(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert world.versions["train1"] == OLD


def test_a_closing_of_traffic_that_was_lost_is_not_called_untouched(tmp_path: Path) -> None:
    """The change had not begun, and yet nobody knows whether the host is open."""
    world = Doubtful(tmp_path, doubtful={"restore_point"})
    upgrade, _ = lost(world)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.UNKNOWN
    assert "stand_down.yml" not in world.playbooks("training")


def test_a_back_out_that_was_lost_is_back_out_failed(tmp_path: Path) -> None:
    world = Doubtful(tmp_path, doubtful={"back_out"}, unwell={"training"})
    upgrade, _ = lost(world)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACK_OUT_FAILED


def order_back_out(world: Doubtful, upgrade: Upgrade, tools: Tools) -> Outcome:
    """By `settle`, and what Airflow does then."""
    case = Case(upgrade, tools, world, PlayedWorkflow())
    came = carry_out(case, look(case), Order(Way.BACK_OUT, "owner", "the hosts answer again"))
    assert came.refused == ()
    environment = upgrade.lanes[0]
    for stage in ("verdict", "commit", "back_out", "stand_down", "settle"):
        getattr(lane, stage)(upgrade, tools, environment)
    return world.ledger.outcomes(upgrade.run.key)[environment.name].outcome


def test_a_back_out_that_failed_is_done_again_as_often_as_a_person_orders_it(tmp_path: Path) -> None:
    """From the same restore point, each under a name of its own; clearing the task does nothing again."""
    world = Doubtful(tmp_path, unwell={"training"})
    world.breaks["training", "back_out.yml"] = ("train1",)
    upgrade, tools = lost(world)
    assert lane.back_out(upgrade, tools, upgrade.lanes[0]).reply is Reply.NO
    assert order_back_out(world, upgrade, tools) is Outcome.BACK_OUT_FAILED
    del world.breaks["training", "back_out.yml"]
    assert order_back_out(world, upgrade, tools) is Outcome.BACKED_OUT
    steps = [step.step for step in world.ledger.steps(upgrade.run.key)]
    assert [step for step in steps if base_step(step) == "back_out"] == ["back_out", "back_out_try2", "back_out_try3"]
    assert world.playbooks("training").count("back_out.yml") == 3
    assert len({spec.variables["restore_point"] for spec in world.specs if spec.playbook == "back_out.yml"}) == 1
    assert world.versions["train1"] == OLD


def test_a_rollout_whose_back_out_failed_is_taken_back_by_order(tmp_path: Path) -> None:
    from tests.unit.test_batches import Farm

    farm = Farm(tmp_path)
    farm.breaks["production", "implement_batch.yml"] = farm.breaks["production", "back_out.yml"] = ("web1",)
    upgrade, tools = farm.batched()
    go_through(upgrade, tools, upgrade.lanes[0])
    assert farm.outcome(upgrade) is Outcome.BACK_OUT_FAILED
    del farm.breaks["production", "back_out.yml"]
    assert order_back_out(farm, upgrade, tools) is Outcome.BACKED_OUT  # type: ignore[arg-type]  # a Farm is a World
    assert [hosts for _, p, hosts in farm.played if p == "back_out.yml"] == [("web1",), ("web1",)]
    assert {step.step for step in farm.ledger.steps(upgrade.run.key)} >= {"back_out_b1", "back_out_b1_try2"}


def test_a_doubt_ends_with_a_persons_word_and_comes_back_with_the_next() -> None:
    blocked = Mark("run", MarkKind.BLOCKED, START, "training", "", {"reason": "lost"})
    settled = Mark("run", MarkKind.SETTLED, START, "training", "", {"action": "back-out", "by": "owner"})
    assert in_doubt([blocked]) == ("what is true is not known: lost",)
    assert in_doubt([blocked, settled]) == ()
    assert in_doubt([blocked, settled, blocked]) == ("what is true is not known: lost",)


def test_a_lost_batch_ends_the_rollout(tmp_path: Path) -> None:
    from tests.unit.test_batches import Farm

    class DoubtfulFarm(Farm):
        def run(self, spec: ExecutionSpec, credentials: Credentials, **how: Any) -> ExecutionResult:
            came = super().run(spec, credentials, **how)
            gone = spec.step == "implement_b2"
            return replace(came, status=StepStatus.UNKNOWN, reasons=(LOST,)) if gone else came

    farm = DoubtfulFarm(tmp_path)
    upgrade, tools = farm.batched(failure_budget="100%")
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert LOST in answers["implement"].text
    assert farm.changed() == [("web1",), ("web2",)]
    assert [m.data["decision"] for m in farm.ledger.marks(upgrade.run.key, kind=MarkKind.DECIDED)] == [Decision.LEAVE]
    assert farm.versions["web2"] == NEW
    assert "back_out.yml" not in farm.playbooks("production")
