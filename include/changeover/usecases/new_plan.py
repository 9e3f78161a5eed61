"""A new plan from an intake: what CMDB and release records know is looked up, and nothing is guessed."""

from __future__ import annotations

from changeover.domain.intake import KINDS, Intake, Known
from changeover.domain.path import Product
from changeover.ports import Cmdb


def look_up(intake: Intake, cmdb: Cmdb | str, product: Product | None) -> Known:
    """`cmdb` is the reason as text where there is none to ask."""
    releases = {}
    if product is not None:
        releases = {record.version: f"{record.product}/{record.release}" for record in product.records}
    if isinstance(cmdb, str) or not intake.client:
        return Known(releases=releases, no_cmdb=cmdb if isinstance(cmdb, str) else "the client is not known")
    found = {}
    version = None
    if intake.application:
        for name in intake.environments or KINDS:
            recorded = cmdb.environment(intake.client, intake.application, name)
            if recorded is not None:
                found[name] = recorded.kind
                version = recorded.version if recorded.kind == "production" else version
    return Known(cmdb.people(intake.client), found, version, releases)
