"""A seeded ledger of many runs, and beside it, in plain Python, what was put in: KPIs are recomputed from that."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from changeover.adapters import sql
from changeover.adapters.effort_entries import EntryEffortBook
from changeover.adapters.ledger_tables import LEDGER, entry
from changeover.adapters.memory import MemoryLedger, MemoryStore
from changeover.domain.effort import Effort
from changeover.domain.outcome import Outcome, Verdict, run_verdict
from changeover.domain.rate_card import RateCard
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, StepStatus
from tests.support.records import a_gate

CLIENTS = ("acme", "lindgren", "nordwind")
APPLICATIONS = ("roundup", "tryton")
TEAMS = ("", "north", "south")
GOOD = (Outcome.SUCCESSFUL, Outcome.SUCCESSFUL_WITH_ISSUES)
LANE_OUTCOMES = (*GOOD, *GOOD, Outcome.SUCCESSFUL, Outcome.BACKED_OUT, Outcome.REFUSED, Outcome.MISSED, Outcome.UNKNOWN)

CARDS: tuple[dict[str, Any], ...] = (
    {"valid_from": "2026-01-01", "rates": {"upgrade_manager": "95.00", "support_lead": "80.05"},
     "attended": {"plan": {"role": "upgrade_manager", "percent": 10},
                  "support": {"role": "support_lead", "percent": 0}}},
    {"valid_from": "2026-04-15", "rates": {"upgrade_manager": "99.99", "engineer": "88.50"},
     "attended": {"rework": {"role": "engineer", "percent": 50}}},
)  # fmt: skip


@dataclass
class Lane:
    environment: str
    outcome: Outcome
    settled: datetime
    closes: datetime | None


@dataclass
class Lost:
    """Time lost, as it was told: `measure` names what the machine measured, `role` what a time sheet says."""

    run: str
    day: str
    why: str
    seconds: int
    measure: str = ""
    role: str = ""


@dataclass
class Told:
    """One run, as it was put into the ledger."""

    run: Run
    ended: datetime | None = None
    outcome: Outcome | None = None
    lanes: list[Lane] = field(default_factory=list)
    watched: bool = False
    incidents: dict[str, int] = field(default_factory=dict)
    score: int | None = None
    lost: list[Lost] = field(default_factory=list)


class Seeded:
    """Writes the runs in memory and copies the entries; the same number makes the same ledger."""

    def __init__(self, runs: int, seed: int = 20261125) -> None:
        self.random = random.Random(seed)
        self.store = MemoryStore()
        self.ledger = MemoryLedger()
        self.ledger._store = self.store
        self.book = EntryEffortBook(self.store, clock=lambda: datetime(2026, 12, 1, tzinfo=UTC))
        for card in CARDS:
            self.book.record_rate_card(
                RateCard.model_validate({"schema_version": 1, "provider": "us", "currency": "EUR", **card})
            )
        self.told = [self._run(number) for number in range(runs)]
        self.sheets = self._sheets()

    def copy_to(self, url: str) -> None:
        sql.migrate(url, LEDGER)
        database = sql.Database(url, LEDGER)
        names = [column.name for column in entry.c if column.name != "id"]
        rows = [
            {name: getattr(kept, name) for name in names} | {"kind": kept.kind.value}
            for chain in self.store.chains.values()
            for kept in chain
        ]
        with database.writing("seed") as connection:
            connection.execute(sa.insert(entry), rows)
        database.close()

    def _run(self, number: int) -> Told:
        pick = self.random
        client, application = pick.choice(CLIENTS), pick.choice(APPLICATIONS)
        opened = datetime(2026, 1, 3, tzinfo=UTC) + timedelta(seconds=pick.randrange(240 * 86400))
        mode = pick.choices(("implement", "rehearse", "back-out"), (8, 1, 1))[0]
        run = Run(
            f"{client}.up.{number:04d}", f"{client}.up", f"manual__{number}", client, "up", application, mode,
            ("training", "production"), "d" * 64, "text", "anna", "why \0 \udc80 not", "", opened, pick.choice(TEAMS),
        )  # fmt: skip
        told = Told(self.ledger.open_run(run))
        self._at = opened
        if mode == "implement" and pick.random() < 0.9:  # others are refused at their entry
            self._implement(told)
        elif mode == "back-out":
            self._lane(told, "production", Outcome.BACKED_OUT)
        if pick.random() < 0.9:
            self._end(told)
        return told

    def _later(self, most: int = 4000) -> datetime:
        self._at += timedelta(seconds=self.random.randrange(1, most), microseconds=self.random.randrange(10**6))
        return self._at

    def _mark(self, told: Told, kind: MarkKind, environment: str = "", **data: Any) -> datetime:
        at = self._later()
        self.ledger.mark(Mark(told.run.key, kind, at, environment, "", data))
        return at

    def _implement(self, told: Told) -> None:
        self._ask(told, "plan", "", self._mark(told, MarkKind.RUN_SHEET, text="sheet"))
        for environment in ("training", "production"):
            outcome = self.random.choice(LANE_OUTCOMES)
            self._lane(told, environment, outcome)
            if outcome not in GOOD:
                self._unwatched(told)
                return
        if self.random.random() < 0.85:
            self._watch(told)
        else:
            self._unwatched(told)

    def _unwatched(self, told: Told) -> None:
        """Incidents of an upgrade that is not counted among the watched ones are not counted either."""
        for number in range(self.random.choice((0, 0, 3))):
            self._mark(told, MarkKind.INCIDENT_SEEN, number=f"INC{number}", severity=1, opened_at="then")

    def _lane(self, told: Told, environment: str, outcome: Outcome) -> None:
        closes = self._at + timedelta(seconds=self.random.randrange(90000)) if self.random.random() < 0.7 else None
        if closes and told.run.mode == "implement":
            data = {"closes": closes.isoformat(), "closes_second": int(closes.timestamp())}
            self._mark(told, MarkKind.WINDOW_AGREED, environment, **data)
        else:
            closes = None
        self._mark(told, MarkKind.LANE_STARTED, environment)
        if outcome not in (Outcome.REFUSED, Outcome.MISSED):
            self._change(told, environment, outcome)
        if self.random.random() < 0.2 and outcome is not Outcome.UNKNOWN:  # settled twice: the newest counts
            self.ledger.record_outcome(told.run.key, environment, Verdict(Outcome.UNKNOWN), self._later())
        committed = self._mark(told, MarkKind.COMMITTED, environment) if outcome in GOOD else None
        settled = self._later()
        self.ledger.record_outcome(told.run.key, environment, Verdict(outcome, ("because \0",)), settled)
        if self.random.random() < 0.3:  # its last task was cleared days later: nothing new is known
            again = self._later(30 * 86400)
            self.ledger.record_outcome(told.run.key, environment, Verdict(outcome, ("because \0",)), again)
        settled = committed or settled
        told.lanes.append(Lane(environment, outcome, settled, closes))

    def _change(self, told: Told, environment: str, outcome: Outcome) -> None:
        self._ask(told, "go_no_go", environment, self._gate(told, "readiness", environment))
        for generation in range(1, self.random.choice((1, 1, 2, 3)) + 1):
            for step in ("implement", "acceptance", "acceptance_verify"):
                self._step(told, environment, step, generation)
        self._ask(told, "sign_off", environment, self._gate(told, "acceptance", environment))
        if outcome is Outcome.BACKED_OUT:
            began = self._mark(told, MarkKind.BACKING_OUT, environment)
            self._step(told, environment, "back_out", 2, count=False)
            ended = self._mark(told, MarkKind.BACKED_OUT, environment)
            self._lost(told, began, ended, "back_out", "back_out")

    def _gate(self, told: Told, name: str, environment: str) -> datetime:
        at = self._later()
        self.ledger.record_gate(told.run.key, a_gate(name=name, environment=environment), at)
        return at

    def _ask(self, told: Told, gate: str, environment: str, asked: datetime) -> None:
        """Somebody answers, or the rule does, or two do: the first answer that decides ends the wait."""
        by = self.random.choice(("anna", "anna", "nobody: no answer in time", "rule: passed"))
        kind = self.random.choice((MarkKind.APPROVED, MarkKind.REJECTED))
        if by == "anna" and self.random.random() < 0.4:  # the first of two
            self._mark(told, MarkKind.APPROVED, environment, gate=gate, by="ben", decides=False)
        decides = {"decides": True} if self.random.random() < 0.5 else {}  # not told in older entries
        at = self._mark(told, kind, environment, gate=gate, by=by, **decides)
        if not by.startswith("rule"):
            self._lost(told, asked, at, "wait", gate)
            if self.random.random() < 0.2:
                self._mark(told, MarkKind.APPROVED, environment, gate=gate, by="anna")

    def _step(self, told: Told, environment: str, step: str, generation: int, *, count: bool = True) -> None:
        begun = StepRecord(told.run.key, environment, step, generation, self._later())
        self.ledger.begin_step(begun)
        ended = self._later(900)
        self.ledger.end_step(replace(begun, ended_at=ended, status=StepStatus.FAILED, reasons=("\ud83d half",)))
        if count and generation > 1 and step != "acceptance_verify":
            self._lost(told, begun.started_at, ended, "rework", "rework")

    def _watch(self, told: Told) -> None:
        told.watched = True
        for number in range(self.random.choice((0, 0, 1, 2, 4))):
            for severity in self.random.sample((1, 2, 3, 4), self.random.choice((1, 2))):  # the newest counts
                self._mark(told, MarkKind.INCIDENT_SEEN, number=f"INC{number}", severity=severity, opened_at="then")
                told.incidents[f"INC{number}"] = severity
        self._mark(told, MarkKind.HYPERCARE_CHECKED, passed=True)
        for _ in range(self.random.choice((0, 0, 1, 2))):
            self._ask(told, "hypercare", "", self._mark(told, MarkKind.HYPERCARE_REOPENED, reason="a threshold"))
        self._ask(told, "support", "", self._gate(told, "hypercare", ""))

    def _end(self, told: Told) -> None:
        told.outcome = self._outcome(told)
        if told.outcome is not Outcome.UNKNOWN:
            self.ledger.record_outcome(told.run.key, "", Verdict(Outcome.UNKNOWN), self._later())
        told.ended = self._later(40 * 86400)
        self.ledger.record_outcome(told.run.key, "", Verdict(told.outcome), told.ended)
        if self.random.random() < 0.3:  # recorded again in another month: it stays where it was
            self.ledger.record_outcome(told.run.key, "", Verdict(told.outcome), self._later(40 * 86400))
        if self.random.random() < 0.5:
            told.score = self.random.randrange(1, 6)
            self._mark(told, MarkKind.SURVEY_ANSWERED, overall=told.score)

    def _outcome(self, told: Told) -> Outcome:
        """As a run computes it from its lanes; one that never came to a lane was refused."""
        lanes = {lane.environment: Verdict(lane.outcome) for lane in told.lanes}
        return run_verdict(lanes, planned=told.run.environments).outcome

    @staticmethod
    def _lost(told: Told, began: datetime, ended: datetime, why: str, measure: str) -> None:
        seconds = int(ended.timestamp()) - int(began.timestamp())
        told.lost.append(Lost(told.run.key, f"{began:%Y-%m-%d}", why, seconds, measure))

    def _sheets(self) -> list[Effort]:
        pick, sheets = self.random, []
        for told in pick.sample(self.told, len(self.told) // 2):
            billable = pick.random() < 0.3
            why = "" if billable else pick.choice(("wait", "rework", "back_out", "out_of_scope", "other"))
            day = f"2026-0{pick.randrange(1, 10)}-{pick.randrange(1, 28):02d}"
            role = pick.choice(("upgrade_manager", "support_lead", "engineer", "stranger"))
            run, by_plan = told.run, pick.random() < 0.2
            sheets.append(
                Effort("anna", role, day, pick.randrange(1, 800) * 36, "" if by_plan else run.key, run.dag_id,
                       billable, why, "", run.client, run.application, run.team)
            )  # fmt: skip
        assert self.book.record_efforts(sheets) == len(set(sheets))
        return sheets
