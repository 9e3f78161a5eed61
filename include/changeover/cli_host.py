"""The command `host status`: who holds which host, since when, how far they got, and what a person may do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_session import witnessed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from changeover.domain.plan import Plan
    from changeover.settings import Settings
    from changeover.usecases.host_status import HostStatus, Place

LISTED = 3
"""Restore points that are told of an environment; all of them with --json."""


def status(wanted: Sequence[str], environments: tuple[str, ...], *, as_json: bool) -> int:
    """0 when every host was asked and none needs a person; 1 otherwise, 2 for a plan or client that is not known."""
    from changeover.usecases.host_status import places_of

    settings = wiring.load_settings()
    plans = _plans(wanted, settings)
    if isinstance(plans, str):
        typer.echo(plans, err=True)
        return 2
    unknown = set(environments) - {environment.name for plan in plans for environment in plan.environments}
    if unknown:
        typer.echo(f"no plan of these has an environment {', '.join(sorted(unknown))}", err=True)
        return 2
    for url, what in ((settings.cmdb_url, "CMDB"), (settings.ledger_url, "ledger")):
        if not wiring.is_made(url):
            typer.echo(f"there is no {what} yet, so no run has touched a host", err=True)
            return 1
    kept = {plan.dag_id: plan.restore_points_kept for plan in plans}
    found = _ask(places_of(wiring.cmdb(settings), plans, environments), settings, kept)
    if as_json:
        typer.echo(json.dumps({"schema_version": 1, "hosts": [one.as_json() for one in found]}, indent=2))
    else:
        _print(found)
    return 0 if found and all(one.in_order for one in found) else 1


def release(name: str, client: str, *, by: str, reason: str) -> int:
    """0 the host is free; 1 it may not or could not be freed; 2 the request is faulty."""
    from changeover.cli_credentials import around
    from changeover.domain.host_lock import Forced
    from changeover.usecases.host_status import places_of
    from changeover.usecases.release_host import Outside, places_with, release_host

    settings = wiring.load_settings()
    readings = wiring.shelf(settings).plans([settings.plans])
    plans = [one.document for one in readings if one.document and client in ("", one.document.client)]
    if not wiring.is_made(settings.cmdb_url) or not wiring.is_made(settings.ledger_url):
        typer.echo("there is no CMDB or no ledger yet, so no run has touched a host", err=True)
        return 1
    found = places_with(places_of(wiring.cmdb(settings), plans), name)
    clients = sorted({place.client for place, _ in found})
    people = sorted({person.id for plan in plans if plan.client in clients for person in plan.participants})
    faults = (
        *((f"no plan{f' of {client}' if client else ''} has a host {name}",) if not found else ()),
        *((f"--client: {name} is a host of {', '.join(clients)}",) if len(clients) > 1 else ()),
        *((f"--by: {by or 'nobody'} is not in the client's plans ({', '.join(people)})",) if by not in people else ()),
        *(() if reason.strip() else ("--reason: say why; it is kept on the host and with the run",)),
    )
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        return 2
    place, host = found[0]
    settings, vault = around(place.client, place.application, settings)
    outside = Outside(
        wiring.ledger(settings), wiring.holds(), wiring.lock_keeper(settings), vault, wiring.executor(settings)
    )
    done = release_host(host, outside, Forced(by, witnessed(reason)), at=wiring.now())
    for text in done.refused:
        typer.echo(f"not done: {text}", err=True)
    if done.refused:
        return 1
    typer.echo(f"{name} is free; its lock was taken from {f'run {done.run}' if done.run else 'nobody knows whom'}")
    for text in done.against:
        typer.echo(f"  {text}")
    return 0


def _plans(wanted: Sequence[str], settings: Settings) -> tuple[Plan, ...] | str:
    """The plans of these files and clients, or what is wrong with the request."""
    shelf = wiring.shelf(settings)
    plans: list[Plan] = []
    for name in wanted:
        if Path(name).is_file():
            readings = shelf.plans([Path(name)])
            if bad := next((reading for reading in readings if reading.document is None), None):
                return f"{bad.file} cannot be read: check it with `changeover plan check {name}`"
            plans += [reading.document for reading in readings if reading.document]
            continue
        of_client = [
            reading.document
            for reading in shelf.plans([settings.plans])
            if reading.document and reading.document.client == name
        ]
        if not of_client:
            return f"{name!r} is neither a plan file nor a client with a plan under {settings.plans}"
        plans += of_client
    return tuple(plans)


def _ask(places: Sequence[Place], settings: Settings, kept: Mapping[str, timedelta]) -> tuple[HostStatus, ...]:
    """Client by client: each has its own credentials."""
    from changeover.cli_credentials import around
    from changeover.usecases.host_status import host_status

    found: list[HostStatus] = []
    for client, application in dict.fromkeys((place.client, place.application) for place in places):
        _, vault = around(client, application, settings)
        mine = [place for place in places if (place.client, place.application) == (client, application)]
        found += host_status(
            mine,
            ledger=wiring.ledger(settings),
            holds=wiring.holds(),
            vault=vault,
            executor=wiring.executor(settings),
            now=wiring.now(),
            kept=kept,
        )
    return tuple(found)


def _print(found: Sequence[HostStatus]) -> None:
    now = wiring.now()
    for one in found:
        typer.echo(f"{one.hold.host} ({one.client} {one.environment}): {_who(one, now)}")
        for line in _lines(one, now):
            typer.echo(f"  {line}")


def _who(one: HostStatus, now: datetime) -> str:
    lock = one.hold.lock
    if not one.hold.reached:
        return "unknown, it could not be asked"
    if lock is None:
        return "free"
    if lock.unreadable:
        return "held, by nobody knows whom"
    since = f" since {lock.taken_at:%Y-%m-%d %H:%M:%SZ} ({_age(lock.taken_at, now)})" if lock.taken_at else ""
    return f"held by run {lock.run}{since}"


def _lines(one: HostStatus, now: datetime) -> list[str]:
    hold, standing = one.hold, one.standing
    lines = [] if hold.reached else [hold.error]
    if hold.lock and hold.lock.unreadable:
        lines.append(f"its lock cannot be read: {hold.lock.unreadable}")
    elif hold.lock:
        lines.append(f"taken in step {hold.lock.step} of {hold.lock.environment}")
    if hold.marker:
        at = f" at {hold.marker.at:%Y-%m-%d %H:%M:%SZ} ({_age(hold.marker.at, now)})" if hold.marker.at else ""
        whose = "" if hold.lock and hold.lock.run == hold.marker.run else f" of run {hold.marker.run}"
        lines.append(f"last sign: {hold.marker.phase.replace('_', ' ')} in step {hold.marker.step}{at}{whose}")
    if standing and standing.known:
        ended = f"ended {standing.outcome.replace('_', ' ')}" if standing.outcome else "has not ended"
        closed = f", closed by {standing.closed_by}" if standing.closed_by else ""
        lines.append(f"the run ({standing.title}) {ended}{closed}; its controller process: {standing.controller}")
    if one.overdue:
        lines.append("held for longer than any night: overdue")
    if hold.lock:
        lines += [
            f"may it be taken over? {'yes' if one.takeover.allowed else 'no'}: {why}" for why in one.takeover.reasons
        ]
    lines += [f"restore point {point.told()}" for point in one.ways_back[:LISTED]]
    if len(one.ways_back) > LISTED:
        lines.append(f"and {len(one.ways_back) - LISTED} older restore points")
    return [*lines, f"you may do: {one.advice}"]


def _age(since: datetime, now: datetime) -> str:
    minutes = int((now - since).total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
