"""The remedies that a run in mode `fix` was to carry out, as they were written down for approval."""

from __future__ import annotations

from changeover.domain.fix import Cure
from changeover.domain.record import MarkKind
from changeover.ports import fresh
from changeover.usecases.tools import Tools, Upgrade


def chosen(upgrade: Upgrade, tools: Tools) -> tuple[Cure, ...]:
    found = fresh(MarkKind.FIX_CHOSEN, tools.ledger.marks(upgrade.run.key, kind=MarkKind.FIX_CHOSEN))
    return tuple(Cure.from_json(told) for told in found.data["cures"]) if found else ()
