"""The day a run is judged by: the client's, never UTC's, so that it is the one that its windows are offered by."""

from __future__ import annotations

from datetime import date

from changeover.domain.client_day import client_day
from changeover.domain.record import meant_for
from changeover.usecases.tools import Tools, Upgrade


def today(upgrade: Upgrade, tools: Tools) -> date:
    return client_day(upgrade.plan, tools.clock(), lanes=upgrade.run.environments)


def day_meant(upgrade: Upgrade, tools: Tools) -> date:
    """Of a run that starts by itself the day of its night, also when its first task comes after midnight."""
    opening = meant_for(upgrade.run.dag_run_id)
    return client_day(upgrade.plan, opening or tools.clock(), lanes=upgrade.run.environments)
