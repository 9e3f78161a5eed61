"""People are told what is due, each once, over the channels there are; and what could not be told is on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.memory import MemoryStore
from changeover.adapters.notice_entries import EntryNoticeBook
from changeover.domain.fault import Reading
from changeover.domain.freeze import FreezeCalendar
from changeover.domain.notice import Channels, Message, NoticeKind
from changeover.domain.notice_due import reminders
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind, StepRecord
from changeover.errors import NoticeError, NoticeRefused
from changeover.usecases.kickoff import tell_participants
from changeover.usecases.tell_people import Desk, Told, coming_nights, tell_due
from changeover.usecases.tools import Upgrade
from tests.support.windows import at
from tests.support.world import World, plan

NIGHT = {"kind": "dated", "zone": "Europe/Berlin", "on": date(2026, 8, 15), "start": time(22), "end": time(4)}
OPENS, CLOSES = at("2026-08-15T20:00"), at("2026-08-16T02:00")
PEOPLE = [
    {"id": "ops", "name": "Ops", "role": "upgrade_manager", "side": "provider", "email": "ops@provider.example"},
    {"id": "owner", "name": "Owner", "role": "client_approver", "side": "client", "email": "owner@client.example"},
    {
        "id": "support",
        "name": "Support",
        "role": "support_lead",
        "side": "provider",
        "email": "support@provider.example",
    },
]


@dataclass
class Post:
    """A channel that keeps what it was given; `down` and `refuses` say how it answers."""

    taken: list[tuple[str, Message]] = field(default_factory=list)
    down: bool = False
    refuses: set[str] = field(default_factory=set)

    def send(self, connection: str, message: Message) -> None:
        if self.down:
            raise NoticeError("no answer")
        if message.to and message.to.id in self.refuses:
            raise NoticeRefused("550 unknown")
        self.taken.append((connection, message))

    def told(self, kind: NoticeKind | None = None) -> list[tuple[str, str]]:
        return [
            (str(m.kind), m.to.id if m.to else "everybody") for _, m in self.taken if kind is None or m.kind is kind
        ]


@dataclass
class Shelf:
    of: Plan

    def plans(self, paths: Any) -> tuple[Reading[Plan], ...]:
        return (Reading("plan.yaml", self.of),)

    def freezes(self, client: str) -> Any:
        return Reading("freezes.yaml", FreezeCalendar.model_validate({"schema_version": 1, "client": client}))

    def role(self, application: str) -> Any:
        return Reading("role", None)


@dataclass
class Bench:
    world: World
    upgrade: Upgrade
    mail: Post
    hook: Post
    site: Channels = field(default_factory=lambda: Channels(email="post"))
    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def book(self) -> EntryNoticeBook:
        return EntryNoticeBook(self.store)

    def tell(self, **other: Any) -> Told:
        return tell_due(
            Desk(
                tools=self.world.tools(),
                book=self.book,
                channels={"email": self.mail, "webhook": self.hook},
                site=self.site,
                upgrade_of=lambda run: self.upgrade,
                survey_link=lambda run, asked_at: "https://here.example/survey/x",
                **other,
            )
        )

    def mark(self, kind: MarkKind, environment: str = "", **data: Any) -> None:
        self.world.ledger.mark(Mark(self.upgrade.run.key, kind, self.world.now, environment, "", data))

    def ended(self, environment: str, outcome: Outcome, *reasons: str) -> None:
        self.world.ledger.record_outcome(self.upgrade.run.key, environment, Verdict(outcome, reasons), self.world.now)

    def began(self, environment: str = "production") -> None:
        key = self.upgrade.run.key
        self.world.ledger.begin_step(StepRecord(key, environment, "restore_point", 1, self.world.now))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make(tmp_path)


def make(home: Path, *, mode: str = "implement", **changes: Any) -> Bench:
    environments = [environment.model_dump(exclude_unset=True) for environment in plan().environments]
    production = environments[-1] | {"window": NIGHT}
    of = plan(**{"participants": PEOPLE, "environments": [*environments[:-1], production]} | changes)
    world = World(home, now=at("2026-08-15T19:30"))
    return Bench(world, world.upgrade(of=of, mode=mode), Post(), Post())


def test_the_kickoff_goes_to_everybody_once(bench: Bench) -> None:
    tell_participants(bench.upgrade, bench.world.tools())
    for _ in range(3):
        bench.tell()
    assert bench.mail.told() == [("kickoff", who) for who in ("ops", "owner", "support")]
    assert {connection for connection, _ in bench.mail.taken} == {"post"}


def test_the_client_sees_the_stage_and_the_provider_what_is_behind_it(bench: Bench) -> None:
    """C: no host, no reason of a tool, no run key to the client, whatever the ledger says."""
    bench.began()
    bench.ended("production", Outcome.BACKED_OUT, "prod1: task 'secret=hunter2' broke")
    bench.tell()
    texts = {m.to.id: m.text for _, m in bench.mail.taken if m.to and m.kind is NoticeKind.FAILED}
    assert "put back to the old release" in texts["owner"]
    assert not any(word in texts["owner"] for word in ("prod1", "hunter2", bench.upgrade.run.key, "./changeover"))
    assert bench.upgrade.run.key in texts["ops"]
    assert "hunter2" not in texts["ops"]


def test_a_server_that_was_down_gets_it_later_and_once(bench: Bench) -> None:
    bench.began()
    bench.mail.down = True
    assert len(bench.tell().failed) == 3
    assert bench.tell().failed == []  # its time has not come again
    bench.mail.down, bench.world.now = False, bench.world.now + timedelta(minutes=1)
    assert len(bench.tell().sent) == 3
    bench.world.now += timedelta(minutes=30)
    assert bench.tell().sent == []
    assert len(bench.mail.taken) == 3


def test_an_outage_does_not_try_everything(bench: Bench) -> None:
    tell_participants(bench.upgrade, bench.world.tools())
    bench.began()
    bench.mail.down = True
    assert len(bench.tell().failed) == 3


def test_one_address_that_is_refused_stops_no_other(bench: Bench) -> None:
    bench.began()
    bench.mail.refuses = {"ops"}
    told = bench.tell()
    assert [d.to for d in told.not_sent] == ["ops"]
    assert [d.to for d in told.sent] == ["owner", "support"]
    bench.world.now += timedelta(hours=1)
    assert bench.tell().not_sent == []


def test_without_a_channel_it_is_on_record_that_nobody_was_told(bench: Bench) -> None:
    bench.site = Channels()
    bench.began()
    bench.tell()
    kept = bench.book.deliveries()
    assert [(d.kind, d.to, str(d.state), d.why) for d in kept] == [
        ("started", who, "not_sent", "no channel") for who in ("ops", "owner", "support")
    ]
    bench.site = Channels(email="post")
    bench.tell()
    assert bench.mail.taken == []  # what is over is not told when a channel comes


def test_the_plan_names_its_own_channels(tmp_path: Path) -> None:
    bench = make(tmp_path, notices={"webhook": "room"})
    bench.began()
    bench.tell()
    assert [connection for connection, _ in bench.hook.taken] == ["room"]
    assert bench.hook.taken[0][1].facts["environment"] == "production"
    assert "Record:" not in bench.hook.taken[0][1].text
    assert len(bench.mail.taken) == 3  # the site's mail still goes out


def test_a_person_without_an_address_is_on_record(tmp_path: Path) -> None:
    bench = make(tmp_path, participants=[{**person, "email": ""} for person in PEOPLE])
    bench.began()
    assert [d.why for d in bench.tell().not_sent] == ["no address"] * 3


def test_without_the_cmdb_nobody_is_written_off_for_want_of_an_address(tmp_path: Path) -> None:
    bench = make(tmp_path, participants=[{**PEOPLE[0], "email": ""}, *PEOPLE[1:]])
    bench.began()
    bench.world.cmdb.unavailable = True
    told = bench.tell()
    assert ([d.to for d in told.sent], told.not_sent) == (["owner", "support"], [])
    assert told.broken


def test_the_book_keeps_who_when_how_and_what(bench: Bench) -> None:
    bench.began()
    (first, *_) = bench.tell().sent
    assert (first.to, first.channel, first.at, first.attempt) == ("ops", "email", bench.world.now, 1)
    assert len(first.digest) == 64
    assert bench.book.deliveries()[0] == first
    assert bench.book.faults() == ()


@pytest.mark.parametrize(
    ("now", "told"),
    [("2026-08-14T19:59", False), ("2026-08-14T20:00", True), ("2026-08-15T19:59", True), ("2026-08-15T20:00", False)],
)
def test_participants_are_reminded_a_day_before_the_window_opens(bench: Bench, now: str, *, told: bool) -> None:
    bench.world.now = at(now)
    tools = bench.world.tools()
    nights = coming_nights(bench.upgrade.plan, (), tools.clock())
    found = reminders(bench.upgrade.plan, nights, (), tools.clock())
    assert [(n.environment, n.kind) for n in found] == [("production", NoticeKind.REMINDER)] * told


def test_a_reminder_needs_no_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with_shelf(bench, monkeypatch)
    bench.tell()
    assert bench.mail.told(NoticeKind.REMINDER) == [("reminder", who) for who in ("ops", "owner", "support")]
    assert "2026-08-15 22:00" in bench.mail.taken[0][1].text


def test_what_is_upgraded_needs_no_reminder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with_shelf(bench, monkeypatch)
    bench.ended("production", Outcome.SUCCESSFUL)
    bench.tell()
    assert bench.mail.told(NoticeKind.REMINDER) == []


def with_shelf(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    tools: Callable[[], Any] = bench.world.tools
    monkeypatch.setattr(bench.world, "tools", lambda: replace(tools(), shelf=Shelf(bench.upgrade.plan)))


def test_a_recurring_window_that_nobody_means_to_use_reminds_nobody(tmp_path: Path) -> None:
    window = {"kind": "recurring", "zone": "Europe/Berlin", "rule": "FREQ=DAILY", "since": date(2026, 1, 1),
              "start": time(22), "end": time(4)}  # fmt: skip
    environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
    environments[-1]["window"] = window
    now = at("2026-08-15T19:30")
    for unattended, agreed, count in ((None, (), 0), ({"window_of": "production"}, (), 1), (None, ("production",), 1)):
        of = plan(environments=environments, unattended=unattended)
        nights = coming_nights(of, (), now)
        assert len(reminders(of, nights, agreed, now)) == count


def test_who_has_to_answer_is_told_and_whoever_has_is_not(tmp_path: Path) -> None:
    bench = make(tmp_path, approval={"by": ["owner", "support"], "quorum": 2, "wait": "2h"})
    digest = bench.upgrade.run.plan_digest
    bench.mark(MarkKind.ASKED, gate="plan", plan_digest=digest)
    bench.mark(MarkKind.APPROVED, gate="plan", by="owner", plan_digest=digest)
    bench.tell(base_url="https://here.example")
    assert bench.mail.told() == [("approval_wanted", "support")]
    text = bench.mail.taken[0][1].text
    assert "2026-08-15 20:30Z" in text  # two hours would be 21:30Z, and the window's opening is missed by then
    assert "/dags/acme.tracker-2.6/runs/manual__1/tasks/s06_planning.approve_plan/required_actions" in text
    bench.mark(MarkKind.APPROVED, gate="plan", by="support", plan_digest=digest)
    bench.tell()
    assert len(bench.mail.taken) == 1


def test_a_request_that_is_over_is_not_told_any_more(bench: Bench) -> None:
    bench.mark(MarkKind.ASKED, gate="plan", plan_digest=bench.upgrade.run.plan_digest)
    bench.world.now += timedelta(hours=5)
    bench.tell()
    assert bench.mail.taken == []


@pytest.mark.parametrize(
    ("outcome", "kind", "head"),
    [
        (Outcome.SUCCESSFUL, NoticeKind.FINISHED, "Finished"),
        (Outcome.BACKED_OUT, NoticeKind.FAILED, "Not upgraded"),
        (Outcome.REFUSED, NoticeKind.FAILED, "Not upgraded"),
        (Outcome.BACK_OUT_FAILED, NoticeKind.FAILED, "Attention"),
        (Outcome.UNKNOWN, NoticeKind.FAILED, "Attention"),
    ],
)
def test_every_end_has_its_words(bench: Bench, outcome: Outcome, kind: NoticeKind, head: str) -> None:
    bench.ended("production", outcome)
    bench.tell()
    assert bench.mail.told() == [(str(kind), who) for who in ("ops", "owner", "support")]
    assert bench.mail.taken[0][1].subject.startswith(f"{head}: Tracker, production")


def test_a_back_out_that_was_asked_for_has_finished(tmp_path: Path) -> None:
    bench = make(tmp_path, mode="back-out")
    bench.ended("production", Outcome.BACKED_OUT)
    bench.tell()
    assert {kind for kind, _ in bench.mail.told()} == {"finished"}


def test_a_missed_window_proposes_the_next_and_is_told_once_for_all_lanes(tmp_path: Path) -> None:
    window = {"kind": "recurring", "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY;BYDAY=SA",
              "since": date(2026, 8, 1), "start": time(22), "end": time(4)}  # fmt: skip
    environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
    bench = make(tmp_path, environments=[environments[0], *({**e, "window": window} for e in environments[1:])])
    bench.world.now = at("2026-08-15T21:30")
    for name in ("training", "production"):
        bench.ended(name, Outcome.MISSED, "later than the tolerance")
    bench.tell()
    assert bench.mail.told() == [("missed", who) for who in ("ops", "owner", "support")]
    text = bench.mail.taken[0][1].text
    assert "training, production" in text
    assert "Sat 2026-08-22 22:00" in text


@pytest.mark.parametrize(
    ("now", "kinds"),
    [
        ("2026-08-16T01:29", set()),
        ("2026-08-16T01:30", {"decide_by_near"}),
        ("2026-08-16T01:59", {"decide_by_near"}),
        ("2026-08-16T02:00", {"decide_by_passed"}),
    ],
)
def test_the_clock_of_no_return_is_told_to_those_who_decide(tmp_path: Path, now: str, kinds: set[str]) -> None:
    """Nothing was measured here, so the last moment is the window's end."""
    bench = make(tmp_path)
    bench.world.now = at("2026-08-15T20:05")
    bench.began()
    bench.tell()
    bench.mail.taken.clear()
    bench.world.now = at(now)
    bench.tell()
    assert {kind for kind, _ in bench.mail.told()} == kinds
    assert {who for _, who in bench.mail.told()} == ({"ops", "support"} if kinds else set())
    bench.mail.taken.clear()
    bench.mark(MarkKind.DECIDED, "production", decision="commit")
    bench.tell()
    assert bench.mail.taken == []


def test_the_survey_goes_to_the_client_until_it_is_answered(bench: Bench) -> None:
    bench.mark(MarkKind.SURVEY_ASKED, title="Tracker")
    bench.tell()
    assert bench.mail.told() == [("survey_due", "owner")]
    assert "https://here.example/survey/x" in bench.mail.taken[0][1].text
    assert "survey/x" not in str(bench.book.deliveries())  # the link is a permission: only its digest is kept


def test_a_longer_watch_is_told(bench: Bench) -> None:
    bench.mark(MarkKind.HYPERCARE_EXTENDED, until="2026-08-20T12:00:00+00:00", why="one incident is open")
    bench.tell()
    assert "2026-08-20 12:00Z" in bench.mail.taken[0][1].text


def test_an_analysis_tells_nobody(tmp_path: Path) -> None:
    bench = make(tmp_path, mode="analyse")
    tell_participants(bench.upgrade, bench.world.tools())
    bench.tell()
    assert bench.mail.taken == []


def test_old_news_is_not_told(bench: Bench) -> None:
    bench.began()
    bench.world.now += timedelta(days=4)
    bench.tell()
    assert bench.mail.taken == []


def test_a_run_that_cannot_be_read_hides_no_other(bench: Bench) -> None:
    from changeover.errors import PlanError

    bench.began()
    good, bad = bench.upgrade, bench.world.upgrade(of=plan(upgrade="other"))

    def upgrade_of(run: Any) -> Upgrade:
        if run.key == bad.run.key:
            raise PlanError("an older format")
        return good

    desk = Desk(
        tools=bench.world.tools(),
        book=bench.book,
        channels={"email": bench.mail},
        site=bench.site,
        upgrade_of=upgrade_of,
    )
    told = tell_due(desk)
    assert (len(told.sent), len(told.broken)) == (3, 1)


def test_a_library_that_trips_over_one_notice_stands_before_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.began()
    send = bench.mail.send

    def trips(connection: str, message: Message) -> None:
        if message.to and message.to.id == "ops":
            raise UnicodeError("what is this?")
        send(connection, message)

    monkeypatch.setattr(bench.mail, "send", trips)
    told = bench.tell()
    assert [(d.to, d.why) for d in told.failed] == [("ops", "UnicodeError: what is this?")]
    assert [d.to for d in told.sent] == ["owner", "support"]


def test_of_two_processes_one_sends(bench: Bench) -> None:
    """The second finds the try under way; one that never ended is taken for lost after five minutes."""
    now: datetime = bench.world.now
    book, other = bench.book, EntryNoticeBook(bench.store)
    assert book.begin("k", plan="p", at=now) == 1
    assert other.begin("k", plan="p", at=now + timedelta(minutes=4)) is None
    assert other.begin("k", plan="p", at=now + timedelta(minutes=5)) == 2
