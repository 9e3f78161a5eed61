"""From leg to leg: restore point, change and gate of each, and no next leg unless the gate before it said yes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from changeover.domain.legs import Hop, hops_from, hops_of, plain
from changeover.domain.record import MarkKind
from changeover.ports import fresh
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.lane_facts import lane_marks, since_back_out
from changeover.usecases.restore_points import record_points
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade, back_outs, hosts_of, mark, no, yes

if TYPE_CHECKING:
    from changeover.domain.execution import ExecutionResult
    from changeover.domain.plan import Environment


def pin_path(upgrade: Upgrade, tools: Tools) -> None:
    """Write down the legs that were analysed; written once, they are what the run takes."""
    told = [hop.as_json() for hop in hops_of(upgrade.path)]
    mark(upgrade, tools, MarkKind.PATH_PLANNED, key="path", legs=told)


def hops(upgrade: Upgrade, tools: Tools) -> tuple[Hop, ...]:
    """The legs of this run, as they were analysed; as the records stand where nothing was analysed yet."""
    pinned = fresh(MarkKind.PATH_PLANNED, tools.ledger.marks(upgrade.run.key, kind=MarkKind.PATH_PLANNED))
    return hops_from(pinned.data["legs"]) if pinned else hops_of(upgrade.path)


@dataclass(frozen=True)
class Clock:
    """What the night says to the change of a lane; a rehearsal has none."""

    limit: Callable[[], timedelta | None] = lambda: None
    """How long the change may run from now on, beside the plan's own limit."""
    watch: Callable[[], None] | None = None
    ended: Callable[[ExecutionResult], str] = lambda done: ""
    """Why the change was ended before its time; "" when it was not."""


@dataclass(frozen=True)
class Walk:
    """One environment's way through the legs. `label`: of the first leg's restore point, which has been proven.

    `may_begin` is asked before each leg after the first; a leg that has begun is not asked again.
    """

    upgrade: Upgrade
    tools: Tools
    environment: Environment
    label: str
    may_begin: Callable[[Hop], Answer] = lambda hop: yes("any time")
    clock: Clock = Clock()

    @property
    def name(self) -> str:
        return self.environment.name

    @property
    def tries(self) -> int:
        return back_outs(self.upgrade, self.tools, self.name)


def go_through(walk: Walk) -> Answer:
    """Every leg of the change; called again, it goes on where it was: what a host has behind it is not repeated."""
    legs = hops(walk.upgrade, walk.tools)
    for hop in legs:
        if _behind(walk, hop):
            continue
        for part in (_enter, _implement, _gate):
            answer = part(walk, hop)
            if answer.reply is not Reply.YES:
                return answer if len(legs) == 1 or answer.reply is Reply.WAIT else no(f"{hop.told}: {answer.text}")
    count = len(hosts_of(walk.upgrade, walk.tools, walk.name))
    by = f" by {len(legs)} legs" if len(legs) > 1 else ""
    return yes(f"{walk.upgrade.plan.to_version} installed on {count} hosts{by}")


def _behind(walk: Walk, hop: Hop) -> bool:
    marks = since_back_out(lane_marks(walk.upgrade, walk.tools, walk.name))
    return any(mark.kind is MarkKind.LEG_ACCEPTED and mark.data.get("leg") == hop.number for mark in marks)


def _enter(walk: Walk, hop: Hop) -> Answer:
    """The restore point of a leg after the first; that of the first was taken before the change."""
    if hop.first:
        return yes("the restore point of the first leg is proven")
    if not _begun(walk, hop):
        may = walk.may_begin(hop)
        if may.reply is not Reply.YES:
            return may
    taken = _run(walk, hop, "restore_point", "restore_point.yml", hop.from_version)
    if not taken.successful:
        return no("the restore point is not proven", *taken.reasons)
    if faults := record_points(walk.upgrade, walk.tools, walk.name, _label(walk, hop), taken):
        return no("the restore point is not proven", *faults)
    mark(
        walk.upgrade,
        walk.tools,
        MarkKind.LEG_RESTORE_POINT,
        walk.name,
        key=f"leg-point-{walk.name}-{hop.number}-{walk.tries}",
        label=_label(walk, hop),
        leg=hop.number,
        version=hop.from_version,
    )
    return yes(f"restore point {_label(walk, hop)} proven")


def _implement(walk: Walk, hop: Hop) -> Answer:
    """Write ahead, then the leg's change itself, within what is left of the environment's one limit."""
    left = walk.environment.implement_within - _spent(walk, hop)
    if left <= timedelta(0):
        return no(f"the legs before it took all of the {walk.environment.implement_within} that the plan allows")
    for host in hosts_of(walk.upgrade, walk.tools, walk.name):
        mark(
            walk.upgrade,
            walk.tools,
            MarkKind.IMPLEMENTING,
            walk.name,
            host=host.name,
            key=hop.step(f"implementing-{walk.name}-{host.name}-{walk.tries}"),
            leg=hop.number,
            to=hop.to_version,
        )
    night = walk.clock.limit()
    limit = left if night is None else min(left, night)
    if not hop.last:
        walk.tools.expectations.warm()  # the leg's gate follows in this process
    done = _run(walk, hop, "implement", "implement.yml", hop.to_version, limit=limit)
    if done.successful:
        return yes(f"{hop.to_version} installed")
    ended = walk.clock.ended(done)
    return no("the upgrade failed", *done.reasons, *((ended,) if ended else ()))


def _gate(walk: Walk, hop: Hop) -> Answer:
    """Of a leg that is not the last; that one's is the environment's acceptance."""
    if hop.last:
        return yes("accepted with the whole upgrade")
    wanted = AcceptanceWanted(hop.gate, walk.name, hop.to_version, retests=hop.retests())
    gate = accept(walk.upgrade, walk.tools, wanted)
    if not gate.passed:
        return no(*gate.reasons())
    mark(
        walk.upgrade,
        walk.tools,
        MarkKind.LEG_ACCEPTED,
        walk.name,
        key=f"leg-accepted-{walk.name}-{hop.number}-{walk.tries}",
        leg=hop.number,
        version=hop.to_version,
    )
    walk.tools.tell(f"{walk.name}: {hop.told} accepted by {gate.checks_run} checks")
    return yes(f"{hop.to_version} accepted")


def _label(walk: Walk, hop: Hop) -> str:
    """Of its own in every try: one that exists is never overwritten, and after a back-out it would be another's."""
    again = f"-{walk.tries + 1}" if walk.tries else ""
    return walk.label if hop.first else f"{hop.label(walk.label)}{again}"


def _run(
    walk: Walk, hop: Hop, step: str, playbook: str, target: str, *, limit: timedelta | None = None
) -> ExecutionResult:
    work = HostWork(
        hop.step(step),
        playbook,
        walk.name,
        target,
        changes=True,
        restore_point=_label(walk, hop),
        hop=hop,
        limit=limit,
        watch=walk.clock.watch,
    )
    return run_on_hosts(walk.upgrade, walk.tools, work)


def _steps(walk: Walk) -> Sequence[tuple[str, timedelta]]:
    """Steps of this try and what they took."""
    steps = walk.tools.ledger.steps(walk.upgrade.run.key, environment=walk.name)
    return [(step.step, step.duration or timedelta(0)) for step in steps if step.generation == walk.tries + 1]


def _begun(walk: Walk, hop: Hop) -> bool:
    return any(step == hop.step("restore_point") for step, _ in _steps(walk))


def _spent(walk: Walk, hop: Hop) -> timedelta:
    """On the changes of the legs before this one."""
    mine = hop.step("implement")
    took = [length for step, length in _steps(walk) if plain(step) == "implement" and step != mine]
    return sum(took, timedelta(0)) if not hop.first else timedelta(0)
