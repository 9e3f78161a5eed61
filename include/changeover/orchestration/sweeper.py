"""The sweeper's task: tells what disagrees by failing, so that it is seen where everything else is seen."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def sweep_now(context: Any) -> str:
    """Raise for every disagreement at once, and for what could not be asked."""
    from airflow.sdk.exceptions import AirflowFailException

    from changeover import wiring
    from changeover.orchestration.run_context import ConnectionVault
    from changeover.orchestration.workflow import TaskWorkflow
    from changeover.usecases.disagreements import sweep

    settings = wiring.load_settings()
    found = sweep(
        ledger=wiring.ledger(settings),
        workflow=TaskWorkflow(context["ti"]),
        holds=wiring.holds(),
        vault=ConnectionVault(),
        now=wiring.now(),
    )
    for one in found.disagreements:
        log.error("%s", one)
    for text in found.broken:
        log.error("could not be asked: %s", text)
    if found.disagreements or found.broken:
        told = [*map(str, found.disagreements), *(f"could not be asked: {text}" for text in found.broken)]
        raise AirflowFailException("; ".join(told))
    return str(found)
