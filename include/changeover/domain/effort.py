"""Time sheets: who worked how long on which upgrade, and whether the client pays for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from changeover.domain.fault import Fault

COLUMNS = ("who", "role", "date", "hours", "run", "plan", "billable")
OPTIONAL = ("why", "note")
WHYS = ("wait", "rework", "back_out", "out_of_scope", "other")
"""Why nobody pays for it."""
DAY = 24 * 3600
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOURS = re.compile(r"[0-9]{0,2}([.,][0-9]{1,2}0*)?(?<=[0-9])")
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Effort:
    """One line of a time sheet. `day` is an ISO date; names a run, or the plan (its DAG id) where no run fits."""

    who: str
    role: str
    day: str
    seconds: int
    run: str
    plan: str
    billable: bool
    why: str = ""
    note: str = ""
    client: str = ""
    application: str = ""
    team: str = ""

    @property
    def line(self) -> tuple[str | int | bool, ...]:
        """What the sheet says; whose upgrade it is follows from that."""
        return (*self.work[:3], self.seconds, *self.work[3:])

    @property
    def work(self) -> tuple[str | bool, ...]:
        """The line without its hours: who did what, when and why."""
        return (self.who, self.role, self.day, self.run, self.plan, self.billable, self.why, self.note)


@dataclass(frozen=True)
class Work:
    """What a line may be booked on: a run, or a plan."""

    plan: str
    client: str
    application: str
    team: str


@dataclass(frozen=True)
class Known:
    """What a time sheet is held against."""

    runs: Mapping[str, Work]
    plans: Mapping[str, Work]
    has_rate: Callable[[str, date], bool]
    today: date
    recorded: tuple[Effort, ...] = ()
    """Lines that count already."""


@dataclass(frozen=True)
class Line:
    """A line as it was read: its number in the file, and the text of each column."""

    number: int
    cells: Mapping[str, str]


def read_effort(
    file: str, header: tuple[str, ...], lines: Iterable[Line], known: Known
) -> tuple[tuple[Effort, ...], tuple[Fault, ...]]:
    """Every line, or every fault: a time sheet is taken whole or not at all."""
    faults = _header_faults(file, header)
    if faults:
        return (), tuple(faults)
    efforts: list[tuple[int, Effort]] = []
    for line in lines:
        reader = _Reader(file, line, known)
        effort = reader.effort()
        faults += reader.faults
        if effort is not None:
            efforts.append((line.number, effort))
    faults += (*_long_days(file, efforts, known.recorded), *_corrections(file, efforts, known.recorded))
    if not efforts and not faults:
        faults.append(Fault(file, 0, "", "holds no line of work"))
    return (() if faults else tuple(effort for _, effort in efforts)), tuple(faults)


def _header_faults(file: str, header: tuple[str, ...]) -> list[Fault]:
    counts = Counter(header)
    return [
        *(Fault(file, 1, name, "this column is missing") for name in COLUMNS if name not in counts),
        *(
            Fault(file, 1, name, f"is not a column of a time sheet; known: {', '.join((*COLUMNS, *OPTIONAL))}")
            for name in counts
            if name not in (*COLUMNS, *OPTIONAL)
        ),
        *(Fault(file, 1, name, "this column is there twice") for name, count in counts.items() if count > 1),
    ]


class _Reader:
    """One line, with everything that is wrong with it."""

    def __init__(self, file: str, line: Line, known: Known) -> None:
        self._file, self._line, self._known = file, line, known
        self.faults: list[Fault] = []

    def effort(self) -> Effort | None:
        day, seconds, billable = self._day(), self._seconds(), self._billable()
        who, role = self._text("who", needed=True), self._role(day)
        run, plan, work = self._work()
        why = self._why(billable=billable)
        note = self._text("note")
        if surplus := self._cell(""):
            self._wrong("", f"has more cells than the head has columns: {surplus}")
        if self.faults or day is None or seconds is None or billable is None or work is None:
            return None
        effort = Effort(who, role, day.isoformat(), seconds, run, plan, billable, why, note)
        return replace(effort, client=work.client, application=work.application, team=work.team)

    def _cell(self, column: str) -> str:
        return self._line.cells.get(column, "").strip()

    def _wrong(self, column: str, message: str) -> None:
        self.faults.append(Fault(self._file, self._line.number, column, message))

    def _text(self, column: str, *, needed: bool = False) -> str:
        text = self._cell(column)
        if needed and not text:
            self._wrong(column, "is empty")
        if len(text) > 200 or not text.isprintable():
            self._wrong(column, "must be one line of at most 200 characters")
        return text

    def _day(self) -> date | None:
        text = self._cell("date")
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None:
            self._wrong("date", f"{text!r} is not a date such as 2026-11-25")
        elif day > self._known.today:
            self._wrong("date", f"{day} has not come yet")
        return day

    def _seconds(self) -> int | None:
        text = self._cell("hours")
        hours = Decimal(text.replace(",", ".")) if _HOURS.fullmatch(text) else Decimal(0)
        if not 0 < hours <= 24:
            self._wrong("hours", f"{text!r} is not a number of hours such as 1.25, above 0 and at most 24")
            return None
        return int(hours * 3600)

    def _billable(self) -> bool | None:
        text = self._cell("billable").lower()
        if text not in _YES_NO:
            self._wrong("billable", f"{text!r} is neither yes nor no")
        return _YES_NO.get(text)

    def _role(self, day: date | None) -> str:
        role = self._text("role", needed=True)
        if role and day is not None and not self._known.has_rate(role, day):
            self._wrong("role", f"{role!r} has no rate on {day}: put it on the rate card, with a valid_from of then")
        return role

    def _work(self) -> tuple[str, str, Work | None]:
        run, plan = self._cell("run"), self._cell("plan")
        if bool(run) == bool(plan):
            self._wrong("run", "name a run or a plan, one of the two")
            return run, plan, None
        work = self._known.runs.get(run) if run else self._known.plans.get(plan)
        if work is None:
            column, where = ("run", "in the ledger") if run else ("plan", "in the ledger or under the plans")
            self._wrong(column, f"{run or plan!r} is not {where}")
            return run, plan, None
        return run, plan or work.plan, work

    def _why(self, *, billable: bool | None) -> str:
        why = self._cell("why")
        if billable and why:
            self._wrong("why", "is for time that is not billable")
        elif billable is False and why not in WHYS:
            self._wrong("why", f"{why!r} does not say why nobody pays for it: one of {', '.join(WHYS)}")
        return why


def _long_days(file: str, efforts: list[tuple[int, Effort]], recorded: Iterable[Effort]) -> list[Fault]:
    """Together with what is on record; a line of both counts once."""
    here = Counter(effort.line for _, effort in efforts)
    worked: Counter[tuple[str, str]] = Counter()
    for effort in recorded:
        if here[effort.line]:
            here[effort.line] -= 1
        else:
            worked[effort.who, effort.day] += effort.seconds
    faults = []
    for number, effort in efforts:
        before = worked[effort.who, effort.day]
        worked[effort.who, effort.day] += effort.seconds
        if before <= DAY < worked[effort.who, effort.day]:
            hours = worked[effort.who, effort.day] / 3600
            faults.append(Fault(file, number, "hours", f"{effort.who} has {hours:g} hours on {effort.day}"))
    return faults


def _corrections(file: str, efforts: list[tuple[int, Effort]], recorded: tuple[Effort, ...]) -> list[Fault]:
    """Lines that say other hours than one on record for the same work: they would be counted beside it."""
    here = {effort.line for _, effort in efforts}
    known = {effort.line for effort in recorded}
    other = {effort.work: effort.seconds for effort in recorded if effort.line not in here}
    return [
        Fault(
            file,
            number,
            "hours",
            f"{other[effort.work] / 3600:g} hours are on record for the same work: withdraw them "
            "(`changeover effort withdraw FILE`) if this corrects them, or say in `note` what else was done",
        )
        for number, effort in efforts
        if effort.line not in known and effort.work in other
    ]
