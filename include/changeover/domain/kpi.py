"""KPIs: sums that the ledger's views give, and the figures people read. No denominator is "no data", never a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from changeover.domain.blueprint_table import KPIS

SEVERITIES = ("1", "2", "3", "4")
PER_HOUR = 3600 * 100 * 100
"""Amounts are summed in cents × seconds × percent, so that no sum is ever rounded."""
NO_DATA = "no data"


class By(StrEnum):
    """What figures are told by."""

    CLIENT = "client"
    APPLICATION = "application"
    TEAM = "team"
    MONTH = "month"


@dataclass(frozen=True)
class Asked:
    """Which figures: by what, and from which day to which (both counted in, UTC)."""

    by: By | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class KpiSum:
    """One row of the views, summed. `part` is a severity, or why time was lost; `role` and `currency` are of costs."""

    kpi: str
    bucket: str
    part: str
    role: str
    currency: str
    numerator: int
    denominator: int
    rated: int
    """Of costs: how much of the denominator has a rate."""


@dataclass(frozen=True)
class Figure:
    """One KPI of one bucket ("" is everything); `value` is None where there is no data."""

    kpi: str
    bucket: str
    part: str
    role: str
    unit: str
    value: Fraction | None
    numerator: int
    denominator: int
    unrated: int = 0

    @property
    def name(self) -> str:
        return KPIS[self.kpi][0]

    @property
    def counted(self) -> int:
        """How many things it rests on: a run weighs two in the success score, so that one with issues weighs half."""
        return self.denominator // 2 if self.kpi == "success_score" else self.denominator

    def text(self) -> str:
        if self.value is None:
            return NO_DATA
        match self.unit:
            case "share":
                return f"{float(self.value):.1%}"
            case "of 5":
                return f"{float(self.value):.2f} of 5"
            case "per environment":
                return f"{float(self.value):.2f}"
        return f"{_rounded(self.value, 2)} {self.unit}"

    def of(self) -> str:
        """What the figure rests on."""
        match self.kpi:
            case "non_billable":
                without = f", {hours(self.unrated)} h without a rate" if self.unrated else ""
                return f"{hours(self.denominator)} h{without}" if self.denominator else ""
            case "success_score":
                return f"{self.counted} runs"
            case "satisfaction":
                return f"{self.counted} answers"
        return f"{self.numerator} of {self.denominator}" if self.denominator else "0"

    def as_json(self) -> dict[str, Any]:
        costs = self.kpi == "non_billable"
        return {
            "kpi": self.kpi,
            "name": self.name,
            "bucket": self.bucket or None,
            "part": self.part or None,
            "role": self.role or None,
            "unit": self.unit,
            "value": None if self.value is None else float(_rounded(self.value, 2 if costs else 6)),
            "numerator": self.numerator,
            "denominator": self.denominator,
            **({"hours": float(hours(self.denominator)), "unrated_hours": float(hours(self.unrated))} if costs else {}),
        }


@dataclass(frozen=True)
class KpiTable:
    asked: Asked
    figures: tuple[Figure, ...]

    @property
    def empty(self) -> bool:
        return all(figure.value is None and not figure.denominator for figure in self.figures)

    @property
    def buckets(self) -> tuple[str, ...]:
        """Those of the figures, in order; the whole is not one."""
        return tuple(sorted({figure.bucket for figure in self.figures} - {""}))

    def of(self, kpi: str, bucket: str = "") -> tuple[Figure, ...]:
        return tuple(figure for figure in self.figures if (figure.kpi, figure.bucket) == (kpi, bucket))

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        asked = self.asked
        return {
            "schema_version": 1,
            "by": str(asked.by) if asked.by else None,
            "from": asked.first.isoformat() if asked.first else None,
            "to": asked.last.isoformat() if asked.last else None,
            "kpis": {key: {"name": name, "measured": measured} for key, (name, measured) in KPIS.items()},
            "figures": [figure.as_json() for figure in self.figures],
        }


def kpi_table(asked: Asked, sums: Sequence[KpiSum]) -> KpiTable:
    """The figures of the whole first, then of each bucket; buckets without a name are called so."""
    named = [_named(asked, row) for row in sums]
    whole = [_rebucket(row, "") for row in named]
    figures = list(_figures("", whole))
    if asked.by is not None:
        for bucket in sorted({row.bucket for row in named}):
            figures += _figures(bucket, [row for row in named if row.bucket == bucket])
    return KpiTable(asked, tuple(figures))


def _named(asked: Asked, row: KpiSum) -> KpiSum:
    return row if row.bucket or asked.by is None else _rebucket(row, f"(no {asked.by})")


def _rebucket(row: KpiSum, bucket: str) -> KpiSum:
    return KpiSum(row.kpi, bucket, row.part, row.role, row.currency, row.numerator, row.denominator, row.rated)


def _figures(bucket: str, rows: Sequence[KpiSum]) -> Iterable[Figure]:
    for kpi in KPIS:
        mine = [row for row in rows if row.kpi == kpi]
        if kpi == "incident_rate":
            for severity in SEVERITIES:
                yield _ratio(kpi, bucket, [row for row in mine if row.part == severity], severity)
        elif kpi == "non_billable":
            yield from _costs(bucket, mine)
        else:
            yield _ratio(kpi, bucket, mine)


_UNITS = {"satisfaction": "of 5", "incident_rate": "per environment"}


def _ratio(kpi: str, bucket: str, rows: Sequence[KpiSum], part: str = "") -> Figure:
    above, below = sum(row.numerator for row in rows), sum(row.denominator for row in rows)
    value = Fraction(above, below) if below else None
    return Figure(kpi, bucket, part, "", _UNITS.get(kpi, "share"), value, above, below)


def _costs(bucket: str, rows: Sequence[KpiSum]) -> Iterable[Figure]:
    """The total of each currency, then each reason and role."""
    currencies = sorted({row.currency for row in rows if row.currency}) or [""]
    for currency in currencies:
        mine = [row for row in rows if row.currency in (currency, "")]
        yield _cost(bucket, mine, currency)
        for part, role in sorted({(row.part, row.role) for row in mine}):
            same = [row for row in mine if (row.part, row.role) == (part, role)]
            yield _cost(bucket, same, currency, part, role)


def _cost(bucket: str, rows: Sequence[KpiSum], currency: str, part: str = "", role: str = "") -> Figure:
    above, below = sum(row.numerator for row in rows), sum(row.denominator for row in rows)
    rated = sum(row.rated for row in rows)
    value = Fraction(above, PER_HOUR) if rated else None
    return Figure("non_billable", bucket, part, role, currency, value, above, below, below - rated)


def hours(percent_seconds: int) -> Decimal:
    """Hours of an exact sum of seconds × percent, rounded to two places."""
    return _rounded(Fraction(percent_seconds, 3600 * 100), 2)


def _rounded(value: Fraction, places: int) -> Decimal:
    return Decimal(round(value * 10**places)).scaleb(-places)
