"""What the release records say against an upgrade, and what of it was waived for this client."""

from __future__ import annotations

from changeover.domain.release_checks import as_told, of_release
from changeover.domain.waiver import AfterWaivers, apply_waivers
from changeover.usecases.today import today
from changeover.usecases.tools import Tools, Upgrade

GATE = "release_analysis"


def judge_release(upgrade: Upgrade, tools: Tools) -> AfterWaivers:
    """Waivers of other checks are left to the client analysis: here they match nothing, and would be told so."""
    plan, catalogue = upgrade.plan, tools.catalogue
    told = as_told(upgrade.release_findings(), catalogue, off=plan.checks_off)
    every = tools.content.waivers(plan.client) if tools.content else ()
    mine = [waiver for waiver in every if of_release(waiver.key, catalogue)]
    return apply_waivers(told, mine, catalogue, plan, today=today(upgrade, tools))
