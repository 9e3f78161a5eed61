"""Tell people what is due, each once: read runs and plans, ask the book what was sent, send the rest."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote

from changeover.domain.approval import Tally, approval_of
from changeover.domain.estate import Person
from changeover.domain.freeze import Freezes, freezes_of
from changeover.domain.lane import lane_group
from changeover.domain.no_return import NoReturn
from changeover.domain.notice import (
    EVERYBODY,
    Channels,
    Delivery,
    DeliveryState,
    Message,
    Notice,
    Route,
    channels_of,
    delivery_key,
    digest,
    people_of,
    routes,
)
from changeover.domain.notice_due import TOLD_WITHIN, Asked, StoryOfNotices, due, reminders
from changeover.domain.plan import Approval, Mode, Plan
from changeover.domain.record import MarkKind, Run
from changeover.domain.window import AnyTime, Occurrence
from changeover.domain.window_start import openings
from changeover.errors import ChangeoverError, NoticeError, NoticeRefused, PlanError
from changeover.ports import Channel, NoticeBook
from changeover.usecases.ask import MOMENT, answer_by, tally_of, time_left
from changeover.usecases.lane_clock import clock_of
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.unheard_nights import unheard_nights

log = logging.getLogger(__name__)

TASKS = {
    "plan": "s06_planning.approve_plan",
    "support": "s10_support.support_accepts",
    "hypercare": "s10_support.hypercare",
}
"""Gates of the whole upgrade → the task that asks."""
LOOKED_AT = 200
FORGOTTEN = timedelta(days=30)
"""An open run of which nothing was written for so long has nothing to tell; the sweep reports it."""
OUTAGE_AFTER = 3
"""So many failures of a channel in a row are an outage: the rest waits for the next pass."""


@dataclass(frozen=True)
class Desk:
    """What is needed to tell people. `upgrade_of` gives a run with its pinned plan."""

    tools: Tools
    book: NoticeBook
    channels: Mapping[str, Channel]
    site: Channels
    upgrade_of: Callable[[Run], Upgrade]
    base_url: str = ""
    """Where people reach Airflow's pages."""
    survey_link: Callable[[str, datetime], str] = lambda run, asked_at: ""
    presented_since: Callable[[str], datetime | None] = lambda digest: None
    """Since when Airflow has the plan with a digest."""


@dataclass
class Told:
    """What one pass did. `broken`: runs and plans of which nothing could be told, and why."""

    sent: list[Delivery] = field(default_factory=list)
    failed: list[Delivery] = field(default_factory=list)
    not_sent: list[Delivery] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    in_a_row: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{len(self.sent)} sent, {len(self.failed)} failed, {len(self.not_sent)} not to be sent"


def tell_due(desk: Desk) -> Told:
    """One pass. Safe to be repeated, and beside another: the book lets a notice go out once."""
    told = Told()
    for plan, notices in _due(desk, told):
        (people, complete), channels = _people(desk, plan, told), channels_of(plan.notices, desk.site)
        settled = desk.book.settled(plan.dag_id)
        for notice in notices:
            if any(delivery_key(notice.key, "", who) in settled for who in (*notice.to, EVERYBODY)):
                continue  # it went by without a channel, and a channel that came since does not bring it back
            for route in routes(notice, channels, people):
                missing = route.channel and route.obstacle and not complete  # the CMDB may know the address yet
                if not missing and delivery_key(notice.key, route.channel, route.to) not in settled:
                    _deliver(desk, notice, route, told)
    return told


def _due(desk: Desk, told: Told) -> Iterator[tuple[Plan, Sequence[Notice]]]:
    tools, now = desk.tools, desk.tools.clock()
    for run in tools.ledger.runs(limit=LOOKED_AT):
        if not _recent(desk, run, now):
            continue
        try:
            upgrade = desk.upgrade_of(run)
            story = story_of(desk, upgrade)
            told.broken += [f"{run.key}: {why}" for why in story.unread]
            yield upgrade.plan, due(story, now)
        except Exception as exc:  # noqa: BLE001 -- whatever one run's record does, the others' people are told
            told.broken.append(f"{run.key}: {exc}")
    for plan, text in _plans(tools):
        try:
            agreed, done = _agreed_and_done(tools, plan)
            freezes = _freezes(tools, plan)
            found = coming_nights(plan, freezes, now)
            nights = {name: night for name, night in found.items() if name not in done}
            yield plan, reminders(plan, nights, agreed, now)
            since, settled = desk.presented_since(text), desk.book.settled(plan.dag_id)
            yield plan, unheard_nights(plan, freezes, tools, done=done, presented=since, told=settled)
        except Exception as exc:  # noqa: BLE001 -- and so with plans
            told.broken.append(f"{plan.dag_id}: {exc}")


def _recent(desk: Desk, run: Run, now: datetime) -> bool:
    """Something happened while news is news, or it is open and was not forgotten."""
    if run.mode not in (Mode.IMPLEMENT, Mode.BACK_OUT, Mode.REHEARSE):
        return False
    marks = desk.tools.ledger.marks(run.key)
    last = max((mark.at for mark in marks), default=run.opened_at)
    closed = any(mark.kind is MarkKind.CHANGE_CLOSED for mark in marks)
    return now - last <= (TOLD_WITHIN if closed else FORGOTTEN)


def story_of(desk: Desk, upgrade: Upgrade) -> StoryOfNotices:
    """Everything of a run that there may be something to tell of."""
    tools, run, ledger = desk.tools, upgrade.run, desk.tools.ledger
    marks, now = ledger.marks(run.key), tools.clock()
    asked_survey = next((mark for mark in marks if mark.kind is MarkKind.SURVEY_ASKED), None)
    clocks, unread = _clocks(upgrade, tools)
    following = coming_nights(upgrade.plan, _freezes(tools, upgrade.plan), now, opening_after=now)
    return StoryOfNotices(
        plan=upgrade.plan,
        run=run,
        marks=marks,
        steps=ledger.steps(run.key),
        outcomes=ledger.outcomes(run.key),
        asked=tuple(_asked(upgrade, desk)),
        nights={name: clock.night for name, clock in clocks.items()},
        decide_by={name: clock.decide_by for name, clock in clocks.items()},
        following=following,
        survey_link=desk.survey_link(run.key, asked_survey.at) if asked_survey else "",
        unread=unread,
    )


def coming_nights(
    plan: Plan, freezes: Freezes, now: datetime, *, opening_after: datetime | None = None
) -> dict[str, Occurrence]:
    """Environment → its next night on offer that has not closed yet, or that opens after an instant."""
    nights = {}
    for lane in plan.lanes:
        if isinstance(lane.window, AnyTime):
            continue
        offered = openings(lane.window, freezes_of(plan, lane, freezes), closing_after=now, covered=plan.covered)
        night = next((n for n in offered if opening_after is None or n.opens > opening_after), None)
        if night:
            nights[lane.name] = night
    return nights


def _asked(upgrade: Upgrade, desk: Desk) -> Iterator[Asked]:
    tools = desk.tools
    asked = tools.ledger.marks(upgrade.run.key, kind=MarkKind.ASKED)
    for gate, environment in dict.fromkeys((str(mark.data.get("gate")), mark.environment) for mark in asked):
        approval = approval_of(upgrade.plan, gate, environment)
        if approval is None:
            continue
        tally = tally_of(upgrade, tools, gate=gate, environment=environment)
        if tally.open and tally.asked_at:
            until = _waited_for(upgrade, tools, tally, approval, gate, environment)
            yield Asked(gate, environment, tally, until, page_of_request(upgrade.run, gate, environment, desk.base_url))


def _waited_for(
    upgrade: Upgrade, tools: Tools, tally: Tally, approval: Approval, gate: str, environment: str
) -> datetime:
    """As long as Airflow waits: never past the moment at which an answer comes too late."""
    now = tools.clock()
    try:
        too_late = answer_by(upgrade, tools, gate, environment)
    except PlanError:  # the client's freezes: the night that was agreed, and its end, hold without them
        clock = _clocks(upgrade, tools)[0].get(environment)
        too_late = clock.decide_by if clock else None
    left = time_left(tally, approval, now, too_late)
    return now + left if left > MOMENT else now


def page_of_request(run: Run, gate: str, environment: str, base_url: str) -> str:
    """The page of Airflow on which the request is answered; "" where nobody knows an address of ours."""
    task = f"{lane_group(environment)}.{gate}" if environment else TASKS.get(gate)
    page = f"{base_url}/dags/{run.dag_id}/runs/{quote(run.dag_run_id, safe='')}"
    if not base_url:
        return ""
    return f"{page}/tasks/{task}/required_actions" if task else page


def _clocks(upgrade: Upgrade, tools: Tools) -> tuple[dict[str, NoReturn], tuple[str, ...]]:
    """The watcher's own clock of each lane: of the night that was agreed, else of the one that is planned now.

    What cannot be read, such as the client's freezes, is told; it keeps nothing else from being told.
    """
    clocks: dict[str, NoReturn] = {}
    unread = []
    for lane in upgrade.lanes:
        try:
            clock = clock_of(upgrade, tools, lane)
        except PlanError as exc:
            unread.append(f"decide-by of {lane.name}: {exc}")
        else:
            clocks |= {lane.name: clock} if clock else {}
    return clocks, tuple(unread)


def _plans(tools: Tools) -> list[tuple[Plan, str]]:
    """Each with the digest of its text."""
    readings = tools.shelf.plans([tools.settings.plans]) if tools.shelf else ()
    return [(reading.document, reading.digest) for reading in readings if reading.document]


def _freezes(tools: Tools, plan: Plan) -> Freezes:
    calendar = tools.shelf.freezes(plan.client).document if tools.shelf else None
    return calendar.freezes if calendar else ()


def _agreed_and_done(tools: Tools, plan: Plan) -> tuple[list[str], set[str]]:
    """Environments whose night an open run has agreed on, and those an earlier run has upgraded."""
    agreed: list[str] = []
    done: set[str] = set()
    for run in tools.ledger.runs(limit=LOOKED_AT):
        if run.dag_id != plan.dag_id or run.mode != Mode.IMPLEMENT:
            continue
        outcomes = tools.ledger.outcomes(run.key)
        done |= {name for name, verdict in outcomes.items() if name and verdict.outcome.is_success}
        if "" not in outcomes:
            agreed += [mark.environment for mark in tools.ledger.marks(run.key, kind=MarkKind.WINDOW_AGREED)]
    return agreed, done


def _people(desk: Desk, plan: Plan, told: Told) -> tuple[tuple[Person, ...], bool]:
    """Addresses of the CMDB complete the plan's; without the CMDB those that the plan has are used, and it is told."""
    try:
        return people_of(plan.participants, desk.tools.cmdb.people(plan.client)), True
    except ChangeoverError as exc:
        told.broken.append(f"{plan.dag_id}: addresses: {exc}")
        return plan.participants, False


def _deliver(desk: Desk, notice: Notice, route: Route, told: Told) -> None:
    now, text = desk.tools.clock(), notice.text_for(route.person)
    delivery = Delivery(
        notice.key, notice.kind, notice.plan, notice.run, notice.environment, route.to, route.channel,
        DeliveryState.NOT_SENT, now, digest(notice.subject, text), notice.subject, why=route.obstacle,
    )  # fmt: skip
    if route.obstacle:
        _keep(desk, delivery, told.not_sent)
        return
    if told.in_a_row.get(route.channel, 0) >= OUTAGE_AFTER:
        return
    number = desk.book.begin(delivery.key, plan=notice.plan, at=now)
    if number is not None:
        _send(desk, notice, route, replace(delivery, attempt=number), told)


def _send(desk: Desk, notice: Notice, route: Route, delivery: Delivery, told: Told) -> None:
    facts = {"plan": notice.plan, "client": notice.client, "run": notice.run, "environment": notice.environment}
    message = Message(
        hashlib.sha256(delivery.key.encode()).hexdigest()[:32], notice.kind, notice.subject,
        notice.text_for(route.person), route.person, facts,
    )  # fmt: skip
    channel = desk.channels.get(route.channel)
    try:
        if channel is None:
            raise NoticeError(f"no {route.channel} can be sent from here")
        channel.send(route.connection, message)
    except NoticeRefused as exc:
        told.in_a_row[route.channel] = 0
        _keep(desk, replace(delivery, why=str(exc)), told.not_sent)
    except Exception as exc:  # noqa: BLE001 -- a library that trips over one notice must not stand before the others
        told.in_a_row[route.channel] = told.in_a_row.get(route.channel, 0) + 1
        _keep(desk, replace(delivery, state=DeliveryState.FAILED, why=_why(exc)), told.failed)
    else:
        told.in_a_row[route.channel] = 0
        _keep(desk, replace(delivery, state=DeliveryState.SENT), told.sent)


def _why(exc: Exception) -> str:
    return str(exc) if isinstance(exc, NoticeError) else f"{type(exc).__name__}: {exc}"


def _keep(desk: Desk, delivery: Delivery, among: list[Delivery]) -> None:
    desk.book.record(delivery)
    among.append(delivery)
    log.info("notice %s: %s %s", delivery.state, delivery.notice, delivery.told())
