"""What clashes over all plans: configuration items, people, freezes, hands; and the command that shows it."""

from __future__ import annotations

import json
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from changeover import cli_plan, wiring
from changeover.cli import app
from changeover.domain.conflict import Conflict, ConflictKind, Work, conflicts, needed, placement, works_of
from changeover.domain.freeze import DatedFreeze
from changeover.domain.plan import Plan
from changeover.domain.window import Occurrence
from changeover.usecases.fleet import fleet
from tests.support.content import PLAN, make, put
from tests.support.windows import at, recurring
from tests.support.world import World, plan

NOW = at("2026-08-01T00:00")
NIGHT = {"kind": "dated", "zone": "Europe/Berlin", "on": date(2026, 12, 5), "start": time(22), "end": time(4)}


def night(opens: str, closes: str) -> Occurrence:
    return Occurrence(at(opens).date(), at(opens), at(closes), "UTC")


def work(name: str, opens: str = "2026-12-05T21:00", closes: str = "2026-12-06T03:00", **of: Any) -> Work:
    cis, people = frozenset(of.get("cis", ())), frozenset(of.get("people", ()))
    return Work(f"acme.{name}", "acme", "production", night(opens, closes), cis, people)


def nightly(upgrade: str, **changes: Any) -> Plan:
    """Production has a window, the others none."""
    environments = [environment.model_dump(exclude_unset=True) for environment in plan().environments]
    production = environments[-1] | {"window": NIGHT} | changes
    return plan(upgrade=upgrade, environments=[*environments[:-1], production])


def kinds(found: tuple[Conflict, ...]) -> list[tuple[str, str]]:
    return [(str(each.kind), each.subject) for each in found]


def test_the_same_item_at_the_same_time_clashes() -> None:
    (found,) = conflicts([work("a", cis=["db"]), work("b", "2026-12-06T01:00", "2026-12-06T05:00", cis=["db"])])
    assert (found.kind, found.subject, found.works) == (
        ConflictKind.SAME_CI, "db", ("acme.a production", "acme.b production"),
    )  # fmt: skip
    assert (found.begins, found.ends) == (at("2026-12-06T01:00"), at("2026-12-06T03:00"))


def test_a_night_that_begins_when_the_other_ends_does_not_clash() -> None:
    assert conflicts([work("a", cis=["db"]), work("b", "2026-12-06T03:00", "2026-12-06T05:00", cis=["db"])]) == ()


@pytest.mark.parametrize(("one", "other"), [("host", "site"), ("site", "host")])
def test_what_an_item_belongs_to_clashes_with_it(one: str, other: str) -> None:
    parents = {"host": "environment", "environment": "site"}
    found = conflicts([work("a", cis=[one]), work("b", cis=[other])], parents=parents)
    assert kinds(found) == [("parent_or_child", "host")]
    assert kinds(conflicts([work("a", cis=[one]), work("b", cis=[other])])) == []


def test_a_shared_environment_is_told_once_and_not_for_each_of_its_hosts() -> None:
    works = [work(name, cis=["env", "host1", "host2"]) for name in "ab"]
    assert kinds(conflicts(works, parents={"host1": "env", "host2": "env"})) == [("same_ci", "env")]


def test_a_ring_of_parents_ends() -> None:
    assert conflicts([work("a", cis=["x"]), work("b", cis=["z"])], parents={"x": "y", "y": "x"}) == ()


def test_a_person_is_needed_once_at_a_time() -> None:
    found = conflicts([work("a", people=["jo", "ann"]), work("b", people=["jo"])])
    assert kinds(found) == [("assignee_busy", "jo")]


def test_environments_of_one_plan_follow_each_other() -> None:
    assert conflicts([work("a", cis=["db"]), work("a", cis=["db"])]) == ()


def test_more_work_than_hands() -> None:
    works = [
        work("a"),
        work("b"),
        work("c", "2026-12-06T02:00", "2026-12-06T04:00"),
        work("d", "2027-01-01T00:00", "2027-01-01T02:00"),
    ]
    assert conflicts(works, at_most=3) == ()
    (found,) = conflicts(works, at_most=2)
    assert (found.kind, found.begins, len(found.works)) == (ConflictKind.TOO_MANY, at("2026-12-06T02:00"), 3)


def test_who_can_be_stood_in_for_is_not_needed() -> None:
    asked = nightly("a", go_no_go={"by": ["owner", "support"]}, sign_off={"by": ["support"]})
    assert needed(asked, asked.lanes[-1]) == {"ops", "support"}
    both = nightly("a", go_no_go={"by": ["owner", "support"], "quorum": 2})
    assert needed(both, both.lanes[-1]) == {"ops", "owner", "support"}


def freeze(**other: Any) -> DatedFreeze:
    fields = {
        "name": "year-end", "reason": "the books", "kind": "dated", "zone": "Europe/Berlin",
        "first": date(2026, 12, 1), "last": date(2026, 12, 31),
    }  # fmt: skip
    return DatedFreeze.model_validate(fields | other)


def test_planned_dates_outside_the_window_or_in_a_freeze() -> None:
    of = nightly("a")
    lane = of.lanes[-1]
    inside = (at("2026-12-05T22:00"), at("2026-12-06T02:00"))
    assert placement(lane, of, *inside, ()) == ()
    assert kinds(placement(lane, of, *inside, (freeze(),))) == [("in_freeze", "production")]
    late = placement(lane, of, at("2026-12-06T02:00"), at("2026-12-06T03:30"), ())
    assert kinds(late) == [("outside_window", "production")]
    assert kinds(placement(lane, of, at("2026-12-20T02:00"), at("2026-12-20T03:30"), ())) == [
        ("outside_window", "production")
    ]
    assert placement(of.lanes[0], of, *inside, ()) == (), "training may be worked on at any time"


def test_planned_dates_in_the_later_of_two_nights_that_overlap_are_inside() -> None:
    of = nightly("a")
    window = recurring("FREQ=WEEKLY;BYDAY=FR,SA", "UTC", "20:00", "2026-12-01", duration="30h")
    lane = of.lanes[-1].model_copy(update={"window": window})
    assert placement(lane, of, at("2026-12-05T20:00"), at("2026-12-06T23:00"), ()) == ()
    outside = placement(lane, of, at("2026-12-05T19:00"), at("2026-12-06T23:00"), ())
    assert kinds(outside) == [("outside_window", "production")]


def test_a_night_that_a_freeze_takes_away_is_told() -> None:
    works, lost = works_of(nightly("a"), (freeze(),), {}, after=NOW)
    assert works == ()
    assert kinds(lost) == [("in_freeze", "production")]


def test_two_plans_of_one_application_clash_over_its_environment(tmp_path: Path) -> None:
    found = fleet([nightly("a"), nightly("b")], {}, World(tmp_path).cmdb, now=NOW)
    assert kinds(found.conflicts) == [("assignee_busy", "ops"), ("same_ci", "acme/tracker/production")]
    assert "host 127.0.9.30:22" in found.works[0].cis
    assert found.unplanned == tuple(f"acme.{name} training: may be worked on at any time" for name in "ab")


def test_the_command_shows_nights_and_clashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make(tmp_path)
    monkeypatch.setattr(wiring, "load_settings", lambda: settings)
    monkeypatch.setattr(wiring, "now", lambda: at("2026-11-25T09:00"))
    monkeypatch.setattr(cli_plan, "known_cmdb", lambda settings: "there is none")
    alone = CliRunner().invoke(app, ["calendar"])
    assert (alone.exit_code, "1 nights, no clashes" in alone.output) == (0, True), alone.output
    put(settings.plans / "acme/app-3.yaml", PLAN.replace("upgrade: app-2", "upgrade: app-3"))
    both = CliRunner().invoke(app, ["calendar", "--json"])
    assert both.exit_code == 1
    document = json.loads(both.stdout)
    assert [work["opens"] for work in document["works"]] == ["2026-12-05T21:00:00Z"] * 2
    assert {each["kind"] for each in document["conflicts"]} == {"same_ci", "assignee_busy"}
    put(settings.plans / "acme/bad.yaml", "a: [")
    assert "left out: " in CliRunner().invoke(app, ["calendar"]).output
