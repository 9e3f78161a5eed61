"""The controller died half-way: what is true of a run, asked of its hosts themselves, and what may be done."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changeover.domain.batch import begun, of_older_batch, standings
from changeover.domain.estate import Host
from changeover.domain.generation import changing_generation
from changeover.domain.host_lock import Forced, HostHold, own_processes
from changeover.domain.lane import is_accepted
from changeover.domain.legs import plain, stage_of
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Mode
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from changeover.domain.settlement import (
    Driver,
    EnvironmentFacts,
    HostEvidence,
    HostTruth,
    Settlement,
    Truth,
    Wanted,
    Way,
    closed_by,
    host_truth,
    is_same,
    settle,
)
from changeover.errors import ChangeoverError
from changeover.ports import Holds, Workflow, fresh
from changeover.usecases import closeout
from changeover.usecases.evidence import keep_text
from changeover.usecases.give_back import give_back
from changeover.usecases.host_status import controller_of, read_holds, tokens_of
from changeover.usecases.lane import settled
from changeover.usecases.lane_facts import since_back_out
from changeover.usecases.legs import hops
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.standing_still import lost_steps, standing_still_of
from changeover.usecases.tools import Tools, Upgrade, mark

READING = "settle_reading"
_CHANGING = ("restore_point", "implement", "commit", "back_out", "stand_down")


@dataclass(frozen=True)
class Case:
    """A run to be settled. `workflow` None: Airflow cannot be asked."""

    upgrade: Upgrade
    tools: Tools
    holds: Holds
    workflow: Workflow | None
    dead: tuple[str, ...] = ()
    """Parts of Airflow that do not work, though its API answers."""


@dataclass(frozen=True)
class RunSettlement:
    """`broken`: tools that failed while looking, so that the answer says less than it could."""

    run: str
    driver: Driver
    environments: tuple[Settlement, ...]
    needs: tuple[str, ...]
    """What is to be settled of the run as a whole."""
    broken: tuple[str, ...] = ()
    holds: tuple[HostHold, ...] = ()

    @property
    def to_settle(self) -> tuple[Settlement, ...]:
        return tuple(one for one in self.environments if one.needs)

    @property
    def nothing(self) -> bool:
        return not self.needs and not self.to_settle

    def as_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "run": self.run,
            "airflow": str(self.driver),
            "nothing_to_settle": self.nothing,
            "to_settle": list(self.needs),
            "environments": [one.as_json() for one in self.environments],
            "broken": list(self.broken),
        }


@dataclass(frozen=True)
class Order:
    """What a person wants done, in which environments (none named: in all that need it)."""

    way: Way
    by: str
    reason: str
    environments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """What came of an order: what was done, what was refused and why."""

    done: tuple[str, ...]
    refused: tuple[str, ...] = ()


def look(case: Case) -> RunSettlement:
    """Ask every frozen host, the ledger and Airflow; decide nothing but what is true and possible."""
    upgrade, tools = case.upgrade, case.tools
    frozen = tools.ledger.frozen_hosts(upgrade.run.key)
    driver = driver_of(case)
    everyone = {host.name: host for hosts in frozen.values() for host in hosts}
    holds = read_holds(tuple(everyone.values()), case.holds, tools.vault)
    broken: list[str] = []
    found = tuple(settle(_facts(case, name, hosts, holds, driver, broken)) for name, hosts in frozen.items() if hosts)
    outcome = tools.ledger.outcomes(upgrade.run.key).get("")
    needs: tuple[str, ...] = ()
    if driver is Driver.GOES_ON:
        needs = standing_still(case)
    elif outcome is None:
        needs = ("the run has no outcome",)
    elif not any(one.needs for one in found):
        needs = _open_change(case, outcome)
    return RunSettlement(upgrade.run.key, driver, found, needs, tuple(broken), tuple(holds.values()))


def _open_change(case: Case, outcome: Verdict) -> tuple[str, ...]:
    """Every environment is settled, and the change waits for something to be put right, or for a person to close it."""
    kinds = {mark.kind for mark in case.tools.ledger.marks(case.upgrade.run.key)}
    if outcome.outcome is not Outcome.UNKNOWN or MarkKind.CHANGE_OPENED not in kinds or MarkKind.CHANGE_CLOSED in kinds:
        return ()
    return (f"its change is open: {'; '.join(outcome.reasons)}",)


def driver_of(case: Case) -> Driver:
    if case.workflow is None:
        return Driver.NO_ANSWER
    try:
        state = case.workflow.state(case.upgrade.run)
    except ChangeoverError as exc:
        case.tools.tell(str(exc))
        return Driver.NO_ANSWER
    if state is None:
        return Driver.NOT_KNOWN
    return Driver.ENDED if state in ("success", "failed") else Driver.GOES_ON


def standing_still(case: Case) -> tuple[str, ...]:
    """Why a run that is on its way does not get on, each with what ends that."""
    paused = False
    with contextlib.suppress(ChangeoverError):
        paused = case.workflow is not None and case.workflow.paused(case.upgrade.run)
    marks = case.tools.ledger.marks(case.upgrade.run.key)
    return standing_still_of(case.upgrade.run, marks, paused=paused, dead=case.dead)


def faults_of(case: Case, order: Order) -> tuple[str, ...]:
    """What is wrong with the request itself."""
    people = sorted(person.id for person in case.upgrade.plan.participants)
    known = case.tools.ledger.frozen_hosts(case.upgrade.run.key)
    unknown = [name for name in order.environments if name not in known]
    return (
        *(() if order.by in people else (f"--by: {order.by or 'nobody'} is not in the plan ({', '.join(people)})",)),
        *(("--reason: say why; it is kept with the run",) if not order.reason.strip() else ()),
        *((f"--environment: the run has no {', '.join(unknown)}",) if unknown else ()),
    )


def carry_out(case: Case, found: RunSettlement, order: Order) -> Done:
    """Close here, or have Airflow go on; what is not possible is refused with its reasons."""
    chosen = [one for one in found.to_settle if not order.environments or one.environment in order.environments]
    possible = [one for one in chosen if one.option(order.way).possible]
    refused = tuple(
        f"{one.environment}: {reason}"
        for one in chosen
        if one not in possible
        for reason in one.option(order.way).reasons
    )
    if order.way is Way.CLOSE:
        return _close(case, found, order, possible, refused)
    return _through_airflow(case, found, order, possible, refused)


def _through_airflow(
    case: Case, found: RunSettlement, order: Order, possible: Sequence[Settlement], refused: tuple[str, ...]
) -> Done:
    if case.workflow is None or found.driver is Driver.NO_ANSWER:
        again = f"changeover settle {found.run} --do {order.way} --by {order.by} --reason TEXT"
        return Done((), (*refused, f"Airflow does not answer: start it (`changeover serve`), then `{again}`"))
    run, done = case.upgrade.run, []
    for one in possible:
        option = one.option(order.way)
        stage = option.stage
        _mark(case, order, one.environment, found=list(one.needs), stage=stage, again=option.again)
        tasks = case.workflow.again(run, one.environment, stage)
        done.append(f"{one.environment}: Airflow goes on from {stage} ({len(tasks)} tasks)")
    if order.way is Way.RESUME and found.needs and not found.to_settle and found.driver is Driver.ENDED:
        _mark(case, order, "", found=list(found.needs), stage="record_outcome")
        done.append(f"the run: Airflow records its outcome ({len(case.workflow.again(run, '', ''))} tasks)")
    return Done(tuple(done), refused or (() if done else (f"there is nothing to {order.way}",)))


def _close(
    case: Case, found: RunSettlement, order: Order, possible: Sequence[Settlement], refused: tuple[str, ...]
) -> Done:
    """Evidence first, then the mark that ends the run's work there, the outcome, and last the locks."""
    upgrade, tools = case.upgrade, case.tools
    done: list[str] = []
    for one in possible:
        number = len(tools.ledger.marks(upgrade.run.key, environment=one.environment, kind=MarkKind.SETTLED)) + 1
        evidence = {**one.as_json(), "closed_by": order.by, "reason": order.reason, "airflow": str(found.driver)}
        name = f"settlement-{number}.json"
        keep_text(upgrade, tools, one.environment, name, json.dumps(evidence, indent=1, sort_keys=True))
        _mark(case, order, one.environment, found=list(one.needs), truth=str(one.truth), evidence=name)
        verdict = _verdict(case, one, order)
        tools.ledger.record_outcome(upgrade.run.key, one.environment, verdict, tools.clock())
        done.append(f"{one.environment}: closed by {order.by}, outcome {verdict.outcome}")
    for one in possible:
        held = [hold for hold in found.holds if hold.lock and hold.lock.run == found.run]
        freed, kept = give_back(upgrade, tools, one, held, Forced(order.by, order.reason))
        done += freed
        refused = (*refused, *kept)
    left = [one.environment for one in found.to_settle if one not in possible]
    if not left and (possible or found.needs) and found.driver is not Driver.GOES_ON:
        whole = closeout.close(upgrade, tools, by=order.by)
        _mark(case, order, "", found=[*found.needs, *(one.environment for one in possible)])
        done.append(f"the run: closed by {order.by}, outcome {whole.outcome}")
    return Done(tuple(done), refused or (() if done else ("there is nothing to close",)))


def _verdict(case: Case, one: Settlement, order: Order) -> Verdict:
    """A person's word proves nothing: what was unproven stays so, with the name and what was found beside it."""
    upgrade = case.upgrade
    said = (f"closed by {order.by}: {order.reason}", f"found {one.truth}")
    found = tuple(f"{host.host}: {host.truth} ({host.why})" for host in one.hosts)
    lane = next((lane for lane in upgrade.plan.lanes if lane.name == one.environment), None)
    before = case.tools.ledger.outcomes(upgrade.run.key).get(one.environment)
    outcome = Outcome.UNKNOWN
    if before is not None:
        outcome = before.outcome
    elif lane is not None and one.truth in (Truth.OLD, Truth.UNTOUCHED):
        proven = settled(upgrade, case.tools, lane)
        outcome = proven.outcome if proven.outcome in (Outcome.REFUSED, Outcome.MISSED) else outcome
    return Verdict(outcome, (*said, *found))


def _mark(case: Case, order: Order, environment: str, **data: Any) -> None:
    by = {"action": str(order.way), "by": order.by, "reason": order.reason}
    mark(case.upgrade, case.tools, MarkKind.SETTLED, environment, **by, **data)


def _hosts(case: Case, environment: str) -> tuple[Host, ...]:
    return case.tools.ledger.frozen_hosts(case.upgrade.run.key).get(environment, ())


def _facts(
    case: Case,
    name: str,
    hosts: tuple[Host, ...],
    holds: Mapping[str, HostHold],
    driver: Driver,
    broken: list[str],
) -> EnvironmentFacts:
    upgrade, tools = case.upgrade, case.tools
    key = upgrade.run.key
    every_step = [s for s in tools.ledger.steps(key, environment=name) if s.step != READING]
    all_marks = tools.ledger.marks(key, environment=name)
    lane = next((lane for lane in upgrade.plan.lanes if lane.name == name), None)
    started = any(m.kind is MarkKind.LANE_STARTED for m in all_marks) or (
        lane is None and _built(all_marks, every_step)
    )
    outcome = tools.ledger.outcomes(key).get(name)
    marks = since_back_out(all_marks)
    kinds = {m.kind for m in marks}
    decided, point = fresh(MarkKind.DECIDED, marks), fresh(MarkKind.RESTORE_POINT_PROVEN, all_marks)
    generation = changing_generation(back_outs=sum(m.kind is MarkKind.BACKED_OUT for m in all_marks))
    present = [step for step in every_step if step.generation == generation]
    truths = _truths(case, name, hosts, holds, touched=started, broken=broken)
    return EnvironmentFacts(
        name,
        truths,
        driver,
        controller=controller_of(every_step, tools.executor),
        is_lane=lane is not None,
        implements=upgrade.mode is Mode.IMPLEMENT,
        started=started,
        outcome=str(outcome.outcome) if outcome else None,
        closed_by=closed_by(all_marks),
        change_began=bool(kinds & {MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT}),
        implemented=MarkKind.IMPLEMENTED in kinds,
        accepted=is_accepted(marks),
        signed_off=MarkKind.SIGNED_OFF in kinds,
        committed=MarkKind.COMMITTED in kinds,
        backed_out=generation > 1 and not kinds & {MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT},
        decision=str(decided.data.get("decision")) if decided else None,
        restore_point=str(point.data.get("label", "")) if point else None,
        standings=standings((h.name for h in hosts), all_marks) if begun(all_marks) else {},
        tried=_tried(tools, present, all_marks),
        lost=lost_steps(tools, every_step),
        at_stop=_stop(case, [step.step for step in present], truths),
    )


def _tried(tools: Tools, steps: Sequence[StepRecord], marks: Sequence[Mark]) -> dict[str, str]:
    """Stages that change hosts → how the newest of their steps ended."""
    return {
        stage_of(step.step): _ending(tools, step.status, step.directory)
        for step in steps
        if plain(step.step) in _CHANGING and not of_older_batch(step.step, marks)
    }


def _stop(case: Case, steps: Sequence[str], hosts: Sequence[HostTruth]) -> str:
    """The release of the newest leg whose change began, when it is not the last leg and every host runs it."""
    legs = hops(case.upgrade, case.tools)
    begun = [hop for hop in legs if hop.step("implement") in steps]
    if not begun or begun[-1].last:
        return ""
    wanted, scheme = begun[-1].to_version, case.upgrade.release.version_scheme
    marked = all(host.version is not None and is_same(host.version, wanted, scheme) for host in hosts)
    return wanted if marked and hosts else ""


def _built(marks: Sequence[Mark], steps: Sequence[Any]) -> bool:
    return any(step.step in (*_CHANGING, "build") for step in steps) or any(
        m.kind is MarkKind.IMPLEMENTING for m in marks
    )


def _ending(tools: Tools, status: StepStatus, directory: str) -> str:
    if status is not StepStatus.RUNNING:
        return str(status)
    return "running" if directory and tools.executor.running(Path(directory)) else "without a result"


def _truths(
    case: Case,
    name: str,
    hosts: tuple[Host, ...],
    holds: Mapping[str, HostHold],
    *,
    touched: bool,
    broken: list[str],
) -> tuple[HostTruth, ...]:
    """Versions are read only where the run did something: an untouched environment is asked for no more."""
    upgrade, plan = case.upgrade, case.upgrade.plan
    tokens = tokens_of(case.tools.ledger.steps(upgrade.run.key))
    wanted = Wanted(upgrade.run.key, plan.from_version, plan.to_version, upgrade.release.version_scheme)
    mine = {
        host.name
        for host in hosts
        if touched or any(held is not None and held.run == upgrade.run.key for held in _held(holds[host.name]))
    }
    reached = tuple(host for host in hosts if host.name in mine and holds[host.name].reached)
    versions, errors = _versions(case, name, reached, broken)
    return tuple(
        host_truth(
            HostEvidence(
                holds[host.name],
                own_processes(holds[host.name], upgrade.run.key, tokens),
                versions.get(host.name),
                errors.get(host.name, ""),
            ),
            wanted,
            touched=host.name in mine,
        )
        for host in hosts
    )


def _held(hold: HostHold) -> tuple[Any, ...]:
    return hold.lock, hold.marker


def _versions(
    case: Case, name: str, hosts: tuple[Host, ...], broken: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """As the application's role reads them; a host that fails hides no other, so what is missing is asked alone."""
    versions: dict[str, str] = {}
    errors: dict[str, str] = {}
    turns: list[tuple[Host, ...]] = [hosts] if hosts else []
    while turns:
        turn = turns.pop(0)
        work = HostWork(READING, "discover.yml", name, case.upgrade.plan.to_version, changes=False, hosts=turn)
        try:
            result = run_on_hosts(case.upgrade, case.tools, work)
        except ChangeoverError as exc:
            broken.append(f"{name}: versions could not be read: {exc}")
            return versions, {host.name: exc.what for host in hosts} | errors
        found = {one.host: one.report["version"] for one in result.hosts if one.report.get("version")}
        versions |= {host: str(version) for host, version in found.items()}
        missing = [host for host in turn if host.name not in found]
        if len(turn) > 1:
            turns += [(host,) for host in missing]
        errors |= {
            host.name: f"its version could not be read: {'; '.join(result.reasons) or 'nothing was reported'}"
            for host in missing
        }
    return versions, errors
