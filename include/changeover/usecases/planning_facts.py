"""What earlier steps took: the facts that planning and the clock rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from changeover.domain.plan import Environment, Plan
from changeover.domain.record import MarkKind, Run
from changeover.domain.runsheet import Durations
from changeover.domain.step_times import MeasuredRun, step_times
from changeover.ports import Ledger, fresh
from changeover.usecases.tools import Tools, Upgrade

LOOKED_AT = 200
RUNS = 10
"""So many earlier runs of the same client and application count."""
ReadPlan = Callable[[str], Plan | None]
"""A plan text that a run was pinned to; None for one of an older format."""


def durations(upgrade: Upgrade, tools: Tools, lane: Environment | None = None) -> Durations:
    """From this run's rehearsal and earlier runs of the same client's application, for the data of a lane."""
    read = tools.content.plan if tools.content else None
    return times_of(tools.ledger, upgrade.plan, lane, run=upgrade.run, read_plan=read)


def times_of(
    ledger: Ledger,
    plan: Plan,
    lane: Environment | None,
    *,
    run: Run | None = None,
    read_plan: ReadPlan | None = None,
) -> Durations:
    """Without a run: what the plan's next one may expect. Without `read_plan` only runs of the same upgrade count."""
    return step_times(_runs(ledger, plan, run, read_plan), volume=_volume_of(ledger, plan, lane, run))


def volumes(ledger: Ledger, plan: Plan, run: Run) -> dict[str, int]:
    """Environment → bytes: what the plan declares, else what the run's analysis measured on its hosts.

    The baseline is a copy: it has as much as the environment its data came from.
    """
    found: dict[str, int] = {}
    analysed = fresh(MarkKind.ANALYSED, ledger.marks(run.key, kind=MarkKind.ANALYSED))
    for host in analysed.data.get("inventory") or () if analysed else ():
        size, name = host.get("data_bytes"), str(host.get("environment"))
        if size:
            found[name] = max(found.get(name, 0), int(size))
    found |= declared(plan)
    source = found.get(plan.baseline.data_from or "")
    return found | ({plan.baseline.name: source} if source and plan.baseline.data_volume is None else {})


def declared(plan: Plan) -> Mapping[str, int]:
    return {each.name: each.data_volume for each in plan.environments if each.data_volume}


def _volume_of(ledger: Ledger, plan: Plan, lane: Environment | None, run: Run | None) -> int | None:
    if lane is None:
        return None
    known = volumes(ledger, plan, run) if run else declared(plan)
    return known.get(lane.name)


def _runs(ledger: Ledger, plan: Plan, run: Run | None, read_plan: ReadPlan | None) -> Iterator[MeasuredRun]:
    """This run, then the newest earlier ones; one whose plan cannot be read counts where it is of the same upgrade."""
    if run:
        yield MeasuredRun(run.key, ledger.steps(run.key), plan.baseline.name, volumes(ledger, plan, run))
    own, ours = run.key if run else "", (plan.client, plan.application)
    newest = ledger.runs(limit=LOOKED_AT)
    earlier = (other for other in newest if (other.client, other.application) == ours and other.key != own)
    for _, other in zip(range(RUNS), earlier, strict=False):
        its = read_plan(other.plan_text) if read_plan else None
        if its is None and other.dag_id != plan.dag_id:
            continue
        of = its or plan
        same = (of.from_version, of.to_version) == (plan.from_version, plan.to_version)
        yield MeasuredRun(other.key, ledger.steps(other.key), of.baseline.name, volumes(ledger, of, other), same)
