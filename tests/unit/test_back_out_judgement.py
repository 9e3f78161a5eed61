"""A back-out that would lose data asks first (C18): what is lost is shown, put aside, and said yes to by two people."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.loss import BackOutAsked, refusals, table_losses
from changeover.domain.no_return import Reversible
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind
from changeover.usecases import lane, planning
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.open_run import requested_run
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import NEW, OLD, START, World, plan, release
from tests.unit.test_lane import go_through, prepared

KEYS = {"orders": ("id",)}
OPENED = START


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def committed(world: World) -> None:
    """Training runs the new release, users are on it."""
    upgrade, tools = prepared(world, environments=["training"])
    assert go_through(upgrade, tools, upgrade.lanes[0])["settle"].reply is Reply.YES


def back_out_run(world: World, name: str = "manual__2") -> tuple[Upgrade, Tools]:
    world.now += timedelta(minutes=45)
    run = requested_run(
        plan(),
        plan_digest="d" * 64,
        plan_text="text",
        dag_run_id=name,
        requested_by="ops",
        asked={"mode": "back-out", "environments": ["training"], "reason": "orders are wrong"},
        at=world.now,
    )
    upgrade, tools = Upgrade(world.ledger.open_run(run), plan(), release()), world.tools()
    assert check_entry(upgrade, tools).reply is Reply.YES
    return upgrade, tools


def approve(upgrade: Upgrade, tools: Tools, *people: str) -> None:
    assert open_request(upgrade, tools, gate="plan").reply is Reply.YES
    for who in people:
        record_answer(upgrade, tools, gate="plan", environment="", option="Approve", responder={"id": who})


def enter(world: World, count: int = 37) -> None:
    world.rows["train1"] = [*world.rows["train1"], *({"id": 1000 + n, "total": "5.00"} for n in range(count))]


def test_those_who_are_asked_see_what_would_be_lost(world: World) -> None:
    committed(world)
    enter(world)
    upgrade, tools = back_out_run(world)
    assert planning.write_run_sheet(upgrade, tools).reply is Reply.YES
    facts = open_request(upgrade, tools, gate="plan").data["facts"]
    assert "would be lost, training" in facts
    assert "37 rows in `issues` entered since 2026-08-14 13:00Z" in facts
    assert world.versions["train1"] == NEW


def test_what_cannot_be_read_is_an_unknown_amount_and_never_nothing(world: World) -> None:
    committed(world)
    upgrade, tools = back_out_run(world)
    world.unreachable.add("train1")
    planning.write_run_sheet(upgrade, tools)
    facts = open_request(upgrade, tools, gate="plan").data["facts"]
    assert "unknown amount" in facts


def test_one_person_is_not_enough_once_users_were_let_in(world: World) -> None:
    committed(world)
    enter(world)
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner", "owner")
    go_through(upgrade, tools, upgrade.lanes[0])
    assert world.versions["train1"] == NEW
    assert ("training", "back_out.yml", ("train1",)) not in world.played


def test_with_two_people_the_rows_are_put_aside_first_and_the_loss_is_told(world: World) -> None:
    committed(world)
    before = list(world.rows["train1"])
    enter(world)
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner", "support")
    training = upgrade.lanes[0]
    lane.window(upgrade, tools, training)
    begun = len(world.played)
    played = World.run

    def restoring(self: World, spec: Any, *args: Any, **how: Any) -> Any:
        if spec.playbook == "back_out.yml":
            assert kept(world, upgrade).exists(), "nothing is put back before the rows are put aside"
            self.rows["train1"] = before
        return played(self, spec, *args, **how)

    world.run = restoring.__get__(world)  # type: ignore[method-assign]
    assert lane.verdict(upgrade, tools, training).reply is Reply.YES
    assert lane.back_out(upgrade, tools, training).reply is Reply.YES
    playbooks = [p for _, p, _ in world.played[begun:]]
    assert playbooks == ["restore_point.yml", "back_out.yml", "verify.yml", "release.yml"], "three at most in one stage"
    lane.settle(upgrade, tools, training)
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.BACKED_OUT
    assert any("37 rows in `issues`" in reason and "put aside" in reason for reason in verdict.reasons)
    found = json.loads(kept(world, upgrade).read_text())
    assert len(found["train1"]["issues"]["entered"]) == 37
    assert any(e.name == "rows-since-restore-point.json" and e.sha256 for e in world.ledger.evidence(upgrade.run.key))


def kept(world: World, upgrade: Upgrade) -> Path:
    return world.tools().settings.evidence_directory(upgrade.run.key) / "training/rows-since-restore-point.json"


def test_what_cannot_be_put_aside_is_not_put_back(world: World) -> None:
    committed(world)
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner", "support")
    world.breaks["training", "restore_point.yml"] = ("train1",)
    training = upgrade.lanes[0]
    lane.window(upgrade, tools, training)
    answer = lane.verdict(upgrade, tools, training)
    assert answer.reply is Reply.NO
    assert "so nothing was put back" in answer.text
    assert lane.back_out(upgrade, tools, training).reply is Reply.NOT_APPLICABLE
    assert world.playbooks("training")[-1] == "stand_down.yml", "opened again, and the locks given back"
    assert world.versions["train1"] == NEW


def test_what_was_backed_out_is_not_put_back_once_more(world: World) -> None:
    """Users went on with the old release since; the same restore point would take that from them."""
    committed(world)
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner", "support")
    for stage in ("window", "verdict", "back_out", "settle"):
        getattr(lane, stage)(upgrade, tools, upgrade.lanes[0])
    assert world.versions["train1"] == OLD
    enter(world)
    upgrade, tools = back_out_run(world, "manual__3")
    approve(upgrade, tools, "owner", "support")
    begun = len(world.played)
    lane.window(upgrade, tools, upgrade.lanes[0])
    answer = lane.verdict(upgrade, tools, upgrade.lanes[0])
    assert answer.reply is Reply.NO
    assert lane.back_out(upgrade, tools, upgrade.lanes[0]).reply is Reply.NOT_APPLICABLE
    assert "put the old release back already" in answer.text
    assert len(world.played) == begun


def test_a_back_out_that_fails_after_two_people_said_yes_is_called_so(world: World) -> None:
    committed(world)
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner", "support")
    world.breaks["training", "back_out.yml"] = ("train1",)
    training = upgrade.lanes[0]
    for stage in ("window", "verdict", "back_out", "settle"):
        getattr(lane, stage)(upgrade, tools, training)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACK_OUT_FAILED


def test_before_users_were_let_in_one_approval_is_enough(world: World) -> None:
    """A failed back-out left the old run unproven with traffic closed: no row can be lost."""
    world.unwell.add("training")
    world.breaks["training", "back_out.yml"] = ("train1",)
    upgrade, tools = prepared(world, environments=["training"])
    go_through(upgrade, tools, upgrade.lanes[0])
    world.breaks.clear()
    upgrade, tools = back_out_run(world)
    approve(upgrade, tools, "owner")
    training = upgrade.lanes[0]
    for stage in ("window", "verdict", "back_out", "settle"):
        getattr(lane, stage)(upgrade, tools, training)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert world.versions["train1"] == OLD


def test_nothing_is_backed_out_by_itself_once_commit_had_begun(world: World) -> None:
    """The commit opens traffic; should a task then be cleared, the decision to go back is people's."""
    world.unwell.add("training")
    upgrade, tools = prepared(world, environments=["training"])
    training = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance"):
        getattr(lane, stage)(upgrade, tools, training)
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.COMMITTING, world.now, training.name))
    answer = lane.verdict(upgrade, tools, training)
    assert answer.reply is Reply.NO
    assert "nothing is backed out by itself any more" in answer.text
    assert lane.back_out(upgrade, tools, training).reply is Reply.NOT_APPLICABLE
    assert "back_out.yml" not in world.playbooks("training")


def asked(**changes: Any) -> BackOutAsked:
    known: dict[str, Any] = {
        "environment": "production",
        "restore_point": "run-production",
        "opened": OPENED,
        "approved_by": ("owner", "support"),
    }
    return BackOutAsked(**{**known, **changes})


def test_a_step_that_cannot_be_taken_back_is_refused_with_what_is_still_possible() -> None:
    refused = refusals(asked(reversible=Reversible.NO))
    assert "cannot be taken back" in refused[0]
    assert refused[1].startswith("still possible:")
    assert "restored by hand" in refused[1]
    assert "backups" in refusals(asked(restore_point=None))[1]
    assert refusals(asked()) == ()
    assert "2 people have to say yes, owner did" in refusals(asked(approved_by=("owner", "owner")))[0]
    assert refusals(asked(approved_by=(), opened=None)) == ()


def test_rows_are_counted_by_their_key_in_the_columns_both_releases_have() -> None:
    then = {"orders": [{"id": 1, "total": "10"}, {"id": 2, "total": "5"}, {"id": 3, "total": "1"}]}
    now = {"orders": [{"id": 1, "total": "10", "new": 1}, {"id": 2, "total": "6", "new": 1}, {"id": 9, "total": "7"}]}
    (loss,) = table_losses("app1", then, now, KEYS)
    assert (len(loss.entered), len(loss.changed), loss.removed) == (1, 1, 1)
    assert loss.told("01:05Z") == "app1: 1 row in `orders` entered since 01:05Z, 1 changed, 1 removed"
    assert (
        table_losses("app1", then, None, KEYS)[0].told("01:05Z") == "app1: an unknown amount in `orders` since 01:05Z"
    )
    assert not table_losses("app1", {}, {}, {})[0].known
