"""Put the old release back on named hosts, each from its own restore point, and prove it by the old acceptance."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.domain.batch import Standing, begun, changed, labels, serving, standings
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.batch_work import set_standing
from changeover.usecases.lane_facts import back_out_step, lane_marks
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Answer, Tools, Upgrade, hosts_of, mark, no, yes


def put_back(upgrade: Upgrade, tools: Tools, lane: Environment, points: Mapping[str, str], *, step: str) -> list[str]:
    """One execution for each restore point's label; every reason why it is not done. It stops at the first."""
    for turn, label in enumerate(dict.fromkeys(points.values()), start=1):
        hosts = tuple(h for h in hosts_of(upgrade, tools, lane.name) if points.get(h.name) == label)
        done = run_on_hosts(
            upgrade,
            tools,
            HostWork(
                step if turn == 1 else f"{step}_point{turn}",
                "back_out.yml",
                lane.name,
                upgrade.plan.from_version,
                changes=True,
                hosts=hosts,
                restore_point=label,
            ),
        )
        if not done.successful:
            return list(done.reasons)
    return []


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
    if faults := _taken_back(upgrade, tools, lane, chosen, number=number):
        return no("the back-out failed: a person must look; the hosts' locks are kept", *faults)
    now = standings(everyone, lane_marks(upgrade, tools, lane.name))
    left = [f"{name} {now[name].replace('_', ' ')}" for name in touched if now[name] is not Standing.BACKED_OUT]
    if left:
        return no(
            f"backed out: {', '.join(chosen) or 'no host'}; left for people: {', '.join(left)}",
            f"`changeover settle {upgrade.run.key} --do resume` goes on with the rest; or close it, then "
            "`changeover run PLAN --mode back-out`",
        )
    mark(upgrade, tools, MarkKind.BACKED_OUT, lane.name, key=f"backed-out-{lane.name}-b{number}")
    work = HostWork("release_0", "release.yml", lane.name, upgrade.plan.from_version, changes=True)
    freed = run_on_hosts(upgrade, tools, work)
    tools.tell("locks released" if freed.successful else f"locks could not be released: {'; '.join(freed.reasons)}")
    return yes(
        f"{upgrade.plan.from_version} runs again on {', '.join(touched) or 'every host'}; no other host was changed"
    )


def _taken_back(
    upgrade: Upgrade, tools: Tools, lane: Environment, chosen: Mapping[str, str], *, number: int
) -> tuple[str, ...]:
    if not chosen:
        return ()
    names = tuple(chosen)
    mark(
        upgrade,
        tools,
        MarkKind.BACKING_OUT,
        lane.name,
        key=f"backing-out-{lane.name}-b{number}",
        hosts=list(names),
        label=", ".join(dict.fromkeys(chosen.values())),
    )
    step = back_out_step(lane_marks(upgrade, tools, lane.name), f"back_out_b{number}")
    if faults := put_back(upgrade, tools, lane, chosen, step=step):
        return tuple(faults)
    wanted = AcceptanceWanted("back_out_acceptance", lane.name, upgrade.plan.from_version, names)
    gate = accept(upgrade, tools, wanted)
    if not gate.passed:
        return ("the old release is not accepted", *gate.reasons())
    for name in names:
        set_standing(
            upgrade, tools, lane.name, name, Standing.BACKED_OUT, "the old release is accepted", key=f"-b{number}"
        )
    return ()
