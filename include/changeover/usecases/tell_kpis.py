"""Tell the KPIs: sums from the ledger's views, as figures."""

from __future__ import annotations

from changeover.domain.kpi import Asked, KpiTable, kpi_table
from changeover.ports import KpiReader


def tell_kpis(reader: KpiReader, asked: Asked) -> KpiTable:
    return kpi_table(asked, reader.sums(asked))
