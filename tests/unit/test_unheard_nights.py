"""A night in which nothing ran at all is told of, once, with the next one: nobody else would."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, cast

import pytest

from changeover.adapters.memory import MemoryStore
from changeover.adapters.notice_entries import EntryNoticeBook
from changeover.domain.notice import Channels, Message
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind
from changeover.orchestration.plan_store import PlanStore
from changeover.usecases.open_run import requested_run
from changeover.usecases.tell_people import Desk, tell_due
from changeover.usecases.tools import Upgrade
from tests.support.windows import at
from tests.support.world import World, plan, release
from tests.unit.test_notices import PEOPLE, Post, Shelf

SATURDAYS = {"kind": "recurring", "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY;BYDAY=SA", "since": date(2026, 8, 1),
             "start": time(22), "end": time(4)}  # fmt: skip
OPENS, SUNDAY = "2026-08-15T20:00:00+00:00", "2026-08-16 08:00"


class Site:
    """Airflow was away over the night of 15 August; on Sunday the teller runs again."""

    def __init__(self, home: Path, **changes: Any) -> None:
        environments = [each.model_dump(exclude_unset=True) for each in plan().environments]
        environments[1]["window"] = environments[2]["window"] = SATURDAYS
        fields = {"participants": PEOPLE, "environments": environments, "unattended": {"window_of": "training"}}
        self.plan: Plan = plan(**fields | changes)
        self.world, self.post, self.store = World(home, now=at(SUNDAY)), Post(), MemoryStore()
        self.presented: datetime | None = at("2026-08-10 09:00")

    def run(self, run_id: str, opened: str, *, outcome: Outcome | None = None, **asked: Any) -> Upgrade:
        run = requested_run(self.plan, plan_digest="d" * 64, plan_text="text", dag_run_id=run_id, requested_by="ops",
                            asked=asked, at=at(opened))  # fmt: skip
        upgrade = Upgrade(self.world.ledger.open_run(run), self.plan, release())
        self.world.ledger.mark(Mark(run.key, MarkKind.HOSTS_FROZEN, at(opened), "", "", {}))
        for name in ("training", "production", "") if outcome else ():
            self.world.ledger.record_outcome(run.key, name, Verdict(outcome, ("so it was",)), at(opened))  # type: ignore[arg-type]
        return upgrade

    def tell(self, now: str = SUNDAY) -> list[Message]:
        self.world.now = at(now)
        before = len(self.post.taken)
        told = tell_due(
            Desk(
                tools=replace(self.world.tools(), shelf=cast("Any", Shelf(self.plan))),
                book=EntryNoticeBook(self.store),
                channels={"email": self.post},
                site=Channels(email="post"),
                upgrade_of=lambda run: Upgrade(run, self.plan, release()),
                presented_since=lambda digest: self.presented,
            )
        )
        assert told.broken == []
        return [message for _, message in self.post.taken[before:] if message.kind == "missed"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_everybody_hears_once_that_nothing_ran_and_which_night_is_next(site: Site) -> None:
    told = site.tell()
    assert [message.to and message.to.id for message in told] == ["ops", "owner", "support"]
    assert told[0].subject == "Window missed: Tracker, training, production"
    assert "was to begin by itself in the window Sat 2026-08-15 22:00 Europe/Berlin" in told[0].text
    assert "The next window is Sat 2026-08-22 22:00" in told[0].text
    assert "see whether Airflow's scheduler was down" in told[0].text
    assert "scheduler" not in told[1].text  # the client's
    assert site.tell("2026-08-16 09:00") == []


@pytest.mark.parametrize(
    ("now", "count"),
    [("2026-08-16 02:09", 0), ("2026-08-16 02:10", 3), ("2026-08-19 01:59", 3), ("2026-08-19 02:00", 0)],
)
def test_it_is_told_after_the_window_and_while_it_is_news(site: Site, now: str, count: int) -> None:
    assert len(site.tell(now)) == count


@pytest.mark.parametrize(
    ("run_id", "opened", "outcome", "asked", "count"),
    [
        (f"scheduled__{OPENS}", "2026-08-15 20:01", None, {}, 0),
        ("scheduled__2026-08-08T20:00:00+00:00", "2026-08-08 20:01", None, {}, 3),
        ("manual__1", "2026-08-15 12:00", None, {}, 0),
        ("manual__1", "2026-08-15 21:00", Outcome.REFUSED, {}, 0),
        ("manual__1", "2026-08-15 12:00", Outcome.REFUSED, {}, 3),
        ("manual__1", "2026-08-16 03:00", None, {}, 3),
        ("manual__1", "2026-08-15 21:00", None, {"mode": "analyse"}, 3),
        ("manual__1", "2026-08-10 12:00", Outcome.SUCCESSFUL, {}, 0),
    ],
    ids=["of the night", "of the week before", "waits for it", "within it", "over before", "after it", "an analysis",
         "upgraded already"],
)  # fmt: skip
def test_a_night_with_a_run_is_that_runs_to_tell(
    site: Site, run_id: str, opened: str, outcome: Outcome | None, asked: dict[str, str], count: int
) -> None:
    site.run(run_id, opened, outcome=outcome, **asked)
    about = "was to begin by itself"
    assert len([message for message in site.tell() if about in message.text]) == count


def test_a_run_that_airflow_begins_yet_does_not_tell_the_same_once_more(site: Site) -> None:
    """It was on Airflow's list when the scheduler came back: it ends missed, and people know."""
    assert len(site.tell()) == 3
    site.run(f"scheduled__{OPENS}", "2026-08-16 08:01", outcome=Outcome.MISSED)
    assert site.tell("2026-08-16 08:05") == []
    fresh = Site(site.world.directory / "fresh")
    fresh.run(f"scheduled__{OPENS}", "2026-08-16 08:01", outcome=Outcome.MISSED)
    assert len(fresh.tell("2026-08-16 08:05")) == 3


def test_a_plan_that_is_newer_than_the_night_missed_nothing(site: Site) -> None:
    site.presented = at("2026-08-16 07:00")
    assert site.tell() == []
    site.presented = None
    assert site.tell() == []


def test_who_was_reminded_hears_of_it_also_when_the_plan_was_edited_since(site: Site) -> None:
    site.tell("2026-08-15 10:00")
    site.presented = at("2026-08-16 07:00")
    assert len(site.tell()) == 3


def test_a_plan_that_people_start_misses_no_night_by_itself(tmp_path: Path) -> None:
    assert Site(tmp_path, unattended=None).tell() == []


def test_the_plan_store_knows_since_when_a_text_is_presented(tmp_path: Path) -> None:
    store = PlanStore(tmp_path)
    digest = store.add(b"a plan")
    kept = at("2026-08-10 09:00").timestamp()
    os.utime(tmp_path / "texts" / f"{digest}.yaml", (kept, kept))
    assert store.add(b"a plan") == digest
    assert store.kept_since(digest) == datetime(2026, 8, 10, 9, tzinfo=UTC)
    assert store.kept_since("0" * 64) is None
