"""The sweeper's task: tells what disagrees by failing, so that it is seen where everything else is seen."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from changeover.domain.record import Run
    from changeover.usecases.tools import Tools, Upgrade

log = logging.getLogger(__name__)


def sweep_now(context: Any) -> str:
    """Note what the clock says of open runs and end the work of tasks that Airflow has ended.

    Raise for every disagreement, and for what could not be asked.
    """
    from airflow.sdk.exceptions import AirflowFailException

    from changeover import wiring
    from changeover.orchestration.run_context import ConnectionVault
    from changeover.orchestration.workflow import TaskWorkflow
    from changeover.usecases.disagreements import LOOKED_AT, sweep
    from changeover.usecases.stop_work import stop_what_is_over
    from changeover.usecases.watch_runs import watch_runs

    settings, vault, workflow = wiring.load_settings(), ConnectionVault(), TaskWorkflow(context["ti"])
    ledger, now = wiring.ledger(settings), wiring.now()

    tools = cache(lambda: wiring.tools(vault=vault, tell=log.info, settings=settings))

    def opened(run: Run) -> tuple[Upgrade, Tools]:
        return wiring.pinned_upgrade(settings, run), tools()

    noted, blind = watch_runs(ledger, workflow, opened, now=now)
    for text in noted:
        log.warning("noted: %s", text)
    unseen: list[str] = []
    for stopped in stop_what_is_over(ledger, workflow, opened, runs=ledger.runs(limit=LOOKED_AT), broken=unseen):
        log.warning("%s", stopped)
    found = sweep(ledger=ledger, workflow=workflow, holds=wiring.holds(), vault=vault, now=now)
    found = replace(found, broken=(*blind, *unseen, *found.broken))
    for one in found.disagreements:
        log.error("%s", one)
    for text in found.broken:
        log.error("could not be asked: %s", text)
    if found.disagreements or found.broken:
        told = [*map(str, found.disagreements), *(f"could not be asked: {text}" for text in found.broken)]
        raise AirflowFailException("; ".join(told))
    return str(found)
