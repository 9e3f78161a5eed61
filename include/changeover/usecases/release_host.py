"""Take a host's lock from a run that is dead: by the rules of takeover, for a named person, and on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from changeover.domain.estate import Host
from changeover.domain.host_lock import Forced, takeover
from changeover.domain.record import Mark, MarkKind
from changeover.ports import Executor, Holds, Ledger, LockKeeper, Vault
from changeover.usecases.host_status import Place, read_holds, standing_of


@dataclass(frozen=True)
class Outside:
    """What is asked, and what is told of it."""

    ledger: Ledger
    holds: Holds
    keeper: LockKeeper
    vault: Vault
    executor: Executor


@dataclass(frozen=True)
class Released:
    """`refused` is empty when the host is free; `against`: what spoke against it, and was taken on by the person."""

    refused: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    run: str = ""


def places_with(places: Sequence[Place], host: str) -> tuple[tuple[Place, Host], ...]:
    return tuple((place, one) for place in places for one in place.hosts if one.name == host)


def release_host(host: Host, outside: Outside, forced: Forced, *, at: datetime) -> Released:
    """The host is asked now; what its lock says is compared again on the host before it goes."""
    ledger = outside.ledger
    hold = read_holds((host,), outside.holds, outside.vault)[host.name]
    lock = hold.lock
    if hold.reached and lock is None:
        return Released((f"{host.name} is not locked",))
    standing = standing_of(lock.run, lock.environment, ledger, outside.executor) if lock and lock.run else None
    answer = takeover(hold, standing, forced=forced)
    if not answer.allowed or lock is None:
        return Released(answer.reasons)
    if standing is not None and standing.known:
        data = {"by": forced.by, "reason": forced.reason, "against": list(answer.reasons)}
        ledger.mark(Mark(lock.run, MarkKind.LOCK_TAKEN_OVER, at, lock.environment, host.name, data))
    credentials = outside.vault.credentials([host.connection])
    if broke := outside.keeper.free(host, credentials, lock, by=forced.by, reason=forced.reason):
        return Released((f"{host.name}: {broke}",), answer.reasons, lock.run)
    return Released((), answer.reasons, lock.run)
