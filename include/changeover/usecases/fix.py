"""Mode `fix`: the declared remedies of named findings, approved, carried out on the hosts they name, and held to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from changeover.domain.finding import Severity
from changeover.domain.fix import Around, Cure, Cured, choose, held_against, new_inhibitors
from changeover.domain.freeze import freezes_of, frozen
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind
from changeover.ports import fresh
from changeover.usecases.ask import tally_of
from changeover.usecases.client_analysis import Examined, examine
from changeover.usecases.fix_choice import chosen
from changeover.usecases.lane_facts import newest_gate
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Answer, Tools, Upgrade, hosts_of, mark, no, yes
from changeover.usecases.window_gate import client_freezes

CHOICE, GATE = "fix_choice", "fix"


def choose_cures(upgrade: Upgrade, tools: Tools) -> Answer:
    """Analyse, find what was asked for, and write down what would be done: that is what people approve."""
    examined = examine(upgrade, tools)
    if not examined.result.successful:
        return no(*examined.result.reasons)
    lanes = {lane.name: tuple(host.name for host in hosts_of(upgrade, tools, lane.name)) for lane in upgrade.lanes}
    role = tools.shelf.role(upgrade.plan.application).document if tools.shelf else None
    around = Around(lanes, role.fixes if role else frozenset())
    choice = choose(upgrade.run.findings, examined.gate.findings, around)
    state = CheckState.FAILED if choice.refused else CheckState.PASSED
    result = CheckResult("remedies-declared", "", state, "; ".join(choice.refused))
    gate = GateResult(CHOICE, "", ((result.key, ""),), (result,), ("plan",), ("plan",))
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if choice.refused:
        return no(*choice.refused)
    mark(upgrade, tools, MarkKind.FIX_CHOSEN, key="fix-chosen", cures=[cure.as_json() for cure in choice.cures])
    return yes(f"to be carried out once approved: {'; '.join(cure.told for cure in choice.cures)}")


def write_sheet(upgrade: Upgrade, tools: Tools) -> Answer:
    """What is approved: each remedy, where, and what it is to cure; refused while a freeze holds there."""
    cures = chosen(upgrade, tools)
    if against := _frozen(upgrade, tools, cures):
        return no(*against)
    lines = "".join(f"- {cure.environment}: {cure.told}\n" for cure in cures)
    text = f"**Remedies before {upgrade.plan.title}** for **{upgrade.plan.client}**\n\n{lines}"
    mark(upgrade, tools, MarkKind.RUN_SHEET, key="run-sheet", text=text)
    return yes(f"{len(cures)} remedies to approve", run_sheet=text)


def carry_out(upgrade: Upgrade, tools: Tools) -> Answer:
    """One after the other, each written down before it begins; then the whole analysis once more."""
    cures = chosen(upgrade, tools)
    if not tally_of(upgrade, tools, gate="plan").reached:
        return no("the remedies are not approved")
    if against := _frozen(upgrade, tools, cures):
        return no(*against)
    before = newest_gate(upgrade, tools, "", "client_analysis")
    for number, cure in enumerate(cures, start=1):
        answer = _carry_out(upgrade, tools, number, cure)
        if answer:
            return no(f"{cure.told}: the remedy failed, a person must look", *answer)
    after = examine(upgrade, tools)
    if not after.result.successful:
        return no("carried out, but whether it cured anything could not be read", *after.result.reasons)
    return _told(upgrade, tools, held_against(cures, after.gate.findings), before, after)


def _carry_out(upgrade: Upgrade, tools: Tools, number: int, cure: Cure) -> tuple[str, ...]:
    """Why it failed; empty when it did not."""
    mark(upgrade, tools, MarkKind.FIXING, cure.environment, key=f"fixing-{number}", cure=cure.as_json())
    done = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            f"fix_{number}",
            "fix.yml",
            cure.environment,
            upgrade.plan.from_version,
            changes=True,
            hosts=tuple(host for host in hosts_of(upgrade, tools, cure.environment) if host.name in cure.hosts),
            variables={"changeover_fix": {"kind": cure.kind, "run": cure.run, "subject": cure.subject}},
        ),
    )
    if not done.successful:
        return done.reasons or (str(done.status),)
    mark(upgrade, tools, MarkKind.FIXED, cure.environment, key=f"fixed-{number}", cure=cure.as_json())
    return ()


def _told(upgrade: Upgrade, tools: Tools, cured: Sequence[Cured], before: GateResult | None, after: Examined) -> Answer:
    results = tuple(
        CheckResult(f"{one.cure.key}={one.cure.subject}", host, _state(one), one.told)
        for one in cured
        for host in one.cure.hosts
    )
    found = new_inhibitors(before.findings if before else (), after.gate.findings)
    new = tuple(replace(finding, severity=Severity.ADVISORY) for finding in found)  # told; the cure is what was asked
    hosts = tuple(dict.fromkeys(result.host for result in results))
    gate = GateResult(GATE, "", tuple((r.key, r.host) for r in results), results, hosts, hosts, new)
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    told = [*(one.told for one in cured), *(f"new: {finding.key} ({finding.subject})" for finding in new)]
    return yes("; ".join(told)) if gate.passed else no(*told)


def _state(one: Cured) -> CheckState:
    return CheckState.PASSED if one.gone else CheckState.FAILED


def _frozen(upgrade: Upgrade, tools: Tools, cures: Sequence[Cure]) -> tuple[str, ...]:
    """A remedy waits for no window, being what comes before; a freeze of the client's it does not break."""
    freezes, now = client_freezes(upgrade, tools), tools.clock()
    against = []
    for name in dict.fromkeys(cure.environment for cure in cures):
        concerned = freezes_of(upgrade.plan, upgrade.plan.environment(name), freezes)
        if span := frozen(concerned, now, now):
            against.append(f"{name}: {span}: nothing is changed there until it ends, or the plan has a permit")
    return tuple(against)


def fix_verdict(upgrade: Upgrade, tools: Tools, refused: Sequence[str]) -> Verdict:
    """Cured by proof alone. Whatever was begun and is not proven is for a person; otherwise nothing was touched."""
    gate = newest_gate(upgrade, tools, "", GATE)
    marks = tools.ledger.marks(upgrade.run.key)
    if not any(each.kind is MarkKind.FIXING for each in marks):
        rejected = fresh(MarkKind.REJECTED, marks)
        said = (f"rejected by {rejected.data.get('by')}",) if rejected else ()
        return Verdict(Outcome.REFUSED, (*refused, *said, "nothing was touched"))
    if gate is None:
        return Verdict(Outcome.UNKNOWN, ("remedies were begun, and no analysis says what came of them",))
    told = tuple(dict.fromkeys(result.message for result in gate.results))
    if any(result.state is not CheckState.PASSED for result in gate.results):
        return Verdict(Outcome.UNKNOWN, (*told, "a person must look"))
    new = tuple(f"new: {finding.key} ({finding.subject}): {finding.summary}" for finding in gate.findings)
    return Verdict(Outcome.SUCCESSFUL_WITH_ISSUES if new else Outcome.SUCCESSFUL, (*told, *new))
