"""Lanes of several plans share caps, hosts and people: who comes second waits inside the window, and is told why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from changeover import wiring
from changeover.adapters import ledger_sql
from changeover.adapters.fleet_entries import EntryFleet
from changeover.adapters.memory import MemoryStore
from changeover.cli import app
from changeover.domain.cap import LONGEST_WAIT, Cap, Caps, Claim, cap_conflicts, hindrances
from changeover.domain.conflict import Work
from changeover.domain.finding import Finding, Severity
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Mode
from changeover.domain.record import Mark, MarkKind
from changeover.domain.window import Occurrence
from changeover.errors import PlanError
from changeover.usecases import lane, start_gate
from changeover.usecases.ask import findings
from changeover.usecases.start_gate import may_begin
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.content import make
from tests.support.windows import at
from tests.support.world import START, World, plan

ENGINEERS = Cap(name="engineers", at_most=1, reason="one is on duty")


def claim(plan: str = "other.app", environment: str = "production", **of: Any) -> Claim:
    fields: dict[str, Any] = {
        "run": f"{plan}.run", "client": plan.split(".", maxsplit=1)[0], "application": "app", "kind": "production",
        "cis": (f"{plan}/{environment}", "host 10.0.0.9:22"), "people": ("jo",), "since": START,
    }  # fmt: skip
    return Claim(plan=plan, environment=environment, **(fields | of))


# the rules


def test_nobody_works_on_the_same_host_twice() -> None:
    (why,) = hindrances(claim("a.x"), [claim("b.y")], Caps())
    assert why.startswith("host 10.0.0.9:22 is being worked on by b.y production (at work since 2026-08-14 13:00Z")


def test_what_belongs_to_an_item_at_work_waits_for_it() -> None:
    below = claim("a.x", cis=("a.x/production", "host 10.0.0.1:22"))
    above = claim("b.y", cis=("host 10.0.0.1:22",))
    assert hindrances(below, [above], Caps())


def test_other_hosts_hinder_nobody() -> None:
    assert hindrances(claim("a.x", cis=("a", "host 10.0.0.1:22")), [claim("b.y")], Caps()) == ()


def test_the_own_claim_hinders_nobody() -> None:
    own = claim("a.x")
    assert hindrances(own, [own], Caps(caps=(ENGINEERS,))) == ()


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        ({}, True),
        ({"clients": ("a",)}, False),
        ({"clients": ("a", "b")}, True),
        ({"applications": ("app",)}, True),
        ({"applications": ("erp",)}, False),
        ({"kinds": ("training",)}, False),
        ({"items": ("host 10.0.0.9:22",)}, False),
    ],
)
def test_a_cap_counts_what_it_is_for(scope: dict[str, Any], counts: bool) -> None:
    """Both have to be of it: the one that holds a place, and the one that wants it."""
    cap = ENGINEERS.model_copy(update=scope)
    apart = claim("a.x", cis=("a", "host 10.0.0.1:22"))
    told = hindrances(apart, [claim("b.y")], Caps(caps=(cap,)))
    assert bool(told) is counts
    if counts:
        assert told[0].startswith("engineers allows 1 at a time (one is on duty), taken by b.y production")


def test_people_stop_nobody_unless_it_is_said() -> None:
    apart = claim("a.x", cis=("a", "host 10.0.0.1:22"))
    assert hindrances(apart, [claim("b.y")], Caps()) == ()
    assert hindrances(apart, [claim("b.y")], Caps(per_person=1))[0].startswith("jo is needed by b.y production")


def test_the_calendar_tells_where_a_cap_will_not_hold() -> None:
    night = Occurrence(date(2026, 8, 14), START, START + timedelta(hours=4), "UTC")
    works = [Work(f"{n}.x", n, "production", night, frozenset(), frozenset(), "app", "production") for n in "ab"]
    (found,) = cap_conflicts(works, Caps(caps=(ENGINEERS,)))
    assert "more than 1 (engineers) at a time" in found.told()
    assert cap_conflicts(works, Caps(caps=(ENGINEERS.model_copy(update={"at_most": 2}),))) == ()


# lanes


@dataclass
class Floor:
    """Two upgrades of two plans in one world, on hosts of their own unless said otherwise."""

    world: World
    store: MemoryStore
    file: Path

    def tools(self) -> Tools:
        return replace(self.world.tools(), fleet=EntryFleet(self.store, self.file))

    def caps(self, text: str) -> None:
        self.file.write_text(f"schema_version: 1\n{text}", encoding="utf-8")

    def other(self, **of: Any) -> Claim:
        found = claim(**of)
        assert EntryFleet(self.store, self.file).take(found, lambda held: ()) == ()
        return found

    @property
    def held(self) -> list[str]:
        return [each.plan for each in EntryFleet(self.store, self.file).held()]


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return Floor(World(tmp_path), MemoryStore(), tmp_path / "caps.yaml")


def ready(floor: Floor, **changes: Any) -> Upgrade:
    upgrade = floor.world.upgrade(of=plan(**changes))
    assert check_entry(upgrade, floor.tools()).reply is Reply.YES
    floor.world.approve(upgrade)
    return upgrade


ONE = "caps:\n  - {name: engineers, at_most: 1, reason: one is on duty}\n"


def test_a_lane_holds_its_place_until_it_is_settled(floor: Floor) -> None:
    upgrade = ready(floor)
    training = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off"):
        assert getattr(lane, stage)(upgrade, floor.tools(), training).reply is Reply.YES
        assert floor.held == ["acme.tracker-2.6"]
    for stage in ("verdict", "commit", "settle"):
        getattr(lane, stage)(upgrade, floor.tools(), training)
    assert floor.held == []


def test_a_full_cap_makes_the_lane_wait_and_says_for_whom(floor: Floor) -> None:
    floor.caps(ONE)
    floor.other()
    upgrade = ready(floor)
    answer = lane.window(upgrade, floor.tools(), upgrade.lanes[0])
    assert answer.reply is Reply.WAIT
    assert answer.data["until"] == "2026-08-14T13:00:30+00:00"
    assert "engineers allows 1 at a time (one is on duty), taken by other.app production" in answer.text
    assert floor.world.played == []
    EntryFleet(floor.store, floor.file).give_back("other.app.run", "production", floor.world.now)
    assert lane.window(upgrade, floor.tools(), upgrade.lanes[0]).reply is Reply.YES


def test_the_wait_ends_with_the_window(floor: Floor) -> None:
    floor.caps(ONE)
    floor.other()
    night = {"kind": "dated", "zone": "UTC", "on": date(2026, 8, 14), "start": time(13), "end": time(20)}
    environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
    environments[1]["window"] = night | {"late_start_tolerance": "30m"}
    upgrade = ready(floor, environments=environments)
    training = upgrade.lanes[0]
    floor.world.now = START + timedelta(minutes=30)
    assert lane.window(upgrade, floor.tools(), training).reply is Reply.WAIT
    floor.world.now += timedelta(seconds=30)
    answer = lane.window(upgrade, floor.tools(), training)
    assert answer.reply is Reply.NO
    assert "missed" in answer.text
    lane.verdict(upgrade, floor.tools(), training)
    lane.settle(upgrade, floor.tools(), training)
    verdict = floor.world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.MISSED
    assert any("engineers" in reason for reason in verdict.reasons)


def test_without_a_window_the_wait_ends_all_the_same(floor: Floor) -> None:
    floor.caps(ONE)
    floor.other()
    upgrade = ready(floor)
    training = upgrade.lanes[0]
    assert lane.window(upgrade, floor.tools(), training).reply is Reply.WAIT
    floor.world.now += LONGEST_WAIT
    answer = lane.window(upgrade, floor.tools(), training)
    assert answer.reply is Reply.NO
    assert "engineers allows 1" in answer.text
    gates = [gate for _, gate in floor.world.ledger.gates(upgrade.run.key, environment="training")]
    assert [gate.gate for gate in gates] == ["start"]


def test_a_run_that_was_closed_since_holds_nothing(floor: Floor) -> None:
    """Its settle never ran."""
    floor.caps(ONE)
    upgrade = ready(floor)
    gone = floor.world.upgrade(of=plan(upgrade="gone"))
    floor.other(run=gone.run.key)
    key = gone.run.key
    floor.world.ledger.mark(Mark(key, MarkKind.CHANGE_CLOSED, START - timedelta(hours=1)))
    assert may_begin(upgrade, floor.tools(), upgrade.lanes[0]).reply is Reply.WAIT  # closed before it was taken
    floor.world.ledger.mark(Mark(key, MarkKind.CHANGE_CLOSED, START + timedelta(minutes=1)))
    assert may_begin(upgrade, floor.tools(), upgrade.lanes[0]).reply is Reply.YES


def test_a_way_back_waits_for_nobody(floor: Floor) -> None:
    floor.caps(ONE)
    floor.other()
    upgrade = floor.world.upgrade(mode=Mode.BACK_OUT, reason="asked")
    assert check_entry(upgrade, floor.tools()).reply is Reply.YES
    floor.world.open_change(upgrade)
    assert may_begin(upgrade, floor.tools(), upgrade.lanes[0]).reply is Reply.YES
    assert floor.held == ["other.app", "acme.tracker-2.6"]


def test_caps_that_cannot_be_read_are_no_free_place(floor: Floor) -> None:
    floor.caps("caps:\n  - {name: engineers, at_most: 0, reason: nobody}\n")
    upgrade = ready(floor)
    with pytest.raises(PlanError, match="at_most"):
        may_begin(upgrade, floor.tools(), upgrade.lanes[0])


# the calendar


def test_the_calendar_shows_caps_and_who_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    caps = tmp_path / "caps.yaml"
    caps.write_text(f"schema_version: 1\n{ONE}", encoding="utf-8")
    settings = replace(
        wiring.load_settings(), home=tmp_path, plans=tmp_path, caps=caps, ledger_url=f"sqlite:///{tmp_path}/l.db"
    )
    ledger_sql.migrate(settings.ledger_url)
    wiring.fleet(settings).take(claim(), lambda held: ())
    monkeypatch.setattr(wiring, "load_settings", lambda: settings)
    monkeypatch.setattr(wiring, "now", lambda: at("2026-08-14T14:00"))
    shown = CliRunner().invoke(app, ["calendar", str(tmp_path / "plans")])
    assert "at work: other.app production (at work since 2026-08-14 13:00Z" in shown.output


def test_whoever_says_go_reads_what_clashes_with_this_night(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans may have come since the approval. They are read when the lane's turn comes, and not before every step."""
    upgrade = ready(floor)
    training = upgrade.lanes[0]
    asked = []

    def clashing(upgrade: Upgrade, tools: Tools) -> tuple[Finding, ...]:
        asked.append(tools.clock())
        found = (("training", "one host is worked on twice"), ("production", "something of another lane"))
        return tuple(Finding("clash-same-ci", name, text, Severity.ADVISORY) for name, text in found)

    monkeypatch.setattr(start_gate, "clashes", clashing)
    for stage in ("window", "readiness", "go_no_go", "restore_point"):
        assert getattr(lane, stage)(upgrade, floor.tools(), training).reply is Reply.YES
    told = findings(upgrade, floor.tools(), "training")
    assert [(each.subject, each.summary) for each in told] == [("training", "one host is worked on twice")]
    assert len(asked) == 1
