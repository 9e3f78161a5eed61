"""What earlier steps took: the facts that planning and the clock rest on."""

from __future__ import annotations

from changeover.domain.record import StepRecord
from changeover.domain.runsheet import Durations, measured
from changeover.usecases.tools import Tools, Upgrade


def durations(upgrade: Upgrade, tools: Tools) -> Durations:
    """What the baseline took in this run; in mode back-out, what the newest rehearsal of this plan's DAG took."""
    steps: tuple[StepRecord, ...] = tools.ledger.steps(upgrade.run.key, environment=upgrade.plan.baseline.name)
    if not any(step.step == "back_out" for step in steps):
        for run in tools.ledger.runs(limit=200):
            if run.dag_id == upgrade.run.dag_id and run.key != upgrade.run.key:
                steps = tools.ledger.steps(run.key, environment=upgrade.plan.baseline.name)
                if any(step.step == "back_out" for step in steps):
                    break
    return measured(steps)
