"""Batches: which hosts of an environment are changed together, in what order, and when the rollout may go on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from changeover.domain.estate import Document, Name
from changeover.domain.execution import HostState
from changeover.domain.record import Mark, MarkKind
from changeover.domain.version import VersionError, same
from changeover.domain.window import Duration

_PERCENT = re.compile(r"^(\d{1,3})%$")


def _share(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a number of hosts, such as 2, or a share of them, such as 25%")
    return value


def _share_in_range(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 0:
            raise ValueError("a number of hosts is not negative")
    elif not (found := _PERCENT.match(value)) or int(found.group(1)) > 100:
        raise ValueError(f"{value!r}: a share is a whole number of percent from 0% to 100%")
    return value


def _some(value: int | str) -> int | str:
    if value in (0, "0%"):
        raise ValueError("a batch has at least one host")
    return value


Share = Annotated[int | str, BeforeValidator(_share), AfterValidator(_share_in_range)]
"""A number of hosts, or a percentage of the environment's hosts (`25%`)."""
Size = Annotated[Share, AfterValidator(_some)]


class Batches(Document):
    """The hosts of an environment one after another: the canary first, each batch only after proof of the one before.

    Hosts that are not in the batch go on serving; each is closed, changed, accepted and opened again with its batch.
    """

    canary: tuple[Name, ...] = ()
    """Hosts of the first batch, by name; left out, the first host of the environment alone."""
    sizes: tuple[Size, ...] = Field(min_length=1)
    """Sizes of the batches after the canary, as numbers or percentages of all hosts; the last one is repeated."""
    soak: Duration = timedelta(0)
    """How long a proven batch serves before the next one begins; it is looked at again at the end."""
    failure_budget: Share = 0
    """How many hosts may fail over all batches before the rollout stops. An unreachable host always stops it."""
    keep_serving: Share = 1
    """How many hosts have to serve while a batch is away."""


class Standing(StrEnum):
    """Where one host stands in a rollout."""

    DONE = "done"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    NOT_ATTEMPTED = "not_attempted"
    BACK_OUT_PENDING = "back_out_pending"
    """It runs the new release and serves; taking it back waits for people."""
    BACKED_OUT = "backed_out"


@dataclass(frozen=True)
class Batch:
    """`number` goes on over tries: a batch that was begun is attached to under its number, never begun again."""

    number: int
    hosts: tuple[str, ...]
    label: str = ""
    """Of the restore points that its hosts take."""


@dataclass(frozen=True)
class Seen:
    """What was read of one host between batches; `why` when it does not serve."""

    host: str
    reached: bool
    version: str | None = None
    why: str = ""

    @property
    def serves(self) -> bool:
        return self.reached and not self.why


def count_of(share: int | str, total: int, *, up: bool = False) -> int:
    """Hosts that a share of `total` stands for; percentages are rounded down, for a floor under something up."""
    if isinstance(share, int):
        return share
    exact = int(share.rstrip("%")) * total / 100
    return math.ceil(exact) if up else math.floor(exact)


def plan_batches(batches: Batches, hosts: Sequence[str], *, done: Iterable[str] = ()) -> tuple[tuple[str, ...], ...]:
    """The frozen hosts in their order, canary first; hosts that are done are left out. A size is never exceeded."""
    canary = batches.canary or tuple(hosts[:1])
    finished = set(done)
    left = [host for host in hosts if host not in canary]
    planned = [tuple(host for host in hosts if host in canary)]
    turn = 0
    while left:
        size = max(1, count_of(batches.sizes[min(turn, len(batches.sizes) - 1)], len(hosts)))
        planned.append(tuple(left[:size]))
        left = left[size:]
        turn += 1
    remaining = (tuple(host for host in batch if host not in finished) for batch in planned)
    return tuple(batch for batch in remaining if batch)


def canary_faults(batches: Batches, hosts: Iterable[str]) -> tuple[str, ...]:
    known = tuple(hosts)
    return tuple(
        f"batches.canary: {name} is not among the hosts {', '.join(known)}"
        for name in batches.canary
        if name not in known
    )


@dataclass(frozen=True)
class Expected:
    """Versions hosts have to be found at: `new` those that are done, `old` all others."""

    old: str
    new: str
    scheme: str
    standings: Mapping[str, Standing]

    def of(self, host: str) -> str:
        done = self.standings.get(host) in (Standing.DONE, Standing.BACK_OUT_PENDING)
        return self.new if done else self.old


def may_leave(batch: Sequence[str], batches: Batches, seen: Sequence[Seen], expected: Expected) -> tuple[str, ...]:
    """Why these hosts may not be taken out of service now; nothing when they may.

    Every host of the environment has to be seen where it should be, reachable ones or not in this batch alike.
    """
    if away := tuple(fault for one in seen if not one.reached for fault in still_well(one, expected)):
        return away
    odd = tuple(fault for one in seen for fault in still_well(one, expected))
    staying = [one.host for one in seen if one.serves and one.host not in batch]
    wanted = count_of(batches.keep_serving, len(seen), up=True)
    short = (
        [f"{', '.join(batch)} may not leave: {len(staying)} of {len(seen)} hosts would serve, {wanted} have to"]
        if len(staying) < wanted
        else []
    )
    return (*odd, *short)


def still_well(one: Seen, expected: Expected) -> tuple[str, ...]:
    """What is not as it should be on a host: its version, or, where the new release was proven, its services."""
    if not one.reached:
        return (f"{one.host} is unreachable: {one.why or 'it does not answer'}",)
    wanted = expected.of(one.host)
    right = _same(one.version, wanted, expected.scheme)
    wrong = () if right else (f"{one.version or 'no version'} found, {wanted} expected",)
    done = expected.standings.get(one.host) is Standing.DONE
    unwell = (f"it was proven and serves no more: {one.why}",) if one.why and done else ()
    return tuple(f"{one.host}: {fault}" for fault in (*wrong, *unwell))


def must_stop(batches: Batches, standings: Mapping[str, Standing]) -> tuple[str, ...]:
    """Why no further batch may begin after what has come out so far."""
    away = [host for host, standing in standings.items() if standing is Standing.UNREACHABLE]
    failed = [host for host, standing in standings.items() if standing in (Standing.FAILED, Standing.BACKED_OUT)]
    budget = count_of(batches.failure_budget, len(standings))
    return (
        *(f"{host} is unreachable: nothing goes on beside it" for host in away),
        *((f"{len(failed)} hosts failed ({', '.join(failed)}), {budget} may",) if len(failed) > budget else ()),
    )


def standing_after(state: HostState, *, accepted: bool) -> Standing:
    """Of a host whose batch has ended: done only on positive proof."""
    if state is HostState.UNREACHABLE:
        return Standing.UNREACHABLE
    return Standing.DONE if state is HostState.OK and accepted else Standing.FAILED


def standings(hosts: Iterable[str], marks: Iterable[Mark]) -> dict[str, Standing]:
    """Where every frozen host stands, as the ledger's marks tell; the newest of each counts."""
    found = dict.fromkeys(hosts, Standing.NOT_ATTEMPTED)
    for mark in marks:
        if mark.kind is MarkKind.HOST_STANDING and mark.host in found:
            found[mark.host] = Standing(mark.data["standing"])
    return found


def begun(marks: Sequence[Mark]) -> tuple[Batch, ...]:
    """Every batch that was ever begun, in order."""
    return tuple(
        Batch(int(mark.data["number"]), tuple(mark.data["hosts"]), str(mark.data.get("label", "")))
        for mark in marks
        if mark.kind is MarkKind.BATCH_BEGUN
    )


def unfinished(marks: Sequence[Mark]) -> Batch | None:
    """The batch that was begun and has not ended: it is gone on with."""
    ended = {int(mark.data["number"]) for mark in marks if mark.kind is MarkKind.BATCH_ENDED}
    return next((batch for batch in begun(marks) if batch.number not in ended), None)


def labels(marks: Iterable[Mark]) -> dict[str, str]:
    """Host → label of the newest restore point that was proven for it alone."""
    return {
        mark.host: str(mark.data["label"]) for mark in marks if mark.kind is MarkKind.RESTORE_POINT_PROVEN and mark.host
    }


def changed(marks: Iterable[Mark]) -> frozenset[str]:
    """Hosts whose change began and that were not put back since: these, and no others, a back-out concerns."""
    found: set[str] = set()
    for mark in marks:
        if mark.kind is MarkKind.IMPLEMENTING:
            found.add(mark.host)
        elif mark.kind is MarkKind.HOST_STANDING and mark.data.get("standing") == Standing.BACKED_OUT:
            found.discard(mark.host)
    return frozenset(found)


def serving(marks: Iterable[Mark]) -> frozenset[str]:
    """Hosts that were opened to users with the new release and not taken back since; written before they open."""
    found: set[str] = set()
    for mark in marks:
        if mark.kind is MarkKind.TRAFFIC_OPENED and mark.host:
            found.add(mark.host)
        elif mark.kind is MarkKind.HOST_STANDING and mark.data.get("standing") == Standing.BACKED_OUT:
            found.discard(mark.host)
    return frozenset(found)


_PART = re.compile(r"(?P<batch>_b\d+)?(?:_try\d+)?(?:_point\d+)?$")


def base_step(step: str) -> str:
    """The stage that a step of a batch, or one done again, belongs to: `implement_b2` is part of `implement`."""
    return _PART.sub("", step)


def done_again(step: str, orders: int) -> str:
    """The name of a step that people ordered to be done again so often; an execution is known by its step's name."""
    return f"{step}_try{orders + 1}" if orders else step


def of_older_batch(step: str, marks: Sequence[Mark]) -> bool:
    """Whether a step belongs to a batch before the newest one."""
    found, newest = _PART.search(step), begun(marks)
    batch = found["batch"] if found else None
    return bool(batch and newest and batch != f"_b{newest[-1].number}")


def _same(found: str | None, wanted: str, scheme: str) -> bool:
    try:
        return found is not None and same(found, wanted, scheme)
    except VersionError:
        return False
