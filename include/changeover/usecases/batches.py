"""A lane whose hosts are changed in batches: canary first, each batch only after proof on every host of the last."""

from __future__ import annotations

from datetime import timedelta

from changeover.domain.batch import (
    Batch,
    Batches,
    Expected,
    Seen,
    Standing,
    begun,
    may_leave,
    must_stop,
    plan_batches,
    standings,
    still_well,
    unfinished,
)
from changeover.domain.execution import HostState
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.lane import in_doubt
from changeover.domain.plan import Environment
from changeover.domain.record import Mark, MarkKind
from changeover.domain.settlement import Way
from changeover.errors import ChangeoverError
from changeover.ports import fresh
from changeover.usecases.batch_work import accept_rollout, carry_out, set_standing
from changeover.usecases.change_gate import change_refusal
from changeover.usecases.lane_facts import lane_marks
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.steer import before_next_part
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade, hosts_of, mark, no, yes
from changeover.usecases.window_gate import window_for_batch

_LOOK = timedelta(seconds=1)
_NEW = (Standing.DONE, Standing.BACK_OUT_PENDING)


def lock(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """In place of one restore point for all: the locks. Each batch closes its own hosts and takes their points then."""
    work = HostWork("restore_point", "lock.yml", lane.name, upgrade.plan.from_version, changes=True)
    done = run_on_hosts(upgrade, tools, work)
    if not done.successful:
        return no("the hosts could not be locked", *done.reasons)
    return yes(f"{len(done.hosts)} hosts locked; each batch takes its restore points when it has closed its hosts")


def implement(upgrade: Upgrade, tools: Tools, lane: Environment, batches: Batches) -> Answer:
    """Goes on with the batch that was begun, then with the next, until all are done or something says stop."""
    while True:
        marks = lane_marks(upgrade, tools, lane.name)
        if fresh(MarkKind.BACKED_OUT, marks):
            return no("the rollout was backed out: start a new run")
        batch = unfinished(marks)
        if batch is None:
            found = _next(upgrade, tools, lane, batches, marks)
            if isinstance(found, Answer):
                return found
            batch = found
        carry_out(upgrade, tools, lane, batch)


def accept_all(upgrade: Upgrade, tools: Tools, lane: Environment) -> GateResult:
    """The whole rollout: accepted host by host while closed, and every host looked at once more now."""
    names = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    seen, results = look(upgrade, tools, lane, names), []
    expected = Expected(
        upgrade.plan.from_version,
        upgrade.plan.to_version,
        upgrade.release.version_scheme,
        dict.fromkeys(names, Standing.DONE),
    )
    for one in seen:
        faults = still_well(one, expected)
        state = CheckState.PASSED if not faults else CheckState.FAILED if one.reached else CheckState.ERROR
        results.append(CheckResult("serves-the-new-release", one.host, state, "; ".join(faults)))
        mark(upgrade, tools, MarkKind.VERSION_DISCOVERED, lane.name, host=one.host, version=one.version)
    gate = accept_rollout(upgrade, tools, lane, results)
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    return gate


def _next(
    upgrade: Upgrade, tools: Tools, lane: Environment, batches: Batches, marks: tuple[Mark, ...]
) -> Batch | Answer:
    """The batch that may begin now, written ahead; or the answer that ends the rollout."""
    names = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    now, this_try = standings(names, marks), standings(names, _since_resume(marks))
    done = [name for name in names if now[name] in _NEW]
    if len(done) == len(names):
        return _all_done(upgrade, tools, lane, now)
    if stop := (*in_doubt(marks), *must_stop(batches, this_try)):
        return _stopped(now, stop)
    tried = {name for name, standing in this_try.items() if standing is not Standing.NOT_ATTEMPTED}
    planned = plan_batches(batches, names, done={*done, *tried})
    if not planned:
        return _stopped(now, ("every other batch is through, and a failed host is not tried again by itself",))
    _soak(tools, batches, marks)
    if waits := before_next_part(upgrade, tools, lane):
        return waits if waits.reply is Reply.WAIT else _stopped(now, (waits.text,))
    if closed := window_for_batch(upgrade, tools, lane) or change_refusal(upgrade, tools):
        return _stopped(now, (closed,))
    if stay := _may_not_leave(upgrade, tools, lane, batches, planned[0], now):
        return _stopped(now, stay)
    number = len(begun(marks)) + 1
    label = f"{upgrade.run.key}-{lane.name}-b{number}"
    mark(
        upgrade,
        tools,
        MarkKind.BATCH_BEGUN,
        lane.name,
        key=f"batch-{lane.name}-{number}",
        number=number,
        hosts=list(planned[0]),
        label=label,
        left=sum(len(batch) for batch in planned[1:]),
    )
    return Batch(number, planned[0], label)


def _all_done(upgrade: Upgrade, tools: Tools, lane: Environment, now: dict[str, Standing]) -> Answer:
    for name, standing in now.items():
        if standing is not Standing.DONE:
            set_standing(upgrade, tools, lane.name, name, Standing.DONE, "its rollout went on")
    last = len(begun(lane_marks(upgrade, tools, lane.name)))
    mark(upgrade, tools, MarkKind.IMPLEMENTED, lane.name, key=f"implemented-{lane.name}-b{last}")
    return yes(f"{upgrade.plan.to_version} proven on {len(now)} hosts in {last} batches")


def _stopped(now: dict[str, Standing], reasons: tuple[str, ...]) -> Answer:
    told = ", ".join(f"{host} {standing.replace('_', ' ')}" for host, standing in now.items())
    return no("the rollout stopped", *reasons, told)


def _since_resume(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """What came out since a person last had it go on: only that counts against the failure budget."""
    last = max(
        (n for n, m in enumerate(marks) if m.kind is MarkKind.SETTLED and m.data.get("action") == Way.RESUME),
        default=-1,
    )
    return marks[last + 1 :]


def _soak(tools: Tools, batches: Batches, marks: tuple[Mark, ...]) -> None:
    last = fresh(MarkKind.BATCH_ENDED, marks)
    if last is None:
        return
    until = last.at + batches.soak
    while (left := until - tools.clock()).total_seconds() > 0:
        if tools.stop():
            raise ChangeoverError(
                f"stopped while batch {last.data['number']} soaks", then="clear this task: the rollout goes on there"
            )
        tools.wait(min(left, _LOOK))


def _may_not_leave(
    upgrade: Upgrade,
    tools: Tools,
    lane: Environment,
    batches: Batches,
    batch: tuple[str, ...],
    now: dict[str, Standing],
) -> tuple[str, ...]:
    """Every host of the environment is looked at: versions, services, and whether enough of them serve."""
    plan = upgrade.plan
    names = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    seen = look(upgrade, tools, lane, names)
    expected = Expected(plan.from_version, plan.to_version, upgrade.release.version_scheme, now)
    return may_leave(batch, batches, seen, expected)


def look(upgrade: Upgrade, tools: Tools, lane: Environment, names: tuple[str, ...]) -> tuple[Seen, ...]:
    """What these hosts are found to be; a host that is unreachable or says nothing does not serve."""
    hosts = tuple(host for host in hosts_of(upgrade, tools, lane.name) if host.name in names)
    work = HostWork("batch_look", "discover.yml", lane.name, upgrade.plan.to_version, changes=False, hosts=hosts)
    read = run_on_hosts(upgrade, tools, work)
    found = {result.host: result for result in read.hosts}
    seen = []
    for name in names:
        result = found.get(name)
        if result is None or result.state is HostState.UNREACHABLE:
            seen.append(Seen(name, False, None, result.message if result else "it was not asked"))
            continue
        services = result.report.get("services")
        down = [f"{s} is {state}" for s, state in services.items() if state != "running"] if services else []
        why = "; ".join(down) if services else result.message or "its services could not be read"
        version = result.report.get("version")
        seen.append(Seen(name, True, str(version) if version else None, why))
    return tuple(seen)
