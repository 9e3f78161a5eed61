"""Read one run from the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.domain.record import Run
from changeover.domain.run_view import EnvironmentView, RunView
from changeover.ports import Ledger


def view_run(ledger: Ledger, run: Run, *, order: Sequence[str] = ()) -> RunView:
    """`order`: environments as the plan has them; others follow in the order in which they appear."""
    frozen = ledger.frozen_hosts(run.key)
    steps, gates, marks = (
        ledger.steps(run.key),
        ledger.gates(run.key),
        ledger.marks(run.key),
    )
    outcomes = ledger.outcomes(run.key)
    met = [
        *order,
        *frozen,
        *(step.environment for step in steps),
        *(gate.environment for _, gate in gates),
        *(mark.environment for mark in marks),
        *outcomes,
    ]

    def view(name: str) -> EnvironmentView:
        return EnvironmentView(
            name,
            tuple(host.name for host in frozen.get(name, ())),
            outcomes.get(name),
            tuple(step for step in steps if step.environment == name),
            tuple(entry for entry in gates if entry[1].environment == name),
            tuple(mark for mark in marks if mark.environment == name),
        )

    return RunView(run, view(""), tuple(view(name) for name in dict.fromkeys(met) if name))
