"""KPIs of a seeded ledger of 200 runs, recomputed in Python from what was put in: equal, on every database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from changeover.adapters import ledger_sql
from changeover.adapters.kpi_sql import SqlKpis
from changeover.domain.blueprint_table import KPIS
from changeover.domain.kpi import Asked, By, Figure, kpi_table
from changeover.domain.outcome import Outcome
from changeover.usecases.tell_kpis import tell_kpis
from tests.support.kpi_ledger import CARDS, GOOD, Lost, Seeded, Told

RUNS = 200
HALF = {Outcome.SUCCESSFUL: Fraction(1), Outcome.SUCCESSFUL_WITH_ISSUES: Fraction(1, 2)}


@dataclass(frozen=True)
class Piece:
    """One thing counted: where it belongs, and what it adds."""

    kpi: str
    part: str
    client: str
    application: str
    team: str
    day: str
    above: Fraction
    below: int

    def bucket(self, by: By | None) -> str:
        if by is None:
            return ""
        return self.day[:7] if by is By.MONTH else getattr(self, by) or f"(no {by})"


@pytest.fixture(scope="module")
def seeded() -> Seeded:
    return Seeded(RUNS)


@pytest.fixture
def kpis(seeded: Seeded, empty_url: str) -> Iterator[SqlKpis]:
    seeded.copy_to(empty_url)
    opened = SqlKpis(empty_url)
    yield opened
    opened.close()


def test_every_figure_is_what_plain_python_counts(kpis: SqlKpis, seeded: Seeded) -> None:
    pieces = list(counted(seeded))
    assert {piece.kpi for piece in pieces} == set(KPIS)
    spring = Asked(None, date(2026, 3, 1), date(2026, 5, 31))
    for asked in (Asked(), *(Asked(by) for by in By), spring, Asked(By.TEAM, spring.first, spring.last)):
        inside = [piece for piece in pieces if within(asked, piece.day)]
        table = tell_kpis(kpis, asked)
        for bucket in ("", *table.buckets):
            mine = [piece for piece in inside if bucket in ("", piece.bucket(asked.by))]
            for figure in (f for f in table.figures if f.bucket == bucket and not f.role):
                same = [p for p in mine if p.kpi == figure.kpi and figure.part in ("", p.part)]
                assert figure.value == expected(figure, same), (asked, bucket, figure)
        if asked.by:
            assert set(table.buckets) == {piece.bucket(asked.by) for piece in inside}


@pytest.mark.parametrize("by", list(By))
def test_the_buckets_sum_to_the_whole(kpis: SqlKpis, by: By) -> None:
    """Nothing is counted twice, in no bucket, or rounded on the way."""

    def sums(asked: Asked) -> dict[tuple[str, ...], tuple[int, int, int]]:
        total: dict[tuple[str, ...], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
        for row in kpis.sums(asked):
            key = (row.kpi, row.part, row.role, row.currency)
            above, below, rated = total[key]
            total[key] = (above + row.numerator, below + row.denominator, rated + row.rated)
        return dict(total)

    assert sums(Asked(by)) == sums(Asked())
    assert len(kpis.sums(Asked())) > 20


def test_costs_by_role_and_hours_without_a_rate(kpis: SqlKpis, seeded: Seeded) -> None:
    costs = tell_kpis(kpis, Asked()).of("non_billable")
    told = list(lost_time(seeded))
    for figure in costs[1:]:
        same = [lost for lost, role, _, _, _ in told if (lost.why, role) == (figure.part, figure.role)]
        assert figure.denominator == sum(
            lost.seconds * percent
            for lost, role, percent, _, _ in told
            if (lost.why, role) == (figure.part, figure.role)
        )
        assert same
    strangers = sum(lost.seconds * 100 for lost, role, _, _, _ in told if role == "stranger")
    assert strangers
    assert costs[0].unrated >= strangers
    assert {figure.text() for figure in costs if figure.role == "stranger"} == {"no data"}


def test_an_empty_ledger_has_no_data_and_no_number(empty_url: str) -> None:
    ledger_sql.migrate(empty_url)
    table = tell_kpis(SqlKpis(empty_url), Asked())
    assert table.empty
    assert {figure.text() for figure in table.figures} == {"no data"}
    assert {figure["value"] for figure in table.as_json()["figures"]} == {None}
    assert table.figures == kpi_table(Asked(), ()).figures


def within(asked: Asked, day: str) -> bool:
    first, last = asked.first or date.min, asked.last or date.max
    return first <= date.fromisoformat(day) <= last


def expected(figure: Figure, pieces: list[Piece]) -> Fraction | None:
    if not sum(piece.below for piece in pieces):
        return None
    total = sum((piece.above for piece in pieces), Fraction(0))
    return total if figure.kpi == "non_billable" else total / sum(piece.below for piece in pieces)


def counted(seeded: Seeded) -> Iterator[Piece]:
    for told in seeded.told:
        if told.ended and told.run.mode == "implement":
            yield from upgrade_pieces(told)
        if told.ended and told.score is not None:
            yield piece(told)("satisfaction", "", told.score)
    for lost, role, percent, who, rated in lost_time(seeded):
        if not lost.seconds * percent:
            continue
        client, application, team = who
        amount = Fraction(lost.seconds * percent * rate(role, lost.day), 3600 * 100 * 100)
        yield Piece("non_billable", lost.why, client, application, team, lost.day, amount, int(rated))


def piece(told: Told) -> Callable[..., Piece]:
    assert told.ended
    run, day = told.run, f"{told.ended:%Y-%m-%d}"

    def make(kpi: str, part: str, above: Fraction | int, below: int = 1) -> Piece:
        return Piece(kpi, part, run.client, run.application, run.team, day, Fraction(above), below)

    return make


def upgrade_pieces(told: Told) -> Iterator[Piece]:
    make = piece(told)
    assert told.outcome
    if told.lanes:
        yield make("success_score", "", HALF.get(told.outcome, Fraction(0)))
    for lane in told.lanes:
        upgraded = lane.outcome in GOOD
        yield make("failure_rate", "", int(not upgraded))
        if lane.closes or lane.outcome is Outcome.MISSED:
            in_time = lane.closes is not None and int(lane.settled.timestamp()) <= int(lane.closes.timestamp())
            yield make("on_time", "", int(upgraded and in_time))
        for severity in range(1, 5) if upgraded and told.watched else ():
            yield make("incident_rate", str(severity), 0)
    for severity in told.incidents.values() if any(lane.outcome in GOOD for lane in told.lanes) else ():
        yield make("incident_rate", str(severity), 1, 0)


def lost_time(seeded: Seeded) -> Iterator[tuple[Lost, str, int, tuple[str, str, str], bool]]:
    """Each piece of lost time with role, percent, whose it is, and whether the role has a rate."""
    reported = {(sheet.run, sheet.why) for sheet in seeded.sheets if not sheet.billable}
    for told in seeded.told:
        who = (told.run.client, told.run.application, told.run.team)
        for lost in told.lost:
            if (lost.run, lost.why) not in reported:
                role, percent = attended(lost.measure, lost.day)
                yield lost, role, percent, who, rate(role, lost.day) > 0
    for sheet in seeded.sheets:
        if not sheet.billable:
            lost = Lost(sheet.run, sheet.day, sheet.why, sheet.seconds)
            who = (sheet.client, sheet.application, sheet.team)
            yield lost, sheet.role, 100, who, rate(sheet.role, sheet.day) > 0


def rate(role: str, day: str) -> int:
    """Cents an hour on that day; 0 where there is no rate."""
    found = [card["rates"].get(role) for card in CARDS if card["valid_from"] <= day]
    text = next((amount for amount in reversed(found) if amount), "0")
    return int(Fraction(text) * 100)


def attended(measure: str, day: str) -> tuple[str, int]:
    found = [card["attended"].get(measure) for card in CARDS if card["valid_from"] <= day]
    says: dict[str, Any] = next((who for who in reversed(found) if who), {"role": "upgrade_manager", "percent": 100})
    return str(says["role"]), int(says["percent"])
