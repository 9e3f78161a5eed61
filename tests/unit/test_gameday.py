"""What counts as a lie, and when a game day is true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from changeover.domain.gameday import Cell, Matrix, Phase, Runs, Sight, Told, lies
from changeover.domain.outcome import Outcome
from changeover.domain.settlement import Truth
from changeover.errors import ChangeoverError
from changeover.gameday.faults import FAULTS
from changeover.gameday.matrix import SHORT, chosen

OLD = Sight("prod1", Runs.OLD, answers=True, changes=0)
NEW = Sight("prod1", Runs.NEW, answers=True, changes=1)
GOOD = Cell("host killed", Phase.MID, told=Outcome.BACKED_OUT, ended=Outcome.BACKED_OUT)


@pytest.mark.parametrize(
    ("outcome", "sight", "count"),
    [
        (Outcome.SUCCESSFUL, NEW, 0),
        (Outcome.SUCCESSFUL, OLD, 1),
        (Outcome.SUCCESSFUL, replace(NEW, missing_rows=3), 1),
        (Outcome.SUCCESSFUL, replace(NEW, answers=False), 1),
        (Outcome.BACKED_OUT, OLD, 0),
        (Outcome.BACKED_OUT, NEW, 1),
        (Outcome.REFUSED, replace(OLD, runs=Runs.BETWEEN), 1),
        (Outcome.BACK_OUT_FAILED, replace(OLD, runs=Runs.BETWEEN, answers=False), 0),
        (Outcome.UNKNOWN, NEW, 0),
        (None, NEW, 0),
    ],
)
def test_an_outcome_that_claims_something_has_to_be_so(outcome: Outcome | None, sight: Sight, count: int) -> None:
    assert len(lies(Told(outcome), [sight], mended=True)) == count


def test_an_unchanged_host_that_the_fault_holds_down_need_not_answer_yet() -> None:
    assert lies(Told(Outcome.REFUSED), [replace(OLD, answers=False)], mended=False) == ()
    assert lies(Told(Outcome.REFUSED), [replace(OLD, answers=False)], mended=True)


@pytest.mark.parametrize(("outcome", "sight"), [(Outcome.SUCCESSFUL, NEW), (Outcome.BACKED_OUT, OLD)])
def test_what_was_accepted_answers_also_while_the_fault_lasts(outcome: Outcome, sight: Sight) -> None:
    assert lies(Told(outcome), [replace(sight, answers=False)], mended=False)


@pytest.mark.parametrize(
    ("truth", "sight", "lied"),
    [
        (Truth.NEW, NEW, False),
        (Truth.NEW, OLD, True),
        (Truth.OLD, NEW, True),
        (Truth.UNTOUCHED, replace(OLD, runs=Runs.BETWEEN), True),
        (Truth.BETWEEN, NEW, False),
        (Truth.UNKNOWN, NEW, False),
    ],
)
def test_settle_may_say_too_little_and_never_something_wrong(truth: Truth, sight: Sight, lied: bool) -> None:
    assert bool(lies(Told(None, {"prod1": truth}), [sight], mended=True)) is lied


@pytest.mark.parametrize(
    "wrong",
    [
        {"lies": ("recorded successful, and prod1 is old",)},
        {"lost_rows": 1},
        {"doubles": 1},
        {"leaks": ("roundup_admin in events.jsonl",)},
        {"orphans": ("123 sleep",)},
        {"broken": "the fault was not made"},
        {"ended": None},
    ],
)
def test_one_thing_wrong_makes_a_cell_false_and_with_it_the_day(wrong: dict[str, Any]) -> None:
    cell = replace(GOOD, **wrong)
    assert not cell.true
    assert not Matrix((GOOD, cell)).true
    assert Matrix((GOOD,)).true


def test_a_day_on_which_nothing_was_played_proves_nothing() -> None:
    left_out = Cell("disk full", Phase.MID, left_out="a small disk for a host needs root")
    assert not Matrix(()).true
    assert not Matrix((left_out,)).true
    day = Matrix((GOOD, left_out))
    assert day.true
    assert [cell.fault for cell in day.missing] == ["disk full"]
    assert not replace(day, whole=False).true
    assert ", ended early: 1 true" in replace(day, whole=False).totals()
    assert day.totals().startswith("1 cells, 1 not run: 1 true, 0 lies, 0 lost rows, 0 double executions")


def test_the_matrix_shows_faults_phases_and_what_is_false() -> None:
    settled = replace(GOOD, told=Outcome.BACK_OUT_FAILED, settled="close", ended=Outcome.BACK_OUT_FAILED)
    false = replace(GOOD, phase=Phase.BACK_OUT, lost_rows=2)
    table = Matrix((settled, false)).markdown().splitlines()
    assert table[0] == "| fault | mid-change | in back-out |"
    assert table[2] == "| host killed | back out failed; close: back out failed | FALSE: backed out |"


def test_cells_are_every_fault_in_every_phase_unless_fewer_are_wanted() -> None:
    assert len(chosen((), (), short=False)) == len(FAULTS) * len(Phase) == 40
    assert {(fault.key, phase) for fault, phase in chosen((), (), short=True)} == set(SHORT)
    assert [fault.key for fault, _ in chosen(["cut-link"], [Phase.MID], short=False)] == ["cut-link"]
    with pytest.raises(ChangeoverError, match="there is no fault flood"):
        chosen(["flood"], (), short=False)
