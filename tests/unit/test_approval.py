"""C03: approvals are bound to people, to one environment and to one plan text; the request says what they decide on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.approval import approval_of, barred
from changeover.domain.night import Night
from changeover.domain.plan import Plan, cross_faults
from changeover.domain.record import Mark, MarkKind
from changeover.usecases.answers import no_answer, record_answer
from changeover.usecases.ask import open_request, tally_of
from changeover.usecases.lane import window
from changeover.usecases.planning import bind_approval
from changeover.usecases.tools import Answer, Reply, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import World, plan

PEOPLE = [
    {"id": who, "name": who.title(), "role": who, "side": "provider"}
    for who in ("ops", "owner", "ann", "bob", "support")
]


def two_of_three(**changes: Any) -> Plan:
    return plan(participants=PEOPLE, approval={"by": ["owner", "ann", "bob"], "quorum": 2, "wait": "4h"}, **changes)


def with_lane(**changes: Any) -> Plan:
    """Production is asked about."""
    environments = [environment.model_dump(exclude_unset=True) for environment in plan().environments]
    return plan(participants=PEOPLE, environments=[*environments[:-1], environments[-1] | changes])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def upgrade(world: World) -> Upgrade:
    return world.upgrade(of=two_of_three())


def say(
    world: World, upgrade: Upgrade, who: str, option: str = "Approve", *, gate: str = "plan", on: str = "", **more: Any
) -> Answer:
    return record_answer(
        upgrade, world.tools(), gate=gate, environment=on, option=option, responder={"id": who}, **more
    )


def ask(world: World, upgrade: Upgrade, gate: str = "plan", on: str = "") -> Answer:
    return open_request(upgrade, world.tools(), gate=gate, environment=on)


def test_two_of_three_have_to_say_yes(world: World, upgrade: Upgrade) -> None:
    assert ask(world, upgrade).data["asked"] == ["owner", "ann", "bob"]
    first = say(world, upgrade, "ann")
    assert (first.reply, first.data) == (Reply.YES, {"seconds": 4 * 3600.0})
    assert bind_approval(upgrade, world.tools()).text == "the plan is not approved: 1 of 2 approvals; yes from ann"
    assert say(world, upgrade, "bob").data == {}
    assert bind_approval(upgrade, world.tools()).text.startswith("approved by ann, bob for plan")


def test_a_person_counts_once(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann")
    again = say(world, upgrade, "ann")
    assert "ann had said yes already" in again.text
    assert "seconds" in again.data
    assert not tally_of(upgrade, world.tools(), gate="plan").reached
    assert len(world.ledger.marks(upgrade.run.key, kind=MarkKind.APPROVED)) == 1


def test_one_rejection_ends_it_whatever_was_said_before(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann")
    assert say(world, upgrade, "bob", "Reject").reply is Reply.NO
    assert not tally_of(upgrade, world.tools(), gate="plan").reached
    ask(world, upgrade)
    assert say(world, upgrade, "bob").data["seconds"] > 0, "asked again: the approval before the rejection is void"


def test_a_lost_task_puts_the_same_request_again_with_what_is_left_of_its_time(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann")
    world.now += timedelta(hours=3)
    assert ask(world, upgrade).data["seconds"] == 3600
    assert len(world.ledger.marks(upgrade.run.key, kind=MarkKind.ASKED)) == 1
    assert say(world, upgrade, "bob").data == {}


def test_a_cleared_request_asks_everybody_anew(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann")
    say(world, upgrade, "bob")
    ask(world, upgrade)
    assert tally_of(upgrade, world.tools(), gate="plan").approved == ()


def test_half_a_quorum_lets_no_lane_begin_not_even_a_back_out(world: World) -> None:
    back = world.upgrade(of=two_of_three(), mode="back-out", environments=["training"], reason="they want it")
    ask(world, back)
    say(world, back, "ann")
    assert window(back, world.tools(), back.lanes[0]).text == "the plan is not approved"


def test_an_approval_of_another_plan_text_is_void(world: World, upgrade: Upgrade) -> None:
    for who in ("ann", "bob"):
        data = {"gate": "plan", "by": who, "plan_digest": "e" * 64}
        world.ledger.mark(Mark(upgrade.run.key, MarkKind.APPROVED, world.now, "", "", data))
    assert not tally_of(upgrade, world.tools(), gate="plan").reached
    assert "ask again" in bind_approval(upgrade, world.tools()).text


def test_whoever_started_the_run_cannot_approve_it(world: World, upgrade: Upgrade) -> None:
    started = replace(upgrade, run=replace(upgrade.run, requested_by="ann"))
    assert ask(world, started).data["asked"] == ["owner", "bob"]
    assert say(world, started, "ann").text == "plan: ann asked for this upgrade and cannot approve it"


def test_a_run_that_its_starter_would_have_to_approve_is_refused_at_its_start(world: World) -> None:
    upgrade = world.upgrade()
    started = replace(upgrade, run=replace(upgrade.run, requested_by="owner"))
    said = check_entry(started, world.tools())
    assert "owner started the run and is needed for the plan's approval; somebody else starts it" in said.text
    assert ask(world, started).reply is Reply.NO


def test_the_requester_may_still_accept_the_result() -> None:
    assert barred("plan", "ops", "") == ("ops",)
    assert barred("sign_off", "ops") == ()


def test_an_answer_for_one_environment_counts_for_no_other(world: World) -> None:
    upgrade = world.upgrade(of=with_lane(go_no_go={"by": ["ann"]}))
    ask(world, upgrade, "go_no_go", "production")
    say(world, upgrade, "ann", gate="go_no_go", on="production")
    assert tally_of(upgrade, world.tools(), gate="go_no_go", environment="production").reached
    assert not tally_of(upgrade, world.tools(), gate="plan").reached
    assert approval_of(upgrade.plan, "go_no_go", "training") is None


def test_the_comment_is_kept_in_one_line_and_goes_to_the_cmdb(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann", comment="after\nthe  fair")
    (approved,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.APPROVED)
    assert approved.data["comment"] == "after the fair"
    assert "after the fair" in str([write.payload for write in world.ledger.pending_writes()])


def test_silence_is_a_no_and_says_how_far_it_came(world: World, upgrade: Upgrade) -> None:
    ask(world, upgrade)
    say(world, upgrade, "ann")
    said = no_answer(upgrade, world.tools(), gate="plan", environment="")
    assert said.reply is Reply.NO
    assert "1 of 2 approvals; yes from ann" in said.text
    assert not tally_of(upgrade, world.tools(), gate="plan").reached


def test_a_sign_off_may_go_on_without_an_answer_where_the_plan_says_so(world: World) -> None:
    of = with_lane(sign_off={"by": ["ann"]}).model_copy(update={"night": Night(sign_off="proceed")})
    upgrade = world.upgrade(of=of)
    ask(world, upgrade, "sign_off", "production")
    assert no_answer(upgrade, world.tools(), gate="sign_off", environment="production").reply is Reply.YES
    (signed,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.SIGNED_OFF)
    assert str(signed.data["by"]).startswith("rule: no answer in time")


def test_the_request_says_what_is_decided_on(world: World) -> None:
    night = {
        "kind": "dated", "zone": "Europe/Berlin", "on": date(2026, 12, 5), "start": time(22), "end": time(4),
    }  # fmt: skip
    upgrade = world.upgrade(of=with_lane(go_no_go={"by": ["ann"]}, window=night))
    world.ledger.freeze_hosts(upgrade.run.key, {"production": tuple(_hosts(world))})
    facts = ask(world, upgrade, "go_no_go", "production").data["facts"]
    for words in (
        "| client | acme |",
        "tracker 2.0.0 to 2.6.0 (tracker/2.6)",
        "hosts prod1, prod2",
        "22:00 to 04:00 Europe/Berlin",
        "(2026-12-05 21:00Z to 2026-12-06 03:00Z)",
        "| decide by, production | Sun 2026-12-06 04:00 Europe/Berlin (2026-12-06 03:00Z)",
        "0 of 1 approvals",
        "**Findings**",
    ):
        assert words in facts, facts


def _hosts(world: World) -> Any:
    recorded = world.cmdb.environment("acme", "tracker", "production")
    assert recorded is not None
    return recorded.hosts


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"approval": {"by": ["owner"], "quorum": 2}}, "approval.quorum: 2 have to say yes, and only 1 may answer"),
        ({"approval": {"by": ["owner", "owner"]}}, "approval.by: 'owner' is named twice"),
        (
            {"night": {"plan_approval": "proceed"}},
            (
                "night.plan_approval: proceed is not possible: silence never approves a plan; "
                "possible: hold, skip_environment"
            ),
        ),
    ],
)
def test_an_approval_that_cannot_be_had_is_a_fault_of_the_plan(changes: dict[str, Any], fault: str) -> None:
    assert fault in cross_faults(plan().model_dump() | changes)


def test_the_requester_cannot_let_an_environment_begin() -> None:
    environments = [environment.model_dump() for environment in plan().environments]
    environments[1]["go_no_go"] = {"by": ["ops"]}
    found = cross_faults(plan().model_dump() | {"environments": environments})
    assert found == ("environments.1.go_no_go.by: 'ops' requested the upgrade and cannot let it begin",)
