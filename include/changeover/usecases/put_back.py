"""Put the old release back on named hosts, each from its own restore point, and prove it by the old acceptance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from changeover.domain.batch import Standing, begun, changed, labels, serving, standings
from changeover.domain.gate import GateResult
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind
from changeover.domain.taken import outstanding
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.batch_work import set_standing
from changeover.usecases.lane_facts import back_out_step, lane_marks
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Answer, Tools, Upgrade, back_outs, hosts_of, mark, no, yes

FAILED = "the back-out failed: a person must look; the hosts' locks are kept"


def back_out_together(upgrade: Upgrade, tools: Tools, lane: Environment, points: Mapping[str, str]) -> Answer:
    """All hosts of the lane that are named, as they were changed: together."""
    number = str(back_outs(upgrade, tools, lane.name))
    if faults := _put_back(upgrade, tools, lane, points, step="back_out", number=number):
        return no(FAILED, *faults)
    gate = _accepted(upgrade, tools, lane, points)
    if not gate.passed:
        return no("backed out, but the old release is not accepted: a person must look", *gate.reasons())
    if kept := [host.name for host in hosts_of(upgrade, tools, lane.name) if host.name not in points]:
        _free(upgrade, tools, lane, points, number=number)
        return no(
            f"backed out: {', '.join(points)}; left for people: {', '.join(kept)}, locked and closed to users",
            f"close it (`changeover settle {upgrade.run.key} --do close`), then `changeover run PLAN --mode back-out`",
        )
    _end(upgrade, tools, lane, number=number)
    return yes(f"{upgrade.plan.from_version} runs again, accepted by {gate.checks_run} checks")


def back_out_rollout(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Only hosts that were changed and were not opened to users; what those hold is for people to judge."""
    marks = lane_marks(upgrade, tools, lane.name)
    everyone = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    now, opened, points = standings(everyone, marks), serving(marks), labels(marks)
    number = len(begun(marks))
    touched = [name for name in everyone if name in changed(marks)]
    chosen = {
        name: points[name]
        for name in touched
        if name not in opened and now[name] is not Standing.UNREACHABLE and name in points
    }
    for name in opened if lane.back_out == "per_environment" else ():
        set_standing(upgrade, tools, lane.name, name, Standing.BACK_OUT_PENDING, "it serves: people decide")
    if chosen:
        if faults := _put_back(upgrade, tools, lane, chosen, step=f"back_out_b{number}", number=f"b{number}"):
            return no(FAILED, *faults)
        gate = _accepted(upgrade, tools, lane, chosen)
        if not gate.passed:
            return no(FAILED, "the old release is not accepted", *gate.reasons())
        for name in chosen:
            set_standing(
                upgrade, tools, lane.name, name, Standing.BACKED_OUT, "the old release is accepted", key=f"-b{number}"
            )
    shut = _open_unchanged(upgrade, tools, lane, touched, number=number)
    now = standings(everyone, lane_marks(upgrade, tools, lane.name))
    left = [f"{name} {now[name].replace('_', ' ')}" for name in touched if now[name] is not Standing.BACKED_OUT]
    if left or shut:
        return no(
            f"backed out: {', '.join(chosen) or 'no host'}; left for people: {', '.join(left) or 'no host'}",
            *shut,
            f"`changeover settle {upgrade.run.key} --do resume` goes on with the rest; or close it, then "
            "`changeover run PLAN --mode back-out`",
        )
    _end(upgrade, tools, lane, number=f"b{number}")
    return yes(
        f"{upgrade.plan.from_version} runs again on {', '.join(touched) or 'every host'}; no other host was changed"
    )


def _open_unchanged(
    upgrade: Upgrade, tools: Tools, lane: Environment, touched: Iterable[str], *, number: int
) -> tuple[str, ...]:
    """Hosts of a batch that were closed and never changed serve again: that may have failed when their batch ended."""
    closed = set(outstanding(lane_marks(upgrade, tools, lane.name))) - set(touched)
    hosts = tuple(host for host in hosts_of(upgrade, tools, lane.name) if host.name in closed)
    if not hosts:
        return ()
    step = back_out_step(lane_marks(upgrade, tools, lane.name), f"reopen_unchanged_b{number}")
    work = HostWork(step, "reopen.yml", lane.name, upgrade.plan.from_version, changes=True, hosts=hosts)
    done = run_on_hosts(upgrade, tools, work)
    return () if done.successful else tuple(f"not opened again: {reason}" for reason in done.reasons)


def _put_back(
    upgrade: Upgrade, tools: Tools, lane: Environment, points: Mapping[str, str], *, step: str, number: str
) -> tuple[str, ...]:
    """Said first, then done: one execution for each restore point's label. Why it is not done; it stops at the first.

    `number` tells one back-out of the run from the next.
    """
    mark(
        upgrade,
        tools,
        MarkKind.BACKING_OUT,
        lane.name,
        key=f"backing-out-{lane.name}-{number}",
        hosts=list(points),
        label=", ".join(dict.fromkeys(points.values())),
    )
    step = back_out_step(lane_marks(upgrade, tools, lane.name), step)
    tools.expectations.warm()  # the old release's acceptance follows
    for turn, label in enumerate(dict.fromkeys(points.values()), start=1):
        work = HostWork(
            step if turn == 1 else f"{step}_point{turn}",
            "back_out.yml",
            lane.name,
            upgrade.plan.from_version,
            changes=True,
            hosts=tuple(host for host in hosts_of(upgrade, tools, lane.name) if points.get(host.name) == label),
            restore_point=label,
        )
        done = run_on_hosts(upgrade, tools, work)
        if not done.successful:
            return done.reasons
    return ()


def _accepted(upgrade: Upgrade, tools: Tools, lane: Environment, hosts: Iterable[str]) -> GateResult:
    wanted = AcceptanceWanted("back_out_acceptance", lane.name, upgrade.plan.from_version, tuple(hosts))
    return accept(upgrade, tools, wanted)


def _end(upgrade: Upgrade, tools: Tools, lane: Environment, *, number: str) -> None:
    """The environment is backed out; its locks are given back, which is tried once."""
    mark(upgrade, tools, MarkKind.BACKED_OUT, lane.name, key=f"backed-out-{lane.name}-{number}")
    _free(upgrade, tools, lane, [host.name for host in hosts_of(upgrade, tools, lane.name)], number=number)


def _free(upgrade: Upgrade, tools: Tools, lane: Environment, names: Iterable[str], *, number: str) -> None:
    wanted = set(names)
    hosts = tuple(host for host in hosts_of(upgrade, tools, lane.name) if host.name in wanted)
    step = f"release_{number}"
    work = HostWork(step, "release.yml", lane.name, upgrade.plan.from_version, changes=True, hosts=hosts)
    freed = run_on_hosts(upgrade, tools, work)
    tools.tell("locks released" if freed.successful else f"locks could not be released: {'; '.join(freed.reasons)}")
