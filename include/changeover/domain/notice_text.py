"""What notices say: words for people, onstage only. No host, no command, no reason out of a tool's mouth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from changeover.domain.night import Case
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment, Plan
from changeover.domain.record import Mark
from changeover.domain.steering import RULE
from changeover.domain.wall_clock import local_text
from changeover.domain.window import AnyTime, Occurrence

Text = tuple[str, str]
"""Subject and text."""

GATES = {
    "plan": "the upgrade plan",
    "go_no_go": "the start on {}",
    "sign_off": "the result on {}",
    "support": "the hand-over into support",
    "hypercare": "whether the new release is kept",
}
ENDS = {
    Outcome.SUCCESSFUL: "is upgraded and accepted",
    Outcome.SUCCESSFUL_WITH_ISSUES: "is upgraded and accepted, with issues that are being followed up",
    Outcome.BACKED_OUT: "was put back to the old release; the old release was tested and works",
    Outcome.BACK_OUT_FAILED: "could not be put back to the old release yet; our engineers are at work on it",
    Outcome.REFUSED: "was not touched: the conditions for a start were not met",
    Outcome.MISSED: "was not touched: its maintenance window could not be met",
    Outcome.UNKNOWN: "is in a state that a person has to look at; our engineers are at work on it",
}

HELD = {
    Case.PLAN_APPROVAL: "nobody has answered yet whether the upgrade may begin",
    Case.GO_NO_GO: "nobody has answered yet whether work may begin",
    Case.SIGN_OFF: "nobody has answered yet whether the result is accepted",
    Case.SUPPORT: "nobody has taken the application over into support yet",
    Case.READINESS_REFUSED: "the conditions for a start are not met yet",
    Case.IMPLEMENT_FAILED: "the change did not succeed; it stays as it is until somebody decides",
    Case.ACCEPTANCE_FAILED: "the new release did not pass its tests; it stays as it is until somebody decides",
    Case.EXECUTION_UNKNOWN: "nobody can say yet how far the change came; our engineers look at it",
    Case.DECIDE_BY_PASSED: "the last moment to go back inside the window has come, and the result is not accepted yet",
    Case.WINDOW_END_PASSED: "the window has closed, and the result is not accepted yet",
    Case.HYPERCARE_FAILED: "nobody has answered yet whether the new release is kept",
}


def kickoff(plan: Plan) -> Text:
    people = "\n".join(f"- {person.name}, {person.role.replace('_', ' ')}" for person in plan.participants)
    windows = "\n".join(f"- {lane.name}: {_window(lane)}" for lane in plan.lanes)
    return (
        f"Kickoff: {plan.title}",
        (
            f"{_what(plan)} begins. You take part in it.\n\nWhy: {plan.trigger.reason} ({plan.trigger.reference}).\n\n"
            f"Environments and when they may be worked on:\n{windows}\n\nParticipants:\n{people}"
        ),
    )


def reminder(plan: Plan, environment: str, night: Occurrence) -> Text:
    return (
        f"Reminder: {plan.title}, {environment} on {night.day}",
        (
            f"{_what(plan)} is planned for {environment}.\n\nMaintenance window: {_night(night)}.\n\n"
            "If something speaks against it, tell your upgrade manager before the window opens."
        ),
    )


def approval_wanted(plan: Plan, gate: str, environment: str, until: datetime, *, link: str = "") -> Text:
    what = GATES.get(gate, gate).format(environment)
    where = f"\n\nAnswer here: {link}" if link else "\n\nAnswer in Airflow under Required Actions."
    return (
        f"Your approval is wanted: {what}, {plan.title}",
        f"{_what(plan)}: {what} waits for your answer until {_instant(until)}.{where}",
    )


def started(plan: Plan, environment: str, night: Occurrence | None, *, back: bool = False) -> Text:
    closes = f" The maintenance window closes at {_local(night.closes, night.zone)}." if night else ""
    going = (
        f"Putting {environment} back to {plan.application} {plan.from_version}" if back else f"Work on {environment}"
    )
    return f"Started: {plan.title}, {environment}", f"{going} has begun.{closes}\n\nYou are told when it has ended."


def ended(plan: Plan, environment: str, outcome: Outcome, *, wanted: bool) -> Text:
    """`wanted`: whether this end is what the run was asked for."""
    open_still = outcome in (Outcome.UNKNOWN, Outcome.BACK_OUT_FAILED)
    head = "Finished" if wanted else "Attention" if open_still else "Not upgraded"
    runs = plan.to_version if outcome.is_success else plan.from_version if outcome is Outcome.BACKED_OUT else ""
    running = f" It runs {plan.application} {runs}." if runs else ""
    return (
        f"{head}: {plan.title}, {environment or 'the upgrade'}",
        f"{environment or 'The upgrade'} {ENDS[outcome]}.{running}",
    )


def missed(plan: Plan, environments: Iterable[str], following: Occurrence | None) -> Text:
    names = ", ".join(environments)
    proposed = f"The next window is {_night(following)}." if following else "The plan offers no further window."
    return (
        f"Window missed: {plan.title}, {names}",
        f"The upgrade of {names} could not begin in time, so it did not begin. Nothing was touched.\n\n{proposed}",
    )


def unheard(plan: Plan, night: Occurrence, following: Occurrence | None) -> Text:
    """Of a window in which nothing ran, although it was to start by itself."""
    names = ", ".join(lane.name for lane in plan.lanes)
    proposed = f"The next window is {_night(following)}." if following else "The plan offers no further window."
    return (
        f"Window missed: {plan.title}, {names}",
        (
            f"The upgrade of {names} was to begin by itself in the window {_night(night)}, and did not. "
            f"Nothing was touched.\n\n{proposed}"
        ),
    )


def unheard_backstage(plan: Plan) -> str:
    return (
        f"No run of {plan.dag_id} is on record for that night: see whether Airflow's scheduler was down, the DAG "
        "paused, or the client's freezes could not be read. The coming nights: ./changeover window show PLAN"
    )


def decide_by(plan: Plan, environment: str, by: datetime, zone: str, *, passed: bool) -> Text:
    at = _local(by, zone)
    if passed:
        return (
            f"Decide-by has passed: {plan.title}, {environment}",
            (
                f"{at} has passed: going back to {plan.application} {plan.from_version} on {environment} "
                "no longer ends inside the maintenance window."
            ),
        )
    return (
        f"Decide by {by:%H:%MZ}: {plan.title}, {environment}",
        (
            f"Until {at} it can be decided to go back to {plan.application} {plan.from_version} on {environment} "
            "inside the maintenance window. After that it is too late for it."
        ),
    )


def held(plan: Plan, mark: Mark) -> Text:
    """Of a hold by the night policy, or by a person; who that is and why is told behind the stage."""
    place, case = mark.environment or "the upgrade", str(mark.data.get("case") or "")
    why = HELD[Case(case)] if case in HELD else "somebody holds it"
    until = str(mark.data.get("until") or "")
    ends = f"until {_instant(datetime.fromisoformat(until))} at most" if until else "until it is resumed"
    first = place[0].upper() + place[1:]
    return f"Held: {plan.title}, {place}", f"{first} waits: {why}. Nothing further begins there, {ends}."


def behind_hold(mark: Mark, *, gate: str) -> str:
    """`gate`: where an answer is what is waited for; a hold is ended by a command of its own."""
    place = f" --environment {mark.environment}" if mark.environment else ""
    if gate:
        return f"Answer: ./changeover approve {mark.run} {gate.replace('_', '-')}{place}, or reject"
    by, reason, case = (str(mark.data.get(key) or "") for key in ("by", "reason", "case"))
    who = f"Held for {case} by the plan's night policy" if by == RULE else f"Held by {by}"
    return f"{who}: {reason}\nGo on: ./changeover resume {mark.run} --reason TEXT, or abort"


def paused(plan: Plan) -> Text:
    return (
        f"Paused: {plan.title}",
        (
            f"{_what(plan)} stands still: what steers it was paused. Nothing further begins until that is ended; "
            "maintenance windows do not wait for it."
        ),
    )


def behind_pause(plan: Plan) -> str:
    return f"The DAG {plan.dag_id} is paused in Airflow: no task of the run is scheduled. Switch it on again there."


def survey_due(plan: Plan, link: str, until: datetime) -> Text:
    return (
        f"How was it? {plan.title}",
        (
            f"{_what(plan)} is closed. Three questions, one minute:\n\n{link}\n\n"
            f"The link can be answered once, until {until:%Y-%m-%d}."
        ),
    )


def hypercare_extended(plan: Plan, until: datetime | None, why: str) -> Text:
    new_end = f" until {_instant(until)}" if until else ""
    because = f"\n\nWhy: {why}" if why else ""
    return (
        f"Watched for longer: {plan.title}",
        f"The watch after the upgrade to {plan.application} {plan.to_version} is extended{new_end}.{because}",
    )


def backstage(run_key: str) -> str:
    """For the provider's own people: where the whole record is."""
    return f"Record: {run_key}. What is true now: ./changeover status {run_key}"


def _what(plan: Plan) -> str:
    return f"The upgrade of {plan.application} from {plan.from_version} to {plan.to_version} for {plan.client}"


def _window(lane: Environment) -> str:
    if isinstance(lane.window, AnyTime):
        return "at any time, as agreed"
    opening = f"{lane.window.start:%H:%M} {lane.window.zone}"
    return f"on the agreed nights from {opening}" if lane.window.kind == "recurring" else f"{lane.window.on} {opening}"


def _night(night: Occurrence) -> str:
    return f"{_local(night.opens, night.zone)} to {_local(night.closes, night.zone)}"


def _local(instant: datetime, zone: str) -> str:
    return f"{local_text(instant, zone)} {zone} ({_instant(instant)})"


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%MZ}"
