"""Hold ledger, Airflow and hosts against each other, for every run that is open or ended lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from changeover.domain.disagreement import Disagreement, StoryOfRun, of_hosts, of_run
from changeover.domain.estate import Host
from changeover.domain.host_lock import UNPROVEN, HostHold
from changeover.domain.legs import plain
from changeover.domain.record import MarkKind, Run, StepStatus
from changeover.domain.settlement import Driver, closed_by
from changeover.domain.steering import paused_since
from changeover.errors import ChangeoverError
from changeover.ports import Holds, Ledger, Vault, Workflow
from changeover.usecases.host_status import read_holds, tokens_of

LATELY = timedelta(days=7)
"""Hosts of runs that ended longer ago are not asked any more, unless how they ended was never proven."""
LOOKED_AT = 200


@dataclass(frozen=True)
class Sweep:
    """`broken`: what could not be asked, so that something may disagree unseen."""

    runs: int
    hosts: int
    disagreements: tuple[Disagreement, ...]
    broken: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.runs} runs and {self.hosts} hosts held against each other; {len(self.disagreements)} disagree"


def sweep(*, ledger: Ledger, workflow: Workflow, holds: Holds, vault: Vault, now: datetime) -> Sweep:
    """Reads only. One client whose hosts or keys cannot be had hides no other."""
    broken: list[str] = []
    runs = [run for run in ledger.runs(limit=LOOKED_AT) if _of_interest(run, ledger, now)]
    before = {run.key: _implementing(run, ledger) for run in runs}
    found, asked = _ask_hosts(runs, ledger, holds, vault, broken)
    stories = {run.key: _story(run, ledger, workflow, before[run.key], broken) for run in runs}
    locked = {hold.lock.run for hold in found if hold.lock and hold.lock.run}
    ended = {key: _outcome(key, ledger) for key in sorted(locked) if ledger.run(key) is not None}
    of_runs = [one for story in stories.values() for one in of_run(story, now)]
    return Sweep(len(runs), asked, (*of_runs, *of_hosts(stories, found, ended)), tuple(broken))


def _of_interest(run: Run, ledger: Ledger, now: datetime) -> bool:
    outcome = _outcome(run.key, ledger)
    marks = ledger.marks(run.key)
    if outcome is None or (outcome in UNPROVEN and not closed_by(mark for mark in marks if not mark.environment)):
        return True
    return now - max((mark.at for mark in marks), default=run.opened_at) <= LATELY


def _outcome(key: str, ledger: Ledger) -> str | None:
    verdict = ledger.outcomes(key).get("")
    return str(verdict.outcome) if verdict else None


Implementing = dict[tuple[str, int], tuple[str, ...]]
"""Environment and generation → frozen hosts of an implement that has not ended in the ledger."""


def _implementing(run: Run, ledger: Ledger) -> Implementing:
    frozen = ledger.frozen_hosts(run.key)
    return {
        (step.environment, step.generation): tuple(host.name for host in frozen.get(step.environment, ()))
        for step in ledger.steps(run.key)
        if plain(step.step) == "implement" and step.status is StepStatus.RUNNING
    }


def _story(run: Run, ledger: Ledger, workflow: Workflow, before: Implementing, broken: list[str]) -> StoryOfRun:
    """An implement counts when it went on before the hosts were asked and still does: between, locks come and go."""
    after = _implementing(run, ledger)
    try:
        state = workflow.state(run)
        driver = (
            Driver.NOT_KNOWN if state is None else Driver.ENDED if state in ("success", "failed") else Driver.GOES_ON
        )
    except ChangeoverError as exc:
        broken.append(f"{run.key}: {exc}")
        driver = Driver.NO_ANSWER
    outcome = _outcome(run.key, ledger)  # read last: Airflow's run ends only after this was written
    closed = closed_by(mark for mark in ledger.marks(run.key, kind=MarkKind.SETTLED) if not mark.environment)
    proven = _proven(run, ledger)
    hosts = {host.name for hosts in ledger.frozen_hosts(run.key).values() for host in hosts}
    return StoryOfRun(
        run.key,
        run.opened_at,
        driver,
        dag=run.dag_id,
        outcome=outcome,
        closed_by=closed,
        paused_since=paused_since(ledger.marks(run.key)),
        implementing={place: hosts for (place, n), hosts in before.items() if (place, n) in after},
        outcomes=proven,
        unsettled=frozenset(hosts - proven.keys()) if outcome in (None, *UNPROVEN) and not closed else frozenset(),
        tokens=tokens_of(step for step in ledger.steps(run.key) if step.task),
    )


def _proven(run: Run, ledger: Ledger) -> dict[str, str]:
    """Host → outcome of its environment; none for one that is open, unproven, or closed by a person's word."""
    outcomes, frozen = ledger.outcomes(run.key), ledger.frozen_hosts(run.key)
    proven = {
        name: str(verdict.outcome)
        for name, verdict in outcomes.items()
        if verdict.outcome not in UNPROVEN and not closed_by(ledger.marks(run.key, environment=name))
    }
    return {host.name: proven[name] for name, hosts in frozen.items() if name in proven for host in hosts}


def _ask_hosts(
    runs: Sequence[Run], ledger: Ledger, holds: Holds, vault: Vault, broken: list[str]
) -> tuple[list[HostHold], int]:
    by_client: dict[str, dict[str, Host]] = {}
    for run in runs:
        for hosts in ledger.frozen_hosts(run.key).values():
            for host in hosts:  # newest run first: its record of a host counts
                by_client.setdefault(run.client, {}).setdefault(host.name, host)
    found: list[HostHold] = []
    for client, hosts_of_client in by_client.items():
        try:
            found += read_holds(tuple(hosts_of_client.values()), holds, vault).values()
        except Exception as exc:  # noqa: BLE001 -- whatever one client's keys do, the others are asked; it is told
            broken.append(f"{client}: {exc}")
    return found, sum(hold.reached for hold in found)
