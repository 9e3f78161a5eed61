"""Sums of the ledger's KPI views."""

from __future__ import annotations

import sqlalchemy as sa

from changeover.adapters import sql
from changeover.adapters.ledger_tables import LEDGER
from changeover.domain.kpi import Asked, KpiSum

_measure = sa.table(
    "kpi_measure",
    *(sa.column(name) for name in ("kpi", "part", "role", "currency", "client", "application", "team", "day", "month")),
    *(sa.column(name, sa.BigInteger) for name in ("numerator", "denominator", "rated")),
)
_SUMMED = ("numerator", "denominator", "rated")


class SqlKpis:
    """The `KpiReader` port."""

    def __init__(self, url: str) -> None:
        self._database = sql.Database(url, LEDGER)

    def sums(self, asked: Asked) -> tuple[KpiSum, ...]:
        c = _measure.c
        bucket = sa.literal("") if asked.by is None else c[str(asked.by)]
        keys = (c.kpi, c.part, c.role, c.currency)
        query = sa.select(*keys, bucket.label("bucket"), *(sa.func.sum(c[name]).label(name) for name in _SUMMED))
        if asked.first is not None:
            query = query.where(c.day >= asked.first.isoformat())
        if asked.last is not None:
            query = query.where(c.day <= asked.last.isoformat())
        query = query.group_by(*keys, *(() if asked.by is None else (bucket,)))
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            KpiSum(
                row["kpi"], row["bucket"] or "", row["part"], row["role"], row["currency"],
                *(int(row[name]) for name in _SUMMED),
            )
            for row in rows
        )  # fmt: skip

    def close(self) -> None:
        self._database.close()
