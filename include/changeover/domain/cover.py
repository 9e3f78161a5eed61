"""Whether the client's support contract covers an upgrade: its application, its environments, and its days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from changeover.domain.plan import Environment, Plan, SupportContract
from changeover.domain.window_start import Agreed, meant_night


def contract_lapses(plan: Plan, lanes: Iterable[Environment], *, today: date, since: datetime) -> tuple[str, ...]:
    """Why the contract does not cover the upgrade; none when it does.

    It has to hold today and on each lane's night, by the local date of its opening. `since`: when the run is meant for;
    a lane's night is the one that its window gives for that, whatever freezes make of it.
    """
    contract, names = plan.support_contract, [each.name for each in plan.lanes]
    found = [text for _, text in contract_scope_faults(contract, plan.application, names)]
    if not contract.holds_on(today):
        found.append(f"{contract.told} is not in force today, {today}")
    for lane in lanes:
        night = _first_night(plan, lane, since)
        if night is not None and not contract.holds_on(night):
            found.append(f"{contract.told} is not in force on {night}, the night of {lane.name}")
    return tuple(found)


def contract_scope_faults(
    contract: SupportContract, application: str, environments: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """What the contract leaves out: key of the contract, and what is missing in it. `application` "" is not known."""
    if application and application not in contract.applications:
        covered = ", ".join(contract.applications)
        yield "applications", f"{contract.id} does not cover {application}; it covers {covered}"
    outside = [name for name in environments if name not in contract.environments]
    if outside:
        covered = ", ".join(contract.environments)
        yield "environments", f"{contract.id} does not cover {', '.join(outside)}; it covers {covered}"


def _first_night(plan: Plan, lane: Environment, since: datetime) -> date | None:
    """Of the nights that the order covers; None where no window closes, or none is left (which is told elsewhere)."""
    order = plan.statement_of_work
    night = meant_night(Agreed(lane.window, covered=(order.valid_from, order.valid_until)), since)
    return night.day if night else None
