"""Mode `fix`: only what is declared, only on the hosts that a finding names, approved, and held against an analysis."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from changeover.domain.fault import Reading
from changeover.domain.finding import Action, ActionKind, Finding, Severity
from changeover.domain.fix import Around, Cure, choose, held_against
from changeover.domain.freeze import FreezeCalendar
from changeover.domain.outcome import Outcome
from changeover.domain.record import StepStatus
from changeover.domain.release import ReleaseRecord
from changeover.domain.remedy import Remedy
from changeover.domain.role import RoleOffer
from changeover.ports import ExecutionSpec
from changeover.usecases import baseline, closeout, lane
from changeover.usecases.analysis import analyse_client, analyse_release
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.open_run import request_faults
from changeover.usecases.planning import write_run_sheet
from changeover.usecases.prepare import prepare
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.analysed import PLAN, RELEASE
from tests.support.estate import Estate

KEY = "vendor-step-choice"
NEEDED = {"manual_steps": {"hashes": {"applies": True, "why": "3 rows", "choice": "choose", "remedy": "rm -rf /"}}}
FREEZE = {
    "schema_version": 1,
    "client": "acme",
    "freezes": [
        {
            "kind": "dated", "name": "summer", "zone": "UTC", "first": "2026-08-14", "last": "2026-08-14",
            "reason": "stocktaking", "may_permit": ["owner"],
        }
    ],
}  # fmt: skip


@dataclass
class OnDisk:
    """What lies on disk beside the plan: the client's freezes and the role's remedies."""

    calendar: FreezeCalendar
    fixes: frozenset[str] = frozenset({"hashes"})

    def role(self, application: str) -> Reading[RoleOffer]:
        return Reading("role", RoleOffer(None, frozenset(), frozenset(), self.fixes))  # type: ignore[arg-type]

    def freezes(self, client: str) -> Reading[FreezeCalendar]:
        return Reading("freezes", self.calendar)


@dataclass
class Curable(Estate):
    """Hosts on which a remedy does what it is for, unless it is told not to."""

    works: bool = True
    breaks_more: bool = False
    shelf: OnDisk = field(default_factory=lambda: OnDisk(FreezeCalendar(schema_version=1, client="acme")))

    def tools(self) -> Tools:
        return replace(super().tools(), shelf=self.shelf)  # type: ignore[arg-type]

    def _change(self, host: str, spec: ExecutionSpec) -> None:
        super()._change(host, spec)
        if spec.playbook == "fix.yml" and self.works:
            del self.differing[host]
        if spec.playbook == "fix.yml" and self.breaks_more:
            self.differing[host] = {"customisations": {}}


def declared(**remedy: str) -> ReleaseRecord:
    step = {"id": "hashes", "series": "2.6", "when": "before", "title": "Replace hashes", "source": "notes"}
    steps = [step | ({"fix": remedy} if remedy else {})]
    return ReleaseRecord.model_validate(RELEASE.model_dump(by_alias=True) | {"manual_steps": steps})


@pytest.fixture
def estate(tmp_path: Path) -> Curable:
    made = Curable(tmp_path)
    made.differing = {host: copy.deepcopy(NEEDED) for host in ("train1", "prod2")}
    return made


def asked(estate: Curable, *findings: str, record: ReleaseRecord | None = None, **more: Any) -> Upgrade:
    request = {"mode": "fix", "findings": list(findings or (KEY,)), "reason": "before the upgrade", **more}
    upgrade = estate.upgrade(of=PLAN, **request)
    record = record or declared(kind="playbook", run="hashes")
    upgrade = replace(upgrade, record=record)
    assert check_entry(upgrade, estate.tools(), request_faults(PLAN, request)).reply is Reply.YES
    return upgrade


def approved(estate: Curable, upgrade: Upgrade) -> None:
    open_request(upgrade, estate.tools(), gate="plan")
    record_answer(upgrade, estate.tools(), gate="plan", environment="", option="Approve", responder={"id": "owner"})


def played(estate: Curable) -> list[tuple[str, str, tuple[str, ...]]]:
    return [one for one in estate.played if one[1] != "discover.yml"]


def test_an_approved_remedy_is_carried_out_where_it_is_needed_and_cures(estate: Curable) -> None:
    """Only the hosts that say they need it; the analysis is made again and says so; the change ends successful."""
    upgrade, tools = asked(estate), estate.tools()
    assert analyse_release(upgrade, tools).reply is Reply.YES
    chosen = analyse_client(upgrade, tools)
    assert chosen.text == (
        "to be carried out once approved: vendor-step-choice (training/hashes): playbook `hashes` on train1; "
        "vendor-step-choice (production/hashes): playbook `hashes` on prod2"
    )
    assert write_run_sheet(upgrade, tools).reply is Reply.YES
    assert played(estate) == [], "nothing before the approval"
    approved(estate, upgrade)
    answer = prepare(upgrade, tools)
    assert answer.text == "vendor-step-choice (training/hashes): cured; vendor-step-choice (production/hashes): cured"
    assert played(estate) == [("training", "fix.yml", ("train1",)), ("production", "fix.yml", ("prod2",))]
    told = [spec.variables["changeover_fix"] for spec in estate.specs if spec.playbook == "fix.yml"]
    assert told[0] == {"kind": "playbook", "run": "hashes", "subject": "training/hashes"}
    assert closeout.close(upgrade, tools).outcome is Outcome.SUCCESSFUL
    steps = [step for step in estate.ledger.steps(upgrade.run.key) if step.step.startswith("fix_")]
    assert [(step.step, step.status) for step in steps] == [
        ("fix_1", StepStatus.SUCCESSFUL),
        ("fix_2", StepStatus.SUCCESSFUL),
    ]


def test_the_run_touches_nothing_else(estate: Curable) -> None:
    upgrade, tools = asked(estate), estate.tools()
    assert baseline.build(upgrade, tools).reply is Reply.NOT_APPLICABLE
    assert lane.window(upgrade, tools, upgrade.lanes[0]).reply is Reply.NOT_APPLICABLE
    assert closeout.check_exit(upgrade, tools).reply is Reply.NOT_APPLICABLE


def test_only_the_environments_that_are_asked_for(estate: Curable) -> None:
    upgrade, tools = asked(estate, environments=["training"]), estate.tools()
    assert analyse_client(upgrade, tools).reply is Reply.YES
    approved(estate, upgrade)
    assert prepare(upgrade, tools).reply is Reply.YES
    assert played(estate) == [("training", "fix.yml", ("train1",))]
    assert estate.differing == {"prod2": NEEDED}


def test_one_subject_of_several_may_be_meant(estate: Curable) -> None:
    upgrade = asked(estate, f"{KEY}=production/hashes")
    assert "on prod2" in analyse_client(upgrade, estate.tools()).text
    assert "train1" not in analyse_client(upgrade, estate.tools()).text


def test_hints_and_what_a_host_says_are_never_carried_out(estate: Curable) -> None:
    """The host's own report offers a command; it is told, and mode `fix` refuses it."""
    upgrade, tools = asked(estate, record=declared()), estate.tools()
    answer = analyse_client(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "no check and no release record declares a remedy for it" in answer.text
    assert "for a person: hint: choose; command: rm -rf /" in answer.text
    assert played(estate) == []
    verdict = closeout.close(upgrade, tools)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.reasons[-1] == "nothing was touched"


def test_without_approval_nothing_is_carried_out(estate: Curable) -> None:
    upgrade, tools = asked(estate), estate.tools()
    analyse_client(upgrade, tools)
    assert prepare(upgrade, tools).text == "the remedies are not approved"
    assert played(estate) == []


def test_a_freeze_refuses_before_and_after_the_approval(estate: Curable) -> None:
    upgrade, tools = asked(estate), estate.tools()
    analyse_client(upgrade, tools)
    assert write_run_sheet(upgrade, tools).reply is Reply.YES
    approved(estate, upgrade)
    estate.shelf.calendar = FreezeCalendar.model_validate(FREEZE)
    assert "training: freeze summer (stocktaking)" in write_run_sheet(upgrade, tools).text
    assert "nothing is changed there until it ends" in prepare(upgrade, tools).text
    assert played(estate) == []


def test_a_remedy_that_cures_nothing_is_for_a_person(estate: Curable) -> None:
    estate.works = False
    upgrade, tools = asked(estate, environments=["training"]), estate.tools()
    analyse_client(upgrade, tools)
    approved(estate, upgrade)
    answer = prepare(upgrade, tools)
    assert (answer.reply, answer.text) == (Reply.NO, "vendor-step-choice (training/hashes): not cured")
    assert closeout.close(upgrade, tools).outcome is Outcome.UNKNOWN


def test_a_remedy_that_fails_stops_the_others(estate: Curable) -> None:
    estate.breaks["training", "fix.yml"] = ("train1",)
    upgrade, tools = asked(estate), estate.tools()
    analyse_client(upgrade, tools)
    approved(estate, upgrade)
    assert "the remedy failed, a person must look; train1: it broke" in prepare(upgrade, tools).text
    assert played(estate) == [("training", "fix.yml", ("train1",))]
    assert closeout.close(upgrade, tools).outcome is Outcome.UNKNOWN


def test_what_a_remedy_breaks_is_told(estate: Curable) -> None:
    """Cured, and something else stands in the way now: successful, with issues."""
    estate.breaks_more = True
    upgrade, tools = asked(estate, environments=["training"]), estate.tools()
    analyse_client(upgrade, tools)
    approved(estate, upgrade)
    answer = prepare(upgrade, tools)
    assert answer.reply is Reply.YES
    assert answer.text.startswith("vendor-step-choice (training/hashes): cured; new: discovery-customisation-missing")
    verdict = closeout.close(upgrade, tools)
    assert verdict.outcome is Outcome.SUCCESSFUL_WITH_ISSUES
    assert any(reason.startswith("new: ") for reason in verdict.reasons)


def test_a_lost_task_carries_out_nothing_twice(estate: Curable) -> None:
    upgrade, tools = asked(estate), estate.tools()
    analyse_client(upgrade, tools)
    approved(estate, upgrade)
    estate.caller_lost.add("fix_2")
    with pytest.raises(ConnectionError):
        prepare(upgrade, tools)
    assert prepare(upgrade, tools).reply is Reply.YES
    assert len(played(estate)) == 2


def test_who_approves_sees_every_remedy(estate: Curable) -> None:
    upgrade, tools = asked(estate), estate.tools()
    analyse_client(upgrade, tools)
    text = open_request(upgrade, tools, gate="plan").data["facts"]
    assert "| remedy | vendor-step-choice (training/hashes): playbook `hashes` on train1 |" in text


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        ({"mode": "fix"}, "findings: mode fix names the findings that are to be cured"),
        ({"mode": "analyse", "findings": [KEY]}, "findings: only mode fix cures findings"),
        ({"mode": "fix", "findings": "all"}, "findings: must be a list of keys, each KEY or KEY=SUBJECT"),
        ({"mode": "fix", "findings": [" "]}, "findings: must be a list of keys, each KEY or KEY=SUBJECT"),
    ],
)
def test_a_request_names_what_is_to_be_cured(request_: Mapping[str, Any], fault: str) -> None:
    assert request_faults(PLAN, request_) == (fault,)


def test_a_fix_needs_a_reason(estate: Curable) -> None:
    upgrade = estate.upgrade(of=PLAN, mode="fix", findings=[KEY])
    assert "fix: say why" in check_entry(upgrade, estate.tools()).text


SHELL = Action(ActionKind.COMMAND, "true", declared=True)
AROUND = Around({"training": ("train1",), "production": ("prod1", "prod2")}, frozenset({"hashes"}))


def finding(subject: str, *actions: Action, **more: Any) -> Finding:
    return Finding("certificate-expiry", subject, "text", Severity.INHIBITOR, actions=actions, **more)


@pytest.mark.parametrize(
    ("found", "hosts"),
    [
        (finding("prod1", SHELL), {"production": ("prod1",)}),
        (finding("prod2/feed", SHELL, environment="production"), {"production": ("prod2",)}),
        (finding("psycopg", SHELL, related=("prod2", "train1")), {"training": ("train1",), "production": ("prod2",)}),
        (finding("prod1", SHELL, environment="training"), {}),
        (finding("prod10", SHELL), {}),
        (finding("production", SHELL), {}),
    ],
)
def test_a_finding_names_its_hosts_exactly(found: Finding, hosts: dict[str, tuple[str, ...]]) -> None:
    choice = choose(["certificate-expiry"], [found], AROUND)
    assert {cure.environment: cure.hosts for cure in choice.cures} == hosts
    assert bool(choice.refused) is not bool(hosts)


@pytest.mark.parametrize(
    ("text", "found", "why"),
    [
        ("other", finding("prod1", SHELL), "other: the analysis has no such finding; it has certificate-expiry=prod1"),
        ("certificate-expiry=prod2", finding("prod1", SHELL), "certificate-expiry=prod2: the analysis has no such"),
        ("certificate-expiry", finding("nobody", SHELL), "it names no host of the environments asked for"),
        (
            "certificate-expiry",
            finding("prod1", Action(ActionKind.PLAYBOOK, "renew", declared=True)),
            "the application's role does not bring tasks/fix_renew.yml along",
        ),
        ("certificate-expiry", finding("prod1", replace(SHELL, declared=False)), "for a person: command: true"),
    ],
)
def test_what_is_not_carried_out_says_why(text: str, found: Finding, why: str) -> None:
    choice = choose([text], [found], AROUND)
    assert choice.cures == ()
    assert why in choice.refused[0]


def test_one_refusal_refuses_all() -> None:
    choice = choose(["certificate-expiry", "other"], [finding("prod1", SHELL)], AROUND)
    assert (choice.cures, len(choice.refused)) == ((), 1)


def test_a_finding_that_is_left_is_not_cured() -> None:
    cure = Cure("certificate-expiry", "prod1", "production", ("prod1",), "command", "true")
    assert [one.gone for one in held_against((cure,), [finding("prod1")])] == [False]
    assert [one.gone for one in held_against((cure,), [finding("prod2")])] == [True]
    assert Cure.from_json(cure.as_json()) == cure


def test_tasks_are_named_and_never_a_path() -> None:
    assert Remedy(kind="playbook", run="password_hashes").action().declared
    for run in ("../site", "fix.yml", "Hashes", "a b"):
        with pytest.raises(ValidationError, match="the name of the role's"):
            Remedy(kind="playbook", run=run)
