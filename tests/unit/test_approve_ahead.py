"""What starts by itself at night is approved by day: at the end of a rehearsal, for this text and one opening."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.memory import MemoryStore
from changeover.adapters.notice_entries import EntryNoticeBook
from changeover.domain.change import ChangeModel
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Plan
from changeover.domain.record import MarkKind
from changeover.usecases import baseline, closeout, planning, transition
from changeover.usecases.answers import no_answer, record_answer
from changeover.usecases.approve_ahead import ENDS_BEFORE
from changeover.usecases.ask import open_request, tally_of
from changeover.usecases.open_run import requested_run
from changeover.usecases.tell_people import Desk, tell_due
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from tests.support.windows import at, third_saturday
from tests.support.world import World, plan, release
from tests.unit.test_night import COMPLETE

OPENS, NEXT = at("2026-08-14 13:00"), at("2026-09-18 13:00")
PEOPLE = [
    {"id": who, "name": who.title(), "role": who, "side": "client" if who == "owner" else "provider"}
    for who in ("ops", "owner", "ann", "support")
]


def by_itself(**changes: Any) -> Plan:
    environments = [each.model_dump() for each in plan().environments]
    environments[1]["window"] = third_saturday().model_dump()
    asked = {"participants": PEOPLE, "approval": {"by": ["owner", "ann"], "wait": "4h"}}
    base = {"environments": environments, "unattended": {"window_of": "training"}, "night": COMPLETE}
    return plan(**(base | asked | changes))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, now=at("2026-08-13 08:00"))


def run_of(world: World, of: Plan, dag_run_id: str, *, digest: str = "d", **more: Any) -> Upgrade:
    run = requested_run(
        of, plan_digest=digest * 64, plan_text="text", dag_run_id=dag_run_id, at=world.now,
        requested_by=more.pop("requested_by", "ops"), asked=more,
    )  # fmt: skip
    return Upgrade(world.ledger.open_run(run), of, release())


def rehearsal(world: World, of: Plan | None = None, **more: Any) -> Upgrade:
    """As far as the run sheet."""
    upgrade, tools = run_of(world, of or by_itself(), "manual__1", mode="rehearse", **more), world.tools()
    world.took = {"implement.yml": timedelta(minutes=60), "back_out.yml": timedelta(minutes=60)}
    assert transition.check_entry(upgrade, tools).reply is Reply.YES
    for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
        assert step(upgrade, tools).reply is Reply.YES
    assert planning.write_run_sheet(upgrade, tools).reply is Reply.YES
    return upgrade


def at_night(world: World, of: Plan | None = None, opening: Any = OPENS, **more: Any) -> Upgrade:
    world.now = max(opening, world.now)
    return run_of(world, of or by_itself(), f"scheduled__{opening.isoformat()}", **more)


def ask(world: World, upgrade: Upgrade) -> Answer:
    return open_request(upgrade, world.tools(), gate="plan")


def say(world: World, upgrade: Upgrade, who: str, option: str = "Approve", comment: str = "") -> Answer:
    responder = {"id": who}
    return record_answer(
        upgrade, world.tools(), gate="plan", environment="", option=option, responder=responder, comment=comment
    )


def approved(world: World, *who: str, of: Plan | None = None, **more: Any) -> Upgrade:
    upgrade = rehearsal(world, of, **more)
    assert ask(world, upgrade).reply is Reply.YES
    for each in who:
        say(world, upgrade, each, comment=f"{each} read it")
    return upgrade


def test_the_run_of_that_opening_asks_nobody(world: World) -> None:
    by_day = approved(world, "owner")
    night = at_night(world)
    answer = ask(world, night)
    assert (answer.reply, answer.data) == (Reply.YES, {"decided": True})
    (given,) = world.ledger.marks(night.run.key, kind=MarkKind.APPROVED)
    assert given.data == {
        "gate": "plan", "by": "owner", "plan_digest": "d" * 64, "ahead": by_day.run.key, "comment": "owner read it",
    }  # fmt: skip
    tools = world.tools()
    transition.open_change(night, tools)
    assert planning.bind_approval(night, tools).text.startswith("approved by owner for plan")


def test_a_lost_task_takes_it_over_again(world: World) -> None:
    approved(world, "owner")
    night = at_night(world)
    for _ in range(2):
        assert ask(world, night).data == {"decided": True}
        world.now += timedelta(seconds=5)


@pytest.mark.parametrize(
    ("night", "why"),
    [
        ({"digest": "e"}, "another text of the plan"),
        ({"opening": NEXT}, "another night"),
        ({"requested_by": "owner"}, "the approver started this run"),
    ],
)
def test_it_counts_for_nothing_else(world: World, night: dict[str, Any], why: str) -> None:
    approved(world, "owner")
    upgrade = at_night(world, **night)
    assert "decided" not in ask(world, upgrade).data, why
    assert tally_of(upgrade, world.tools(), gate="plan").open


def test_a_run_that_somebody_starts_is_asked_about(world: World) -> None:
    approved(world, "owner")
    upgrade = run_of(world, by_itself(), "manual__2")
    assert ask(world, upgrade).data["asked"] == ["owner", "ann"]


def test_it_holds_for_the_environments_that_were_rehearsed_for(world: World) -> None:
    approved(world, "owner", environments=["training"])
    assert "decided" not in ask(world, at_night(world)).data


def test_a_quorum_has_to_be_whole(world: World) -> None:
    two = by_itself(approval={"by": ["owner", "ann"], "quorum": 2, "wait": "4h"})
    approved(world, "owner", of=two)
    night = at_night(world, two)
    assert ask(world, night).data["asked"] == ["owner", "ann"]
    assert tally_of(night, world.tools(), gate="plan").approved == (), "both are asked anew"


def test_a_whole_quorum_counts(world: World) -> None:
    two = by_itself(approval={"by": ["owner", "ann"], "quorum": 2, "wait": "4h"})
    approved(world, "owner", "ann", of=two)
    night = at_night(world, two)
    assert ask(world, night).data == {"decided": True}
    assert tally_of(night, world.tools(), gate="plan").approved == ("owner", "ann")


def test_whoever_started_the_rehearsal_approves_nothing(world: World) -> None:
    of = by_itself()
    upgrade = rehearsal(world, of, requested_by="owner")
    assert ask(world, upgrade).data["asked"] == ["ann"]
    assert say(world, upgrade, "owner").text == "plan: owner asked for this upgrade and cannot approve it"


def test_a_rehearsal_whose_starter_is_needed_is_refused_at_once(world: World) -> None:
    of = by_itself(approval={"by": ["owner"], "wait": "4h"})
    upgrade = run_of(world, of, "manual__1", mode="rehearse", requested_by="owner")
    assert (
        "owner started the run and is needed for the plan's approval"
        in transition.check_entry(upgrade, world.tools()).text
    )


def test_one_no_undoes_it_and_the_newest_rehearsal_counts(world: World) -> None:
    upgrade = approved(world, "owner")
    again = run_of(world, by_itself(), "manual__2", mode="rehearse")
    ask(world, again)
    say(world, again, "ann", "Reject")
    assert tally_of(upgrade, world.tools(), gate="plan").reached
    assert "decided" not in ask(world, at_night(world)).data


def test_the_request_says_what_it_counts_for_and_ends_before_the_start(world: World) -> None:
    upgrade = rehearsal(world)
    world.now = OPENS - timedelta(hours=1)
    answer = ask(world, upgrade)
    assert (
        "| counts for | the start by itself at 2026-08-14 13:00Z, of exactly this plan text |" in answer.data["facts"]
    )
    assert timedelta(seconds=answer.data["seconds"]) == timedelta(hours=1) - ENDS_BEFORE
    (asked,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.ASKED)
    assert asked.data["opening"] == OPENS.isoformat()


def test_too_short_before_an_opening_the_next_one_is_asked_about(world: World) -> None:
    upgrade = rehearsal(world)
    world.now = OPENS - ENDS_BEFORE
    assert "2026-09-18 13:00Z" in ask(world, upgrade).data["facts"]


def test_a_request_that_is_put_again_keeps_its_opening(world: World) -> None:
    upgrade = rehearsal(world)
    ask(world, upgrade)
    world.now = OPENS
    assert ask(world, upgrade).reply is Reply.NOT_APPLICABLE
    assert len(world.ledger.marks(upgrade.run.key, kind=MarkKind.ASKED)) == 1


def test_without_a_coming_night_nobody_is_asked(world: World) -> None:
    order = by_itself().statement_of_work.model_dump() | {"valid_until": "2026-08-20"}
    upgrade = rehearsal(world, by_itself(statement_of_work=order))
    world.now = OPENS
    answer = ask(world, upgrade)
    assert (answer.reply, "no opening comes" in answer.text) == (Reply.NOT_APPLICABLE, True)


@pytest.mark.parametrize("silence", ["skip_environment", "hold"])
def test_silence_by_day_is_no_failure(world: World, silence: str) -> None:
    """The night asks once more; with `hold` by day it is waited for until the rehearsal has to make room."""
    upgrade = rehearsal(world, by_itself(night=COMPLETE | {"plan_approval": silence}))
    ask(world, upgrade)
    world.now = OPENS - ENDS_BEFORE if silence == "hold" else world.now + timedelta(hours=4)
    answer = no_answer(upgrade, world.tools(), gate="plan", environment="")
    assert (answer.reply, "not approved ahead" in answer.text) == (Reply.NOT_APPLICABLE, True)
    assert "decided" not in ask(world, at_night(world, by_itself(night=COMPLETE | {"plan_approval": silence}))).data


def test_hold_waits_on_by_day(world: World) -> None:
    upgrade = rehearsal(world, by_itself(night=COMPLETE | {"plan_approval": "hold"}))
    ask(world, upgrade)
    world.now += timedelta(hours=4)
    assert no_answer(upgrade, world.tools(), gate="plan", environment="").reply is Reply.YES


def test_a_rehearsal_touches_no_change_and_is_done_whatever_was_said(world: World) -> None:
    upgrade, tools = approved(world, "owner"), world.tools()
    assert planning.bind_approval(upgrade, tools).reply is Reply.NOT_APPLICABLE
    told = {item.write.kind for item in world.ledger.outbox(change=upgrade.run.key)}
    assert not told & {"open_change", "plan_change", "move_change", "note"}, told
    assert world.ledger.marks(upgrade.run.key, kind=MarkKind.WINDOW_AGREED) == ()
    assert closeout.outcome_of(upgrade, tools).outcome is not Outcome.REFUSED


@pytest.mark.parametrize("changes", [{"unattended": None}, {"change": "standard"}])
def test_other_rehearsals_end_before_planning(world: World, changes: dict[str, Any]) -> None:
    if "change" in changes:
        given = {"reference": "STD-1", "by": "owner", "until": "2026-12-31"}
        changes = {"change": {"model": str(ChangeModel.STANDARD), "pre_approval": given}}
    upgrade = run_of(world, by_itself(**changes), "manual__1", mode="rehearse")
    assert planning.write_run_sheet(upgrade, world.tools()).reply is Reply.NOT_APPLICABLE


def test_those_who_are_asked_ahead_are_told_and_nothing_else_is(world: World) -> None:
    people = [person | {"email": f"{person['id']}@example.net"} for person in PEOPLE]
    upgrade = rehearsal(world, by_itself(participants=people))
    ask(world, upgrade)
    told: list[tuple[str, str]] = []

    class Mail:
        def send(self, connection: str, message: Any) -> None:
            told.append((str(message.kind), message.to.id))

    tools: Tools = world.tools()
    desk = Desk(tools, EntryNoticeBook(MemoryStore()), {"email": Mail()}, channels(), lambda run: upgrade)
    tell_due(desk)
    assert told == [("approval_wanted", "owner"), ("approval_wanted", "ann")]
    tell_due(replace(desk, upgrade_of=lambda run: upgrade))
    assert len(told) == 2


def channels() -> Any:
    from changeover.domain.notice import Channels

    return Channels(email="post")
