"""What the vendor wants to be true before the release that is installed is left, asked before the restore point."""

from __future__ import annotations

from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.legs import hops
from changeover.usecases.tools import Answer, Tools, Upgrade, back_outs, no, yes

GATE = "before_leaving"


def may_leave(upgrade: Upgrade, tools: Tools, environment: str) -> Answer:
    """Only the tests that prove it are run: the application serves its users, and there is no way back yet.

    Not asked again once the restore point or the change was begun: traffic is closed then, and the question answered.
    """
    hop = hops(upgrade, tools)[0]
    wanted = hop.beforehand()
    if not wanted or _begun(upgrade, tools, environment):
        return yes("the vendor asks for nothing before the release is left")
    if unproven := [subject for retest in wanted if not retest.tests for subject in retest.subjects]:
        return no(f"nothing proves what has to be true before {hop.from_version} is left", *unproven)
    only = tuple(dict.fromkeys(test for retest in wanted for test in retest.tests))
    gate = accept(upgrade, tools, AcceptanceWanted(GATE, environment, hop.from_version, retests=wanted, only=only))
    if not gate.passed:
        return no(f"{hop.from_version} may not be left yet", *gate.reasons())
    return yes(f"{hop.from_version} may be left: {gate.checks_run} checks")


def _begun(upgrade: Upgrade, tools: Tools, environment: str) -> bool:
    generation = back_outs(upgrade, tools, environment) + 1
    steps = tools.ledger.steps(upgrade.run.key, environment=environment)
    return any(step.step in ("restore_point", "implement") and step.generation == generation for step in steps)
