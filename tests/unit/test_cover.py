"""The entry condition on the support contract: in force today and on each night, by the client's own calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.cover import contract_lapses
from changeover.domain.plan import Mode, Plan
from changeover.domain.window_check import window_findings
from changeover.usecases.tools import Reply
from changeover.usecases.transition import check_entry, entry_conditions
from tests.support.world import START, World, plan

TODAY = START.date()
NIGHT = {"kind": "dated", "zone": "America/Los_Angeles", "on": date(2026, 11, 30), "start": "18:00", "end": "23:00"}
FRIDAYS = {
    "kind": "recurring", "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY;BYDAY=FR", "since": date(2026, 1, 2),
    "start": "22:00", "end": "04:00",
}  # fmt: skip


def contracted(window: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The small plan, its contract changed; with a window for production."""
    made = plan()
    contract = made.support_contract.model_dump() | changes
    environments = [each.model_dump() for each in made.environments]
    if window is not None:
        environments[-1]["window"] = window
    return plan(support_contract=contract, environments=environments)


def lapses(made: Plan, *, today: date = TODAY) -> tuple[str, ...]:
    return contract_lapses(made, made.lanes, today=today, since=START)


def test_a_contract_in_force_covers_the_upgrade() -> None:
    assert lapses(contracted()) == ()
    assert lapses(contracted(NIGHT)) == ()
    assert lapses(contracted(FRIDAYS)) == ()


@pytest.mark.parametrize(
    ("today", "holds"),
    [(date(2026, 8, 1), True), (date(2026, 8, 31), True), (date(2026, 7, 31), False), (date(2026, 9, 1), False)],
)
def test_its_first_and_its_last_day_belong_to_it(today: date, holds: bool) -> None:
    made = contracted(valid_from=date(2026, 8, 1), valid_until=date(2026, 8, 31))
    assert (lapses(made, today=today) == ()) == holds


def test_a_night_is_judged_by_the_local_date_on_which_it_opens() -> None:
    """18:00 in Los Angeles on the last day is 02:00 of the next one in UTC."""
    assert contracted(NIGHT).lanes[-1].window.instants()[0] == datetime(2026, 12, 1, 2, tzinfo=UTC)  # type: ignore[union-attr]
    assert lapses(contracted(NIGHT, valid_until=date(2026, 11, 30))) == ()
    assert lapses(contracted(NIGHT, valid_until=date(2026, 11, 29))) == (
        "support contract SUP-1 (2025-01-01 to 2026-11-29) is not in force on 2026-11-30, the night of production",
    )


def test_of_a_window_that_recurs_the_coming_night_counts() -> None:
    assert lapses(contracted(FRIDAYS, valid_until=date(2026, 8, 14))) == ()
    assert len(lapses(contracted(FRIDAYS, valid_until=date(2026, 8, 14)), today=date(2026, 8, 15))) == 1
    made = contracted(FRIDAYS | {"left_out": [date(2026, 8, 14)]}, valid_until=date(2026, 8, 20))
    assert lapses(made) == (
        "support contract SUP-1 (2025-01-01 to 2026-08-20) is not in force on 2026-08-21, the night of production",
    )


def test_nights_after_its_last_day_are_not_offered() -> None:
    made = contracted(FRIDAYS, valid_until=date(2026, 8, 13))
    assert made.covered == (date(2026, 1, 1), date(2026, 8, 13))
    (found,) = window_findings(made, made.lanes, (), now=START)
    assert found.summary == (
        "gives no night from now on within SOW-1 (2026-01-01 to 2026-12-31) and support contract SUP-1 "
        "(2025-01-01 to 2026-08-13)"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"applications": ["crm"]}, "SUP-1 does not cover tracker; it covers crm"),
        ({"environments": ["training"]}, "SUP-1 does not cover production; it covers training"),
        ({"valid_until": date(2026, 8, 13)}, "is not in force today, 2026-08-14"),
    ],
)
def test_a_run_whose_contract_does_not_cover_it_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    world = World(tmp_path)
    upgrade = world.upgrade(of=contracted(**changes))
    answer = check_entry(upgrade, world.tools())
    assert answer.reply is Reply.NO
    assert told in answer.text
    ((_, gate),) = world.ledger.gates(upgrade.run.key)
    assert [result.key for result in gate.results if result.message] == ["support-contract-valid"]


@pytest.mark.parametrize(("mode", "refused"), [(Mode.ANALYSE, False), (Mode.IMPLEMENT, True), (Mode.BACK_OUT, False)])
def test_nights_count_for_what_works_in_them_and_never_for_the_way_back(
    tmp_path: Path,
    mode: Mode,
    refused: bool,
) -> None:
    made = contracted(NIGHT, valid_until=date(2026, 11, 29))
    upgrade = World(tmp_path).upgrade(of=made, mode=mode, reason="because")
    assert bool(entry_conditions(upgrade, TODAY, ())["support-contract-valid"]) == refused
