"""The command `notices`: who was told what, when, over which channel; and who was not, and why."""

from __future__ import annotations

import json

import typer

from changeover import wiring
from changeover.domain.notice import Delivery, DeliveryState, not_reached


def show(wanted: str | None, *, as_json: bool) -> int:
    """`wanted`: the beginning of a run's key or of a plan's DAG id. 1 when somebody was not told."""
    settings = wiring.load_settings()
    if not wiring.is_made(settings.ledger_url):
        typer.echo("nothing was told to anybody yet", err=True)
        return 0
    found = [
        delivery
        for delivery in wiring.notice_book(settings).deliveries()
        if not wanted or delivery.run.startswith(wanted) or delivery.plan.startswith(wanted)
    ]
    if as_json:
        typer.echo(json.dumps({"schema_version": 1, "deliveries": [_json(each) for each in found]}, indent=2))
    else:
        for each in found:
            typer.secho(f"{each.at:%Y-%m-%d %H:%MZ}  {each.kind:<18} ", nl=False)
            typer.secho(each.told(), fg=None if each.state is DeliveryState.SENT else "yellow", nl=False)
            typer.echo(f"  {each.subject}  {each.digest[:12]}")
    left = not_reached(found)
    if not as_json:
        typer.echo(f"{len({each.key for each in found}) - len(left)} sent, {len(left)} not sent")
    return 1 if left else 0


def _json(delivery: Delivery) -> dict[str, object]:
    return {
        "notice": delivery.notice,
        "kind": delivery.kind,
        "plan": delivery.plan,
        "run": delivery.run,
        "environment": delivery.environment,
        "to": delivery.to,
        "channel": delivery.channel,
        "state": str(delivery.state),
        "at": f"{delivery.at:%Y-%m-%dT%H:%M:%SZ}",
        "attempt": delivery.attempt,
        "subject": delivery.subject,
        "digest": delivery.digest,
        "why": delivery.why,
    }
