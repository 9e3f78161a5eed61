"""The blueprint's table: each sub-process with its tasks, their lane, roles, systems, documents and KPIs."""

from __future__ import annotations

from typing import Any

from changeover.domain.blueprint import Lane, SubProcess, TaskForm

ROLES = {
    "upgrade_manager": "Upgrade manager",
    "change_manager": "Change manager",
    "support_lead": "Support lead",
    "client_approver": "Client approver",
}
"""Role of the blueprint → its name until a brand gives another."""

SYSTEMS = {
    "scheduler": "Airflow",
    "automation": "Ansible",
    "cmdb": "CMDB",
    "ledger": "Ledger",
    "hosts": "Application hosts",
    "acceptance": "Acceptance suite",
    "data_check": "Business data comparison",
    "records": "Plan and release records",
}
"""System of the blueprint → its name until a brand gives another."""

WORK_PRODUCTS = {
    "request": "Client request or recommendation",
    "order": "Statement of work",
    "plan": "Upgrade plan",
    "release_record": "Release record of the vendor",
    "estate": "Estate in the CMDB",
    "frozen_hosts": "Hosts frozen for this run",
    "change": "Change record",
    "kickoff_pack": "Kickoff agenda and pack",
    "raci": "Participants and RACI",
    "release_findings": "Findings of the release analysis",
    "client_findings": "Findings of the client analysis",
    "baseline": "Baseline at the old release",
    "timings": "Measured times",
    "restore_point": "Restore point, proven",
    "evidence": "Acceptance evidence",
    "run_sheet": "Implementation plan (run sheet)",
    "back_out_plan": "Back-out plan",
    "approval": "Approval of the plan",
    "artefacts": "Verified artefacts of the release",
    "readiness": "Readiness report",
    "go": "Go or no-go",
    "business_data": "Business data before the change",
    "new_release": "New release on the hosts",
    "old_release": "Old release on the hosts",
    "sign_off": "Sign-off",
    "verdict": "Verdict",
    "outcome": "Outcome",
    "watch": "Record of the hypercare watch",
    "hand_over": "Hand-over pack",
    "support_acceptance": "Support's acceptance",
    "exit": "Exit conditions",
    "closing_report": "Closing report",
    "passport": "Client upgrade passport",
}
"""What a task reads or leaves behind → its name."""

KPIS = {
    "failure_rate": ("Upgrade failure rate", "Environments that did not end upgraded, of all that were settled."),
    "success_score": ("Success score", "Share of ended runs that were successful, with issues counting half."),
    "on_time": (
        "On-time completion",
        "Environments that ended upgraded before their window closed, of all settled ones that had a window.",
    ),
    "non_billable": (
        "Cost of non-billable time",
        "Time people waited, repeated work, backed out or worked out of scope, by role, at the role's rate.",
    ),
    "satisfaction": ("Client satisfaction", "Mean of the clients' answers to the survey at closeout, from 1 to 5."),
    "incident_rate": (
        "Post-upgrade incident rate",
        "Incidents seen during hypercare for each upgraded environment that was watched, by severity.",
    ),
}
"""KPI → its name and how it is measured."""

_MANAGER, _CHANGE, _SUPPORT, _CLIENT = "upgrade_manager", "change_manager", "support_lead", "client_approver"


def _t(name: str, lane: Lane, systems: str, inputs: str, outputs: str, **more: Any) -> TaskForm:
    """Lists are words in one text. Without other words the upgrade manager does it and answers for it."""
    lists: dict[str, Any] = {key: tuple(more.pop(key, "").split()) for key in ("consulted", "informed", "kpis")}
    who = {"responsible": _MANAGER, "accountable": _MANAGER, **more}
    return TaskForm(name, lane, systems=tuple(systems.split()), inputs=tuple(inputs.split()),
                    outputs=tuple(outputs.split()), **lists, **who)  # fmt: skip


_SEEN, _UNSEEN, _MACHINE, _THEIRS = Lane.ONSTAGE, Lane.BACKSTAGE, Lane.SYSTEM, Lane.CLIENT

_TRANSITION = (
    _t("check_entry", _UNSEEN, "records cmdb ledger", "request order plan release_record estate", "frozen_hosts",
       consulted=_CHANGE, kpis="failure_rate"),
    _t("open_change", _UNSEEN, "cmdb ledger", "request frozen_hosts", "change",
       accountable=_CHANGE, informed=_SUPPORT),
)  # fmt: skip
_KICKOFF = (
    _t("tell_participants", _SEEN, "cmdb", "plan change", "kickoff_pack raci",
       informed=f"{_CHANGE} {_SUPPORT} {_CLIENT}", kpis="satisfaction",
       called="Kickoff",
       told="Everybody who takes part is named and told what is planned, and who decides what."),
)  # fmt: skip
_RELEASE = (
    _t("analyse_release", _UNSEEN, "records ledger", "plan release_record", "release_findings", consulted=_SUPPORT),
)
_ANALYSIS = (
    _t("analyse_client", _SEEN, "automation hosts cmdb ledger", "estate release_findings", "client_findings",
       consulted=_CLIENT, informed=_SUPPORT, kpis="non_billable",
       called="Your systems are read",
       told="Your systems are read, never changed, and compared with what the new release changes."),
)  # fmt: skip
_BASELINE = (
    _t("build", _MACHINE, "automation hosts", "estate", "baseline timings restore_point"),
    _t("implement", _MACHINE, "automation hosts ledger", "baseline artefacts", "new_release timings"),
    _t("accept_new", _UNSEEN, "acceptance data_check", "new_release business_data", "evidence timings"),
    _t("back_out", _MACHINE, "automation hosts ledger", "restore_point", "old_release timings"),
    _t("accept_old", _UNSEEN, "acceptance data_check", "old_release business_data", "evidence", informed=_SUPPORT),
    _t("implement_again", _MACHINE, "automation hosts ledger", "old_release artefacts", "new_release timings"),
    _t("accept_again", _SEEN, "acceptance data_check automation", "new_release business_data", "evidence",
       informed=f"{_CHANGE} {_SUPPORT} {_CLIENT}", kpis="non_billable",
       called="Rehearsal accepted",
       told="The upgrade is rehearsed on a copy, there and back, and accepted before yours is touched."),
)  # fmt: skip
_PLANNING = (
    _t("run_sheet", _SEEN, "ledger cmdb", "timings plan client_findings", "run_sheet back_out_plan",
       consulted=f"{_CHANGE} {_CLIENT}", informed=_SUPPORT, kpis="on_time",
       called="Implementation plan",
       told="The plan of the implementation is written from measured times and given to those who approve it."),
    _t("approve_plan", _THEIRS, "scheduler ledger", "run_sheet back_out_plan", "approval",
       accountable=_CHANGE, informed=f"{_MANAGER} {_SUPPORT}", kpis="non_billable", asks="plan",
       called="Plan approval",
       told="A named person approves the plan. Without an answer in time nothing is changed."),
    _t("bind_approval", _MACHINE, "ledger cmdb", "approval plan", "change", accountable=_CHANGE),
)  # fmt: skip
_PREPARATIONS = (
    _t("prepare", _UNSEEN, "automation hosts ledger", "artefacts approval", "artefacts restore_point",
       informed=_SUPPORT),
)  # fmt: skip
_READINESS = (
    _t("window", _SEEN, "scheduler ledger", "run_sheet approval", "change",
       informed=f"{_CHANGE} {_SUPPORT} {_CLIENT}", kpis="on_time",
       called="Window opens",
       told="The agreed window opens. Work that can no longer be done and undone inside it does not begin."),
    _t("readiness", _UNSEEN, "automation hosts ledger", "run_sheet estate", "readiness", consulted=_SUPPORT),
    _t("go_no_go", _MACHINE, "scheduler ledger", "readiness", "go", accountable=_CHANGE,
       informed=f"{_SUPPORT} {_CLIENT}", asks="go_no_go", kpis="non_billable",
       called="Go or no-go",
       told="A named person says whether the change begins."),
)  # fmt: skip
_IMPLEMENTATION = (
    _t("restore_point", _MACHINE, "automation hosts ledger", "go", "restore_point business_data timings"),
    _t("implement", _MACHINE, "automation hosts ledger", "artefacts restore_point", "new_release timings",
       informed=_CHANGE, kpis="on_time"),
    _t("acceptance", _UNSEEN, "acceptance data_check", "new_release business_data", "evidence timings",
       consulted=_SUPPORT, kpis="failure_rate"),
    _t("sign_off", _MACHINE, "scheduler ledger", "evidence", "sign_off", accountable=_CHANGE,
       informed=f"{_MANAGER} {_SUPPORT} {_CLIENT}", asks="sign_off", kpis="satisfaction non_billable",
       called="Sign-off",
       told="A named person accepts the result. Without an acceptance the old release is put back."),
    _t("verdict", _MACHINE, "ledger", "evidence sign_off", "verdict", accountable=_CHANGE),
    _t("commit", _SEEN, "automation hosts ledger", "verdict", "new_release",
       informed=f"{_CHANGE} {_SUPPORT} {_CLIENT}",
       called="New release kept",
       told="The new release is kept, and your people can work again."),
    _t("back_out", _MACHINE, "automation hosts acceptance ledger", "verdict restore_point back_out_plan",
       "old_release evidence", informed=f"{_CHANGE} {_SUPPORT}", kpis="failure_rate non_billable"),
    _t("stand_down", _UNSEEN, "automation hosts ledger", "verdict", "old_release",
       informed=f"{_CHANGE} {_SUPPORT}", kpis="on_time"),
    _t("settle", _SEEN, "ledger cmdb", "verdict evidence", "outcome", accountable=_CHANGE,
       informed=f"{_SUPPORT} {_CLIENT}", kpis="failure_rate success_score on_time",
       called="Result",
       told="You are told how it ended, from what was proven: upgraded, or back where it was."),
)  # fmt: skip
_HYPERCARE = (
    _t("hypercare", _SEEN, "automation hosts cmdb ledger", "outcome", "watch hand_over", responsible=_SUPPORT,
       informed=f"{_CHANGE} {_CLIENT}", kpis="incident_rate satisfaction",
       called="Close watch",
       told="The upgraded application is watched closely."),
    _t("support_accepts", _SEEN, "scheduler ledger", "watch hand_over", "support_acceptance", responsible=_SUPPORT,
       accountable=_SUPPORT, informed=f"{_MANAGER} {_CHANGE} {_CLIENT}", asks="support", kpis="incident_rate",
       called="Support takes over",
       told="Support takes the application over."),
)  # fmt: skip
_CLOSEOUT = (
    _t("check_exit", _UNSEEN, "ledger cmdb", "outcome support_acceptance estate", "exit", accountable=_CHANGE,
       kpis="incident_rate"),
    _t("close_change", _SEEN, "cmdb ledger", "exit outcome", "closing_report passport change", accountable=_CHANGE,
       informed=f"{_SUPPORT} {_CLIENT}", kpis="satisfaction success_score",
       called="Closing report",
       told="The change is closed, and you receive the closing report."),
    _t("record_outcome", _MACHINE, "ledger", "exit", "outcome", informed=_CHANGE, kpis="success_score failure_rate"),
)  # fmt: skip

SUB_PROCESSES = (
    SubProcess(1, "s01_transition", "Transition from Sales",
               "The upgrade is applicable, asked for and ordered; the change is opened.", 1, _TRANSITION),
    SubProcess(2, "s02_kickoff", "Upgrade Kickoff",
               "Everybody who takes part knows it, and who decides what.", 1, _KICKOFF),
    SubProcess(3, "s03_release_analysis", "Vendor Software Release Analysis",
               "What the vendor's release asks for, changes and removes.", 2, _RELEASE),
    SubProcess(4, "s04_client_analysis", "Client-Specific Upgrade Analysis",
               "What really runs, and what of it the release touches.", 3, _ANALYSIS),
    SubProcess(5, "s05_baseline", "Baseline Upgrade Build and Testing",
               "The upgrade rehearsed on a copy, there and back and there again, every step timed.", 5, _BASELINE),
    SubProcess(6, "s06_planning", "Upgrade Implementation Planning",
               "Windows, measured times and the way back on one sheet, approved by name.", 2, _PLANNING),
    SubProcess(7, "s07_preparations", "Upgrade Preparations",
               "Everything that the change needs lies ready on every host, and a restore point is proven.",
               2, _PREPARATIONS),
    SubProcess(8, "s08_s09_", "Upgrade Readiness Check",
               "Nothing begins unless every check on every host says so.", 0, _READINESS),
    SubProcess(9, "s08_s09_", "Upgrade Implementation and Testing",
               "The environment ends upgraded and accepted, or back where it was.", 0, _IMPLEMENTATION),
    SubProcess(10, "s10_support", "Initial Support and Transition",
               "The application is watched until support takes it over.", 0, _HYPERCARE),
    SubProcess(11, "s11_closeout", "Upgrade Project Closeout",
               "Exit conditions hold, records agree, the change is closed, the outcome is on record.", 1, _CLOSEOUT),
)  # fmt: skip
