"""One run as the ledger has it: its environments in plan order, each with its steps, gates and marks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.batch import Standing, begun, standings
from changeover.domain.gate import GateResult
from changeover.domain.hypercare import watch_told
from changeover.domain.outcome import Verdict
from changeover.domain.record import Mark, Run, StepRecord
from changeover.domain.standing import standing
from changeover.domain.taken import outstanding


@dataclass(frozen=True)
class EnvironmentView:
    """What was done in one environment; `name` "" is what concerns the run as a whole."""

    name: str
    hosts: tuple[str, ...]
    outcome: Verdict | None
    steps: tuple[StepRecord, ...]
    gates: tuple[tuple[datetime, GateResult], ...]
    marks: tuple[Mark, ...]

    @property
    def standings(self) -> dict[str, Standing]:
        """Where each host of a rollout in batches stands; nothing where all hosts are changed together."""
        return standings(self.hosts, self.marks) if begun(self.marks) else {}

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "outcome": str(self.outcome.outcome) if self.outcome else None,
            "reasons": list(self.outcome.reasons) if self.outcome else [],
            "steps": [step_json(step) for step in self.steps],
            "gates": [gate_json(gate, at) for at, gate in self.gates],
            "host_standings": {host: str(standing) for host, standing in self.standings.items()},
            "not_given_back": {host: list(names) for host, names in outstanding(self.marks).items()},
        }


@dataclass(frozen=True)
class RunView:
    run: Run
    whole: EnvironmentView
    environments: tuple[EnvironmentView, ...]

    @property
    def outcome(self) -> Verdict | None:
        """None while the run is open."""
        return self.whole.outcome

    @property
    def all_marks(self) -> tuple[Mark, ...]:
        marks = (
            *self.whole.marks,
            *(mark for view in self.environments for mark in view.marks),
        )
        return tuple(sorted(marks, key=lambda mark: mark.at))

    @property
    def standing(self) -> tuple[str, ...]:
        """What stands in the way of a run that is open."""
        return () if self.outcome else standing(self.all_marks)

    @property
    def all_gates(self) -> tuple[tuple[datetime, GateResult], ...]:
        gates = (
            *self.whole.gates,
            *(gate for view in self.environments for gate in view.gates),
        )
        return tuple(sorted(gates, key=lambda entry: entry[0]))

    @property
    def last_event(self) -> datetime:
        """When something was last written: the end of a run that ended, the last sign of life of an open one."""
        steps = [step for view in (self.whole, *self.environments) for step in view.steps]
        times = [step.ended_at or step.started_at for step in steps]
        return max((self.run.opened_at, *times, *(mark.at for mark in self.all_marks)))

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            "schema_version": 1,
            "run": run_json(self.run),
            "state": "ended" if self.outcome else "open",
            "outcome": str(self.outcome.outcome) if self.outcome else None,
            "reasons": list(self.outcome.reasons) if self.outcome else [],
            "last_event_at": utc(self.last_event),
            "hypercare": list(watch_told(self.whole.marks)),
            "standing": list(self.standing),
            "whole_run": self.whole.as_json(),
            "environments": [view.as_json() for view in self.environments],
        }


def run_json(run: Run) -> dict[str, Any]:
    return {
        "key": run.key,
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "client": run.client,
        "upgrade": run.upgrade,
        "application": run.application,
        "mode": run.mode,
        "environments": list(run.environments),
        "plan_digest": run.plan_digest,
        "requested_by": run.requested_by,
        "reason": run.reason,
        "change_reference": run.change_reference,
        "opened_at": utc(run.opened_at),
    }


def step_json(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "generation": step.generation,
        "status": str(step.status),
        "started_at": utc(step.started_at),
        "ended_at": utc(step.ended_at) if step.ended_at else None,
        "seconds": round(step.duration.total_seconds(), 1) if step.duration is not None else None,
        "hosts": dict(step.hosts),
        "reasons": list(step.reasons),
    }


def gate_json(gate: GateResult, at: datetime) -> dict[str, Any]:
    return {
        "gate": gate.gate,
        "at": utc(at),
        "passed": gate.passed,
        "checks_declared": len(gate.declared),
        "checks_run": gate.checks_run,
        "hosts_planned": list(gate.hosts_planned),
        "hosts_seen": list(gate.hosts_seen),
        "reasons": list(gate.reasons()),
    }


def utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
