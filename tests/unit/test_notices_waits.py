"""People are told what waits for them: holds, a paused DAG, until when an answer counts, the agreed night's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.fault import Fault, Reading
from changeover.domain.night import Case
from changeover.domain.notice import NoticeKind
from changeover.domain.notice_text import HELD
from changeover.domain.notice_waits import waits
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind
from changeover.usecases.answers import no_answer
from changeover.usecases.ask import open_request
from changeover.usecases.steer_run import hold, resume
from changeover.usecases.tell_people import Desk, story_of
from changeover.usecases.tools import Tools
from tests.support.night_lane import ASKED, DECIDE_BY, Lane
from tests.support.records import later
from tests.support.windows import at
from tests.support.world import World
from tests.unit.test_night import COMPLETE
from tests.unit.test_notices import Bench, Shelf, make

DECIDING = [("held", "ops"), ("held", "support"), ("held", "owner")]


def signed(home: Path, **changes: Any) -> Bench:
    """The client's owner signs production off, and so has to know."""
    bench = make(home, **changes)
    *others, production = bench.upgrade.plan.environments
    named = production.model_copy(update={"sign_off": bench.upgrade.plan.approval})
    of = bench.upgrade.plan.model_copy(update={"environments": (*others, named)})
    return replace(bench, upgrade=replace(bench.upgrade, plan=of))


def texts(bench: Bench, kind: NoticeKind) -> dict[str, str]:
    return {message.to.id: message.text for _, message in bench.mail.taken if message.to and message.kind is kind}


# ---- held, paused


def test_a_hold_by_the_policy_is_told_once_to_those_who_decide(tmp_path: Path) -> None:
    bench = signed(tmp_path)
    until = (bench.world.now + timedelta(hours=2)).isoformat()
    data = {"by": "rule: night policy", "reason": "task secret broke", "case": "acceptance_failed", "until": until}
    bench.mark(MarkKind.HELD, "production", **data)
    for _ in range(2):
        bench.tell()
        bench.world.now += timedelta(minutes=2)
    assert bench.mail.told() == DECIDING
    told = texts(bench, NoticeKind.HELD)
    assert "Production waits: the new release did not pass its tests" in told["owner"]
    assert "until 2026-08-15 21:30Z at most" in told["owner"]
    assert not any(word in told["owner"] for word in ("secret", "changeover", bench.upgrade.run.key))
    assert f"./changeover resume {bench.upgrade.run.key}" in told["ops"]
    assert "Held for acceptance_failed by the plan's night policy: task secret broke" in told["ops"]


def test_a_second_hold_is_news_and_one_that_is_over_is_not(tmp_path: Path) -> None:
    bench = signed(tmp_path)
    run, ledger = bench.upgrade.run, bench.world.ledger
    hold(ledger, run, by="ops", reason="lunch", at=bench.world.now)
    resume(ledger, run, by="ops", reason="back", at=bench.world.now + timedelta(seconds=1))
    bench.world.now += timedelta(minutes=1)
    bench.tell()
    assert bench.mail.told() == []
    hold(ledger, run, by="ops", reason="dinner", at=bench.world.now)
    bench.tell()
    assert bench.mail.told() == DECIDING
    assert "Held by ops: dinner" in texts(bench, NoticeKind.HELD)["support"]


def test_nothing_of_an_ended_environment_waits(tmp_path: Path) -> None:
    bench = signed(tmp_path)
    bench.mark(MarkKind.HELD, "production", by="ops", reason="why")
    bench.ended("production", Outcome.UNKNOWN)
    bench.tell()
    assert bench.mail.told(NoticeKind.HELD) == []


def test_a_paused_dag_is_told_until_it_goes_on(tmp_path: Path) -> None:
    bench = signed(tmp_path)
    bench.mark(MarkKind.AIRFLOW_PAUSED, reason="tasks will not be scheduled")
    bench.tell()
    assert bench.mail.told() == [("paused", who) for _, who in DECIDING]
    told = texts(bench, NoticeKind.PAUSED)
    assert "Nothing further begins" in told["owner"]
    assert "The DAG acme.tracker-2.6 is paused in Airflow" in told["support"]
    assert "Airflow" not in told["owner"]


def test_a_pause_that_was_ended_before_anybody_was_told_is_no_news(tmp_path: Path) -> None:
    bench = signed(tmp_path)
    bench.mark(MarkKind.AIRFLOW_PAUSED)
    bench.world.now += timedelta(seconds=30)
    bench.mark(MarkKind.AIRFLOW_UNPAUSED)
    bench.tell()
    assert bench.mail.told() == []


def test_the_policys_own_hold_says_until_when(tmp_path: Path) -> None:
    """As the lane writes it: the mark has the moment that the ruling names."""
    lane = Lane(World(tmp_path), COMPLETE | {"acceptance_failed": "hold"}, **ASKED)
    lane.world.unwell = {"training"}
    ask_go(lane)
    lane.until("acceptance")
    lane.stage("verdict")
    (mark,) = lane.marks(MarkKind.HELD)
    assert datetime.fromisoformat(mark.data["until"]) == DECIDE_BY
    assert mark.data["case"] == "acceptance_failed"


def test_a_gate_at_which_the_policy_waits_on_is_told_and_an_answer_ends_it(tmp_path: Path) -> None:
    lane = Lane(World(tmp_path), COMPLETE | {"go_no_go": "hold"}, **ASKED)
    open_request(lane.upgrade, lane.tools, gate="go_no_go", environment="training")
    lane.world.now += timedelta(minutes=30)
    no_answer(lane.upgrade, lane.tools, gate="go_no_go", environment="training")
    (wait,) = waits(lane.world.ledger.marks(lane.upgrade.run.key))
    assert (wait.gate, wait.over, "until" in wait.mark.data) == ("go_no_go", None, True)
    key, now = lane.upgrade.run.key, lane.world.now
    for gate, over in (("sign_off", None), ("go_no_go", now)):
        lane.world.ledger.mark(Mark(key, MarkKind.APPROVED, now, "training", data={"gate": gate, "by": "owner"}))
        assert waits(lane.world.ledger.marks(key))[0].over == over


def test_what_happens_in_another_environment_ends_no_hold() -> None:
    held = Mark("run", MarkKind.HELD, later(minutes=1), "training")
    other = Mark("run", MarkKind.RESUMED, later(minutes=2), "production")
    all_of_it = Mark("run", MarkKind.RESUMED, later(minutes=3))
    assert waits([held, other])[0].over is None
    assert waits([held, other, all_of_it])[0].over == later(minutes=3)
    back = Mark("run", MarkKind.BACKING_OUT, later(minutes=2), "training")
    assert waits([held, back])[0].over == later(minutes=2)


def test_every_case_of_the_night_has_words() -> None:
    assert set(HELD) == set(Case)


def ask_go(lane: Lane) -> None:
    key, now, digest = lane.upgrade.run.key, lane.world.now, lane.upgrade.run.plan_digest
    lane.world.ledger.mark(Mark(key, MarkKind.ASKED, now, "training", data={"gate": "go_no_go"}))
    data = {"gate": "go_no_go", "by": "owner", "plan_digest": digest}
    lane.world.ledger.mark(Mark(key, MarkKind.APPROVED, now, "training", data=data))


# ---- until when an answer counts


def test_a_request_names_the_deadline_that_airflow_keeps(tmp_path: Path) -> None:
    """The window opens at 20:00Z with half an hour's tolerance: the four hours of the plan are cut there."""
    bench = make(tmp_path)
    open_request(bench.upgrade, bench.world.tools(), gate="plan")
    seconds = float(open_request(bench.upgrade, bench.world.tools(), gate="plan").data["seconds"])
    deadline = bench.world.now + timedelta(seconds=seconds)
    assert deadline == at("2026-08-15T20:30")
    bench.tell()
    assert "waits for your answer until 2026-08-15 20:30Z" in texts(bench, NoticeKind.APPROVAL_WANTED)["owner"]


# ---- the clock of the night that was agreed


class Broken(Shelf):
    """The client's calendar of freezes has a slip of the pen."""

    def freezes(self, client: str) -> Any:
        return Reading("freezes.yaml", None, faults=(Fault("freezes.yaml", 3, "freezes", "is no list"),))


@pytest.fixture
def torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = make(tmp_path)
    tools: Callable[[], Any] = bench.world.tools
    monkeypatch.setattr(bench.world, "tools", lambda: replace(tools(), shelf=Broken(bench.upgrade.plan)))
    return bench


def agree(bench: Bench, opens: str = "2026-08-15T20:00", closes: str = "2026-08-16T02:00") -> None:
    times = {"opens": at(opens).isoformat(), "closes": at(closes).isoformat()}
    bench.mark(MarkKind.WINDOW_AGREED, "production", **times)


def desk(bench: Bench, tools: Tools) -> Desk:
    return Desk(tools, bench.book, {}, bench.site, lambda run: bench.upgrade)


def test_a_calendar_that_cannot_be_read_stops_no_notice_of_the_run(torn: Bench) -> None:
    torn.began()
    told = torn.tell()
    assert torn.mail.told(NoticeKind.STARTED) == [("started", who) for who in ("ops", "owner", "support")]
    assert any("decide-by of production" in why and "freezes" in why for why in told.broken), told.broken


def test_the_agreed_night_is_told_without_the_calendar(torn: Bench) -> None:
    agree(torn)
    torn.began()
    torn.world.now = at("2026-08-16T01:45")
    torn.tell()
    assert torn.mail.told(NoticeKind.DECIDE_BY_NEAR) == [("decide_by_near", who) for who in ("ops", "support")]


def test_an_open_request_is_told_without_the_calendar(torn: Bench) -> None:
    agree(torn)
    torn.mark(MarkKind.ASKED, gate="plan", plan_digest=torn.upgrade.run.plan_digest)
    torn.tell()
    assert torn.mail.told(NoticeKind.APPROVAL_WANTED) == [("approval_wanted", "owner")]


def test_the_clock_told_is_that_of_the_night_that_was_agreed(tmp_path: Path) -> None:
    """The plan's window is that of the 15th; this run agreed on another night, which the watcher goes by."""
    bench = make(tmp_path)
    agree(bench, "2026-08-22T20:00", "2026-08-23T02:00")
    story = story_of(desk(bench, bench.world.tools()), bench.upgrade)
    assert story.nights["production"].opens == at("2026-08-22T20:00")
    assert story.decide_by["production"] == at("2026-08-23T02:00")
