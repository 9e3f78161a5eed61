"""A person closed a run: its locks are given back, and what it closed is opened where the old release stands whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from changeover.domain.estate import Host
from changeover.domain.host_lock import Forced, HostHold, takeover
from changeover.domain.record import MarkKind
from changeover.domain.settlement import Settlement, Truth
from changeover.domain.taken import outstanding
from changeover.errors import ChangeoverError
from changeover.usecases.host_status import standing_of
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade, hosts_of

Came = tuple[tuple[str, ...], tuple[str, ...]]
"""What was done, and what was not and why."""


def give_back(upgrade: Upgrade, tools: Tools, one: Settlement, held: Iterable[HostHold], by: Forced) -> Came:
    """Of the hosts of one environment whose lock is the run's: the rules of takeover decide, with this person forcing.

    Traffic is opened nowhere else than at the old release: what is new was not accepted, what is between is neither.
    """
    names = {host.host: host.truth for host in one.hosts}
    standing = standing_of(upgrade.run.key, one.environment, tools.ledger, tools.executor)
    answers = {hold.host: takeover(hold, standing, forced=by) for hold in held if hold.host in names}
    kept = tuple(f"{host}: lock kept: {'; '.join(a.reasons)}" for host, a in answers.items() if not a.allowed)
    free = [h for h in hosts_of(upgrade, tools, one.environment) if h.name in answers and answers[h.name].allowed]
    whole = [host for host in free if names[host.name] in (Truth.OLD, Truth.UNTOUCHED)]
    opened, not_opened = _open(upgrade, tools, one.environment, whole)
    freed, not_freed = _free(upgrade, tools, one.environment, [host for host in free if host not in whole])
    return (*opened, *freed), (*kept, *not_opened, *not_freed)


def _open(upgrade: Upgrade, tools: Tools, environment: str, hosts: Sequence[Host]) -> Came:
    taken = outstanding(tools.ledger.marks(upgrade.run.key, environment=environment))
    faults = _played(upgrade, tools, environment, "stand_down", hosts)
    if faults:
        return (), tuple(f"{environment}: not given back: {fault}" for fault in faults)
    return tuple(f"{h.name}: lock given back{', traffic opened' if h.name in taken else ''}" for h in hosts), ()


def _free(upgrade: Upgrade, tools: Tools, environment: str, hosts: Sequence[Host]) -> Came:
    taken = outstanding(tools.ledger.marks(upgrade.run.key, environment=environment))
    faults = _played(upgrade, tools, environment, "release", hosts)
    if faults:
        return (), tuple(f"{environment}: locks not given back: {fault}" for fault in faults)
    shut = tuple(
        f"{host.name}: {', '.join(taken[host.name]) or 'traffic'} stays closed, since the old release does not stand "
        "there: a new run of the plan takes it over and opens it at its end, or start it by hand"
        for host in hosts
        if host.name in taken
    )
    return tuple(f"{host.name}: lock given back" for host in hosts), shut


def _played(upgrade: Upgrade, tools: Tools, environment: str, stage: str, hosts: Sequence[Host]) -> tuple[str, ...]:
    """What went wrong; the run is closed all the same, and the locks are told of until they are gone."""
    if not hosts:
        return ()
    number = len(tools.ledger.marks(upgrade.run.key, environment=environment, kind=MarkKind.SETTLED))
    work = HostWork(
        f"{stage}_closed_{number}",
        f"{stage}.yml",
        environment,
        upgrade.plan.from_version,
        changes=True,
        hosts=tuple(hosts),
        closing=True,
    )
    try:
        done = run_on_hosts(upgrade, tools, work)
    except ChangeoverError as exc:
        return (str(exc),)
    return () if done.successful else done.reasons
