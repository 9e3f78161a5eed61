"""Which notices are due: read off what the ledger says of a run, and off a plan's coming nights. Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from changeover.domain import notice_text as texts
from changeover.domain.approval import Tally
from changeover.domain.notice import Notice, NoticeKind
from changeover.domain.notice_waits import waits
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Environment, Mode, Plan
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, meant_for
from changeover.domain.survey import OPEN_FOR
from changeover.domain.window import DatedWindow, Occurrence

TOLD_WITHIN = timedelta(days=3)
"""What could not be told for so long is not told any more: it is on record, and news no longer."""


@dataclass(frozen=True)
class Asked:
    """A gate that waits for people: who has not answered yet, and until when they are waited for."""

    gate: str
    environment: str
    tally: Tally
    until: datetime
    link: str = ""
    """Where it is answered."""


@dataclass(frozen=True)
class StoryOfNotices:
    """What there may be to tell of one run."""

    plan: Plan
    run: Run
    marks: Sequence[Mark]
    steps: Sequence[StepRecord]
    outcomes: Mapping[str, Verdict]
    asked: Sequence[Asked] = ()
    nights: Mapping[str, Occurrence] = field(default_factory=dict)
    decide_by: Mapping[str, datetime] = field(default_factory=dict)
    """Environment → the last moment to go back."""
    following: Mapping[str, Occurrence] = field(default_factory=dict)
    """Environment → the window after now."""
    survey_link: str = ""
    unread: tuple[str, ...] = ()
    """Environments whose clock cannot be told now, and why."""

    @property
    def mode(self) -> Mode:
        return Mode(self.run.mode)

    def of(self, kind: MarkKind, environment: str | None = None) -> list[Mark]:
        return [m for m in self.marks if m.kind is kind and environment in (None, m.environment)]

    def last_of(self, environment: str) -> datetime:
        return max((m.at for m in self.marks if m.environment == environment), default=self.run.opened_at)


def due(story: StoryOfNotices, now: datetime) -> tuple[Notice, ...]:
    """What has to have been told by now; whoever keeps the book knows what was. Of a rehearsal only that it asks."""
    if story.mode in (Mode.ANALYSE, Mode.REHEARSE):
        found = tuple(_gates(story))
    else:
        found = (*_begin(story), *_gates(story), *_lanes(story), *_waits(story), *_end(story))
    return tuple(n for n in found if n.since <= now < (n.until or n.since + TOLD_WITHIN))


def reminders(plan: Plan, nights: Mapping[str, Occurrence], agreed: Sequence[str], now: datetime) -> tuple[Notice, ...]:
    """Before the window opens: of a dated night, of a plan that starts by itself, and of a night agreed in a run.

    `nights`: environment → its coming night. A recurring window that nobody means to use reminds nobody.
    """
    found = []
    for lane in plan.lanes:
        night = nights.get(lane.name)
        meant = isinstance(lane.window, DatedWindow) or plan.unattended is not None or lane.name in agreed
        if night is None or not meant:
            continue
        since = night.opens - plan.notices.reminder
        if since <= now < night.opens:
            words = texts.reminder(plan, lane.name, night)
            key = reminder_key(plan, lane.name, night)
            kind, to = NoticeKind.REMINDER, everybody(plan)
            found.append(
                Notice(
                    key,
                    kind,
                    plan.dag_id,
                    plan.client,
                    words[0],
                    words[1],
                    to,
                    since,
                    night.opens,
                    environment=lane.name,
                )
            )
    return tuple(found)


def reminder_key(plan: Plan, environment: str, night: Occurrence) -> str:
    return f"{plan.dag_id}/reminder/{environment}/{night.opens:%Y%m%dT%H%MZ}"


def missed_key(plan: Plan, opens: datetime) -> str:
    """Of a whole night, whether a run of it told so or nothing ran at all: it is told once."""
    return f"{plan.dag_id}/missed/{opens:%Y%m%dT%H%MZ}"


def everybody(plan: Plan) -> tuple[str, ...]:
    return tuple(person.id for person in plan.participants)


def of_client(plan: Plan) -> tuple[str, ...]:
    return tuple(person.id for person in plan.participants if person.side == "client")


def deciding(plan: Plan, lane: Environment) -> tuple[str, ...]:
    """Who has to know the clock: the provider's people, and whoever signs the lane off."""
    ours = [person.id for person in plan.participants if person.side == "provider"]
    return tuple(dict.fromkeys((*ours, *(lane.sign_off.by if lane.sign_off else ()))))


def _begin(story: StoryOfNotices) -> Iterator[Notice]:
    for mark in story.of(MarkKind.PARTICIPANTS_TOLD)[:1]:
        words = texts.kickoff(story.plan)
        yield _of_run(story, "kickoff", NoticeKind.KICKOFF, words, everybody(story.plan), mark.at)


def _gates(story: StoryOfNotices) -> Iterator[Notice]:
    for asked in story.asked:
        at = asked.tally.asked_at
        if at is None or not asked.tally.open:
            continue
        words = texts.approval_wanted(story.plan, asked.gate, asked.environment, asked.until, link=asked.link)
        waiting = tuple(who for who in asked.tally.may_answer if who not in asked.tally.approved)
        what = f"approval/{asked.gate}/{asked.environment}/{at:%Y%m%dT%H%M%SZ}"
        kind = NoticeKind.APPROVAL_WANTED
        yield _of_run(story, what, kind, words, waiting, at, until=asked.until, environment=asked.environment)


def _lanes(story: StoryOfNotices) -> Iterator[Notice]:
    plan, missed = story.plan, []
    for lane in (lane for lane in plan.lanes if lane.name in story.run.environments):
        began = _began(story, lane.name)
        night = story.nights.get(lane.name)
        if began is not None:
            words = texts.started(plan, lane.name, night, back=story.mode is Mode.BACK_OUT)
            kind = NoticeKind.STARTED
            yield _of_run(story, f"started/{lane.name}", kind, words, everybody(plan), began, environment=lane.name)
            yield from _clock(story, lane, night)
        verdict = story.outcomes.get(lane.name)
        if verdict and verdict.outcome is Outcome.MISSED:
            missed.append(lane.name)
        elif verdict:
            yield _ended(story, lane.name, verdict.outcome, story.last_of(lane.name))
    if missed:
        words = texts.missed(plan, missed, story.following.get(missed[0]))
        at, what = max(map(story.last_of, missed)), f"missed/{'+'.join(missed)}"
        told = _of_run(story, what, NoticeKind.MISSED, words, everybody(plan), at, environment=missed[0])
        opening = meant_for(story.run.dag_run_id)
        whole = opening is not None and set(missed) == set(story.run.environments)
        yield replace(told, key=missed_key(plan, opening)) if opening and whole else told


def _clock(story: StoryOfNotices, lane: Environment, night: Occurrence | None) -> Iterator[Notice]:
    """While the lane is neither decided nor ended."""
    by, plan = story.decide_by.get(lane.name), story.plan
    open_still = lane.name not in story.outcomes and not story.of(MarkKind.DECIDED, lane.name)
    if by is None or night is None or not open_still:
        return
    who, stamp = deciding(plan, lane), f"{lane.name}/{night.opens:%Y%m%dT%H%MZ}"
    for passed, kind, since, until in (
        (False, NoticeKind.DECIDE_BY_NEAR, by - plan.notices.decide_by_warning, by),
        (True, NoticeKind.DECIDE_BY_PASSED, by, None),
    ):
        words = texts.decide_by(plan, lane.name, by, night.zone, passed=passed)
        yield _of_run(story, f"{kind}/{stamp}", kind, words, who, since, until=until, environment=lane.name)


def _waits(story: StoryOfNotices) -> Iterator[Notice]:
    """What stands still, told to those who can set it going: each hold and each pause by its own mark."""
    plan = story.plan
    for wait in waits(story.marks):
        place = wait.mark.environment
        if story.outcomes.keys() & {place, ""}:
            continue
        lanes = [lane for lane in plan.lanes if place in ("", lane.name)]
        who = tuple(dict.fromkeys(one for lane in lanes for one in deciding(plan, lane)))
        kind = NoticeKind.PAUSED if wait.paused else NoticeKind.HELD
        words = texts.paused(plan) if wait.paused else texts.held(plan, wait.mark)
        behind = texts.behind_pause(plan) if wait.paused else texts.behind_hold(wait.mark, gate=wait.gate)
        told = _of_run(story, wait.key, kind, words, who, wait.mark.at, until=wait.over, environment=place)
        yield replace(told, backstage=f"{told.backstage}\n{behind}")


def _end(story: StoryOfNotices) -> Iterator[Notice]:
    plan, verdict = story.plan, story.outcomes.get("")
    if verdict and not story.outcomes.keys() - {""}:
        yield _ended(story, "", verdict.outcome, story.last_of(""))
    for mark in story.of(MarkKind.HYPERCARE_EXTENDED):
        until = mark.data.get("until")
        words = texts.hypercare_extended(
            plan, datetime.fromisoformat(str(until)) if until else None, str(mark.data.get("why") or "")
        )
        kind = NoticeKind.HYPERCARE_EXTENDED
        yield _of_run(story, f"hypercare/{until or mark.key}", kind, words, everybody(plan), mark.at)
    for mark in story.of(MarkKind.SURVEY_ASKED)[:1]:
        if story.survey_link and not story.of(MarkKind.SURVEY_ANSWERED):
            ends = mark.at + OPEN_FOR
            words = texts.survey_due(plan, story.survey_link, ends)
            yield _of_run(story, "survey", NoticeKind.SURVEY_DUE, words, of_client(plan), mark.at, until=ends)


def _ended(story: StoryOfNotices, environment: str, outcome: Outcome, at: datetime) -> Notice:
    wanted = outcome.is_success or (story.mode is Mode.BACK_OUT and outcome is Outcome.BACKED_OUT)
    words = texts.ended(story.plan, environment, outcome, wanted=wanted)
    kind = NoticeKind.FINISHED if wanted else NoticeKind.FAILED
    what = f"ended/{environment}/{outcome}"
    return _of_run(story, what, kind, words, everybody(story.plan), at, environment=environment)


def _began(story: StoryOfNotices, environment: str) -> datetime | None:
    """When the first host of the lane was touched; what the preparations did before does not count."""
    first = "back_out" if story.mode is Mode.BACK_OUT else "restore_point"
    times = [step.started_at for step in story.steps if (step.environment, step.step) == (environment, first)]
    return min(times, default=None)


def _of_run(
    story: StoryOfNotices,
    what: str,
    kind: NoticeKind,
    words: texts.Text,
    to: tuple[str, ...],
    since: datetime,
    *,
    until: datetime | None = None,
    environment: str = "",
) -> Notice:
    plan, run = story.plan, story.run.key
    subject, text = words
    return Notice(
        f"{run}/{what}",
        kind,
        plan.dag_id,
        plan.client,
        subject,
        text,
        to,
        since,
        until,
        run,
        environment,
        texts.backstage(run),
    )
