"""What operators read in the Airflow UI: titles, tooltips, runbook notes, approval requests."""

from __future__ import annotations

from urllib.parse import quote

from changeover.domain.night import Action, silence
from changeover.domain.plan import Approval, Environment, Mode, Plan
from changeover.domain.runsheet import describe_window

MODES = {
    str(Mode.ANALYSE): "Analyse: read only, no change",
    str(Mode.REHEARSE): "Rehearse: analysis and the baseline build",
    str(Mode.IMPLEMENT): "Implement: the whole upgrade",
    str(Mode.BACK_OUT): "Back out: the named environments, to the release before",
    str(Mode.FIX): "Fix: carry out the declared remedies of the named findings",
}
MODE_HELP = "Each mode goes further along the same path; a back-out goes the other way and needs a reason."
REASON_HELP = "Why this run is started. Needed for a back-out and a fix; kept in the record."
FINDINGS_HELP = "Mode fix only: the findings to cure, each as KEY, or as KEY=SUBJECT where one of several is meant."

GROUPS = {
    "s01_transition": (
        "1 Transition from Sales",
        "Entry conditions; opens the change in the CMDB. Touches no host.",
    ),
    "s02_kickoff": ("2 Kickoff", "Participants resolved and told. Touches no host."),
    "s03_release_analysis": (
        "3 Release analysis",
        "What the vendor's release asks for and changes. Touches no host.",
    ),
    "s04_client_analysis": (
        "4 Client analysis",
        "Reads every host and compares with plan and CMDB. Changes nothing.",
    ),
    "s05_baseline": (
        "5 Baseline",
        "Builds the baseline environment, upgrades it, backs it out, upgrades it again; all timed.",
    ),
    "s06_planning": (
        "6 Planning",
        "Run sheet from measured times; named people approve this plan text. Touches no host.",
    ),
    "s07_preparations": (
        "7 Preparations",
        "Stages and verifies artefacts on every host; proves a first restore point.",
    ),
    "s10_support": (
        "10 Support",
        "Hypercare watch, then support accepts. Changes nothing.",
    ),
    "s11_closeout": (
        "11 Closeout",
        "Exit conditions, change closed, CMDB equal to discovery, report.",
    ),
}

TITLES = {
    "check_entry": "Entry conditions met",
    "open_change": "Open the change",
    "tell_participants": "Tell the participants",
    "analyse_release": "Analyse the release",
    "analyse_client": "Discover and compare",
    "build": "Build the baseline",
    "implement": "Implement",
    "accept_new": "Accept the new release",
    "back_out": "Back out",
    "accept_old": "Accept the old release",
    "implement_again": "Implement again",
    "accept_again": "Accept again",
    "run_sheet": "Write the run sheet",
    "approve_plan": "Plan approved?",
    "bind_approval": "Bind the approval",
    "prepare": "Stage and prove",
    "window": "Our turn, window open?",
    "readiness": "Ready?",
    "go_no_go": "Go?",
    "restore_point": "Take the restore point",
    "acceptance": "Accepted?",
    "sign_off": "Signed off?",
    "verdict": "Keep or back out?",
    "commit": "Commit",
    "stand_down": "Stand down",
    "settle": "Settle",
    "hypercare": "Hypercare watch",
    "support_accepts": "Support accepts?",
    "check_exit": "Exit conditions met",
    "close_change": "Close the change",
    "record_outcome": "Record the outcome",
}

_ASK = (
    "Waits for a named person. **Red** means rejected or not answered in time; nothing after it starts. "
    "Answer under *Required Actions*; who may answer and until when is in the request."
)
TASKS = {
    "check_entry": "Checks the request, statement of work, dates, release path and that the CMDB knows every host; freezes the hosts. "
    "A run that was to start by itself and comes too late ends *missed* here. "
    "**Red** means *refused*: correct the plan, the CMDB or the request and start a new run.",
    "open_change": "Opens a normal change. Skipped for analyses and rehearsals.",
    "tell_participants": "Everybody who has to decide must be known to the CMDB. **Red** names who is not.",
    "analyse_release": "The vendor's path and requirements. **Red** names the inhibitors.",
    "analyse_client": "Reads version, modules, settings and integrations on every host. Read only. **Red** names what differs.",
    "build": "Builds the baseline at the old release from a copy of production's data and proves its restore point.",
    "implement": "Upgrades the hosts. The work is detached: if this task is lost, its retry attaches to the running work, "
    "it is never started twice. A way with stops is gone through leg by leg, each with its restore point and its gate. "
    "**Red** leads to the verdict, which backs out.",
    "accept_new": "Application suite and comparison of business data on the baseline at the new release.",
    "back_out": "Puts the old release back from the restore point and proves it by the old release's acceptance. "
    "**Red** means a person must look: the hosts' locks are kept.",
    "accept_old": "The old release must be accepted again after its back-out.",
    "implement_again": "Upgrades the baseline a second time, after its back-out.",
    "accept_again": "Accepts the baseline again and keeps it at the new release.",
    "run_sheet": "Measured times laid out over the environments: latest safe starts, and until when going back is possible. "
    "**Red** names a window that is undecided, too short, or offers no night.",
    "approve_plan": _ASK,
    "bind_approval": "The approval holds for this plan text only; the change moves to *implement*.",
    "prepare": "Artefacts verified by digest and a restore point proven readable on every host of every lane.",
    "window": "**Skipped** when it is not this environment's turn; **red** when its window is not open or can no longer be met.",
    "readiness": "Every readiness check on every host. **Red** leads to stand-down; nothing was touched.",
    "go_no_go": _ASK,
    "restore_point": "Asks the window again, closes traffic, takes the restore point, proves it and reads the business data.",
    "acceptance": "Version on every host, application suite, comparison of business data. **Red** leads to the back-out.",
    "sign_off": _ASK,
    "verdict": "The one decision of the lane, from the ledger: commit, back out or stand down.",
    "commit": "Keeps the new release and reopens traffic. Skipped when the verdict is another.",
    "stand_down": "Nothing was changed: gives back what was closed. Skipped when the verdict is another.",
    "settle": "Computes and records the environment's outcome. **Red** unless it ended upgraded; later environments are then skipped.",
    "hypercare": "Looks at version, services, errors and incidents until the plan's time is over and its criteria are met; extends "
    "itself with a reason. When a threshold is passed it asks named people to keep the release or to back it out. **Red** means "
    "they decided to back out, or nobody decided: clear this task to look and ask again.",
    "support_accepts": _ASK,
    "check_exit": "The blueprint's exit conditions. **Red** names the one that is not met.",
    "close_change": "Closes the change with its code, writes the run record and the report. **Skipped** while it stays open.",
    "record_outcome": "Records the outcome and fails the run unless it did what was asked. Runs whatever happened.",
}

PRE_APPROVED = (
    "A standard change: approved beforehand, for as long as its pre-approval holds and its risk is not high. "
    "**Red** says which of the two is not so; make it a normal change then."
)
APPROVAL_BODY = "{{ ti.xcom_pull(task_ids='s06_planning.run_sheet')['run_sheet'] }}"
SUPPORT_BODY = (
    "The hypercare watch ended well. Accepting takes the upgraded environments into support; rejecting keeps the change open. "
    "What is handed over is filed with the run: what runs where, what changed, known issues and incidents, restore points and until "
    "when they are kept, and the run book. `./changeover documents PLAN --only hand-over-pack` writes it again, also as PDF."
)


def dag_doc(plan: Plan, digest: str) -> str:
    lanes = ", ".join(lane.name for lane in plan.lanes)
    return (
        f"# {plan.title}\n\n**{plan.application}** {plan.from_version} to {plan.to_version} for **{plan.client}**: {plan.trigger.reason}\n\n"
        f"The groups are the eleven sub-processes of the upgrade. The baseline is built, upgraded, backed out and upgraded again first; then "
        f"named people approve; then the lanes run in this order: {lanes}. Each lane ends upgraded, or back where it was.\n\n"
        f"* **To start**: {_start(plan)}\n* **If a lane is red**: open its *Settle* task; its message is the outcome and why.\n"
        f"* **To stop**: `./changeover stop RUN --by LOGIN --reason TEXT`, or mark the run or the task at work failed. Work on hosts is ended "
        f"there and proven ended; `./changeover settle RUN` says what is true then.\n"
        f"* **What is true** at any time: `./changeover status`.\n\nPlan digest `{digest}`."
    )


def _start(plan: Plan) -> str:
    if plan.unattended is None:
        return "trigger the DAG and choose the mode."
    return (
        f"it starts by itself when the window of {plan.unattended.window_of} opens; or trigger it and choose the mode."
    )


def lane_title(plan: Plan, lane: Environment) -> str:
    number = plan.lanes.index(lane) + 1
    return f"8.{number} + 9.{number} {lane.name.capitalize()}"


def lane_doc(plan: Plan, lane: Environment) -> str:
    return (
        f"Readiness check, implementation and testing of {lane.name}: {plan.application} {plan.from_version} to {plan.to_version}. "
        f"Window: {describe_window(lane.window)}. Backs out {lane.back_out.replace('_', ' ')} when not accepted."
    )


def approval_subject(plan: Plan) -> str:
    emergency = "Emergency: approve" if plan.change.emergency else "Approve"
    return f"{emergency} the upgrade of {plan.application} to {plan.to_version} for {plan.client}?"


def support_subject(plan: Plan) -> str:
    return f"Does support take over {plan.application} {plan.to_version} of {plan.client}?"


def keep_or_back_out(plan: Plan, run_id: str) -> tuple[str, str]:
    """Subject and body of the request that the watch puts when the decision is reopened; the same each time."""
    record = f"/changeover/record/{quote(plan.dag_id)}?run={quote(run_id)}"
    body = (
        "The watch after the upgrade has reopened the decision. *Approve* keeps the new release, and the watch goes on. *Reject* "
        "decides to back out: this run then ends, and a run in mode `back-out` has to be started, which is approved like any other."
        f"\n\n**Read first** why, which incidents are open and what going back would lose: in the run's [record]({record}), or "
        "with `./changeover approve`. This text is not renewed when the decision is reopened once more; those are."
    )
    subject = f"Keep {plan.application} {plan.to_version} of {plan.client}, or back it out?"
    return subject, who_and_when(plan, plan.kept_by, body, gate="hypercare", environment="")


def decision(plan: Plan, lane: Environment, stage: str) -> tuple[str, str]:
    """Subject and body of a go/no-go or sign-off request."""
    if stage == "go_no_go":
        return (
            f"Go for {lane.name}: {plan.application} {plan.to_version}?",
            f"Every readiness check of **{lane.name}** passed. *Approve* begins the change; *Reject* stands down and touches nothing.",
        )
    return (
        f"Sign off {lane.name} at {plan.application} {plan.to_version}?",
        f"**{lane.name}** runs {plan.to_version}; the acceptance suite and the comparison of business data passed. *Approve* keeps it; *Reject* backs it out.",
    )


_SILENCE = {
    Action.HOLD: "has them asked again, for as long as the clock allows",
    Action.BACK_OUT: "counts as a rejection",
    Action.SKIP_ENVIRONMENT: "counts as a rejection",
    Action.PROCEED: "lets the upgrade go on without it",
}


def who_and_when(plan: Plan, approval: Approval, body: str, *, gate: str, environment: str) -> str:
    """The form shows neither who may answer nor until when: the text has to."""
    names = {person.id: f"{person.name} ({person.role})" for person in plan.participants}
    asked = ", ".join(names.get(who, who) for who in approval.by)
    needed = f" **{approval.quorum} of them** have to approve; one rejection is a no." if approval.quorum > 1 else ""
    quiet = _SILENCE[silence(plan.night, gate, environment)]
    return f"{body}\n\nAsked: **{asked}**.{needed} No answer within {approval.wait} {quiet}."
