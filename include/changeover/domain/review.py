"""The post-implementation review of a run: forecast against actual, who decided, and what to check next time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.given_back import Taken, survey_told, taken_for, traffic
from changeover.domain.incident import state_told
from changeover.domain.legs import plain
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from changeover.domain.report import Answered, Event, Report
from changeover.domain.run_view import EnvironmentView, utc

TOLERANCE = 1.25
"""A step is longer than rehearsed when it took a quarter more, and a minute."""
MINUTE = timedelta(minutes=1)
TIMED = ("restore_point", "implement", "acceptance", "commit", "back_out")
RULE = "rule"


@dataclass(frozen=True)
class Forecast:
    """A step of an environment against its rehearsal; or the end of the work against its window."""

    environment: str
    what: str
    forecast: timedelta | None
    actual: timedelta
    times: int = 1

    @property
    def longer(self) -> bool:
        return self.forecast is not None and self.actual > max(self.forecast * TOLERANCE, self.forecast + MINUTE)

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "what": self.what,
            "forecast_seconds": None if self.forecast is None else round(self.forecast.total_seconds(), 1),
            "actual_seconds": round(self.actual.total_seconds(), 1),
            "times": self.times,
            "longer": self.longer,
        }


@dataclass(frozen=True)
class AgreedWindow:
    environment: str
    opens: datetime
    closes: datetime
    settled: datetime | None
    forecast: timedelta | None = None
    """The work from restore point to commit, as the rehearsal had it; None where it was not kept."""
    began: datetime | None = None
    """When host work began."""
    decide_by: datetime | None = None

    @property
    def actual(self) -> timedelta | None:
        return None if self.settled is None or self.began is None else self.settled - self.began

    @property
    def spare_forecast(self) -> timedelta | None:
        """What would have been left of the window after work that begins with it."""
        return None if self.forecast is None else self.closes - self.opens - self.forecast

    @property
    def spare(self) -> timedelta | None:
        """What was left of it."""
        return None if self.settled is None else self.closes - self.settled

    @property
    def kept(self) -> bool | None:
        """None while the environment is not settled."""
        return None if self.settled is None else self.settled <= self.closes

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "opens": utc(self.opens),
            "closes": utc(self.closes),
            "settled_at": utc(self.settled) if self.settled else None,
            "kept": self.kept,
            "began_at": utc(self.began) if self.began else None,
            "decide_by": utc(self.decide_by) if self.decide_by else None,
            "forecast_seconds": _seconds(self.forecast),
            "actual_seconds": _seconds(self.actual),
            "spare_forecast_seconds": _seconds(self.spare_forecast),
            "spare_seconds": _seconds(self.spare),
        }


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds(), 1)


@dataclass(frozen=True)
class Deviation:
    """Something that did not go as planned."""

    environment: str
    what: str
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"environment": self.environment, "what": self.what, "reasons": list(self.reasons)}


@dataclass(frozen=True)
class SeenIncident:
    number: str
    severity: int
    opened_at: str
    summary: str
    state: str = ""
    """Open, or closed and when."""

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "severity": self.severity,
            "opened_at": self.opened_at,
            "summary": self.summary,
            "state": self.state,
        }


@dataclass(frozen=True)
class ProposedCheck:
    """A check that would have told earlier what this run told late; a person decides whether it is made."""

    key: str
    stage: str
    title: str
    because: str

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "stage": self.stage, "title": self.title, "because": self.because}


@dataclass(frozen=True)
class Review:
    report: Report
    timeline: tuple[Event, ...]
    forecasts: tuple[Forecast, ...]
    windows: tuple[AgreedWindow, ...]
    deviations: tuple[Deviation, ...]
    decisions: tuple[Answered, ...]
    incidents: tuple[SeenIncident, ...]
    proposed: tuple[ProposedCheck, ...]
    taken: tuple[Taken, ...] = ()
    survey: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        view = self.report.view
        return {
            "schema_version": 1,
            "run": view.run.key,
            "client": view.run.client,
            "outcome": str(view.outcome.outcome) if view.outcome else None,
            "reasons": list(view.outcome.reasons) if view.outcome else [],
            "written_at": utc(self.report.written_at),
            "timeline": [event.as_json() for event in self.timeline],
            "forecast_against_actual": [forecast.as_json() for forecast in self.forecasts],
            "windows": [window.as_json() for window in self.windows],
            "deviations": [deviation.as_json() for deviation in self.deviations],
            "decisions": [decision.as_json() for decision in self.decisions],
            "incidents": [incident.as_json() for incident in self.incidents],
            "proposed_checks": [check.as_json() for check in self.proposed],
            "hypercare": list(self.report.watch),
            "taken_and_given_back": [taken.as_json() for taken in self.taken],
            "survey": dict(self.survey) if self.survey else None,
        }


def review_of(report: Report) -> Review:
    """From the report of the run alone: everything said here stands in the ledger."""
    forecasts, windows = tuple(_forecasts(report)), tuple(_windows(report))
    incidents = _incidents(report)
    return Review(
        report=report,
        timeline=report.timeline,
        forecasts=forecasts,
        windows=windows,
        deviations=tuple(_deviations(report, forecasts, windows)),
        decisions=_decisions(report),
        incidents=incidents,
        proposed=tuple(_proposed(report, forecasts, incidents)),
        taken=taken_for(report.plan, _lanes(report), (f for _, _, f in report.findings), report.restore_points),
        survey=survey_told(report.view.whole.marks),
    )


def _baseline(report: Report) -> str:
    return report.plan.baseline.name if report.plan else "baseline"


def _lanes(report: Report) -> tuple[EnvironmentView, ...]:
    return tuple(view for view in report.view.environments if view.name != _baseline(report))


def _forecasts(report: Report) -> Iterator[Forecast]:
    rehearsed = [v for v in report.view.environments if v.name == _baseline(report)]
    for view in _lanes(report):
        found = {step.step for step in view.steps if plain(step.step) in TIMED}
        for name in sorted(found, key=lambda name: (TIMED.index(plain(name)), name)):
            took = _took(view.steps, name)
            if took:
                before = [length for baseline in rehearsed for length in _took(baseline.steps, name)]
                yield Forecast(view.name, name, max(before, default=None), max(took), len(took))


def _took(steps: tuple[StepRecord, ...], name: str) -> list[timedelta]:
    return [step.duration for step in steps if plain(step.step) == name and step.duration is not None]


def _windows(report: Report) -> Iterator[AgreedWindow]:
    for view in _lanes(report):
        agreed = [mark for mark in view.marks if mark.kind is MarkKind.WINDOW_AGREED]
        if agreed:
            data = agreed[-1].data
            opens, closes = (datetime.fromisoformat(str(data[key])) for key in ("opens", "closes"))
            ends = [mark.at for mark in view.marks if mark.kind in _ENDS] if view.outcome else []
            seconds, decide_by = data.get("forecast_seconds"), data.get("decide_by")
            yield AgreedWindow(
                view.name,
                opens,
                closes,
                max(ends, default=None),
                forecast=None if seconds is None else timedelta(seconds=float(seconds)),
                began=min((step.started_at for step in view.steps if step.step == "restore_point"), default=None),
                decide_by=datetime.fromisoformat(str(decide_by)) if decide_by else None,
            )


_ENDS = (MarkKind.COMMITTED, MarkKind.BACKED_OUT, MarkKind.STOOD_DOWN)


def _deviations(
    report: Report, forecasts: tuple[Forecast, ...], windows: tuple[AgreedWindow, ...]
) -> Iterator[Deviation]:
    for view in (report.view.whole, *report.view.environments):
        for _, gate in view.gates:
            if not gate.passed:
                yield Deviation(view.name, f"{_words(gate.gate)} said no", gate.reasons())
        for step in view.steps:
            if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and step.step not in _gate_names(view):
                yield Deviation(view.name, f"step {_words(step.step)} ended {step.status}", step.reasons)
        yield from _marked(view)
    for forecast in forecasts:
        if forecast.longer:
            told = f"{forecast.actual} instead of {forecast.forecast}".replace(".000000", "")
            yield Deviation(forecast.environment, f"{_words(forecast.what)} took longer than rehearsed", (told,))
    for window in windows:
        if window.kept is False:
            told = f"settled {utc(window.settled or window.closes)}, closed {utc(window.closes)}"
            yield Deviation(window.environment, "the window closed before the work had ended", (told,))
    yield from _records(report)


def _gate_names(view: EnvironmentView) -> set[str]:
    """A gate of acceptance is a step as well, and is told once."""
    return {gate.gate for _, gate in view.gates}


_MARKED = {
    MarkKind.WINDOW_MISSED: "the window was missed",
    MarkKind.REJECTED: "an answer was no",
    MarkKind.BACKING_OUT: "the change was backed out",
    MarkKind.BLOCKED: "work ended in doubt",
    MarkKind.HYPERCARE_EXTENDED: "the hypercare watch was extended",
    MarkKind.HYPERCARE_REOPENED: "the watch reopened the decision",
    MarkKind.HELD: "the run was held",
    MarkKind.ABORTED: "the run was aborted",
    MarkKind.STOPPING: "work on hosts was stopped",
    MarkKind.LOCK_TAKEN_OVER: "a host's lock was taken from the run",
    MarkKind.NIGHT_ACTED: "nobody answered, and the night policy acted",
    MarkKind.AIRFLOW_PAUSED: "the run was paused in Airflow",
}


def _marked(view: EnvironmentView) -> Iterator[Deviation]:
    for mark in view.marks:
        if mark.kind in _MARKED:
            data = mark.data
            told = [f"{_words(str(data['gate']))} by {data.get('by')}"] if data.get("gate") else []
            yield Deviation(
                view.name,
                _MARKED[mark.kind],
                tuple(told or filter(None, [str(data.get("reason") or data.get("why") or "")])),
            )


def _records(report: Report) -> Iterator[Deviation]:
    for taken in traffic(_lanes(report)):
        if taken.open:
            yield Deviation(taken.environment, "something was not given back", (taken.what,))
    unequal = [v for v in report.versions if v.recorded is not None and v.discovered is not None and not v.agree]
    for version in unequal:
        told = f"{version.host}: CMDB {version.recorded}, discovered {version.discovered}"
        yield Deviation(version.environment, "the CMDB is not equal to what was discovered", (told,))
    if report.waiting_writes:
        yield Deviation("", "the CMDB does not have everything yet", report.waiting_writes)
    if report.ledger_faults:
        yield Deviation("", "the record of this run is not whole", report.ledger_faults)


def _decisions(report: Report) -> tuple[Answered, ...]:
    """People's answers by name, and the rule's own decisions."""
    ruled = [
        Answered(mark.environment, "verdict", _words(str(mark.data.get("decision"))), RULE, mark.at, "")
        for mark in report.view.all_marks
        if mark.kind is MarkKind.DECIDED
    ]
    return tuple(sorted((*report.answers, *ruled), key=lambda answer: answer.at))


def _incidents(report: Report) -> tuple[SeenIncident, ...]:
    """Each as it was seen last."""
    newest: dict[str, Mark] = {
        str(mark.data.get("number")): mark for mark in report.view.all_marks if mark.kind is MarkKind.INCIDENT_SEEN
    }
    seen = [
        SeenIncident(
            number,
            int(mark.data["severity"]),
            str(mark.data["opened_at"]),
            str(mark.data["summary"]),
            state_told(mark.data),
        )
        for number, mark in newest.items()
    ]
    return tuple(sorted(seen, key=lambda incident: (incident.severity, incident.number)))


def _proposed(
    report: Report, forecasts: tuple[Forecast, ...], incidents: tuple[SeenIncident, ...]
) -> Iterator[ProposedCheck]:
    """One for each thing that was found later than it could have been; each key once."""
    found: dict[str, ProposedCheck] = {}
    for check in (*_late_failures(report), *_failed_steps(report), *_unanswered(report)):
        found.setdefault(check.key, check)
    yield from found.values()
    for incident in incidents:
        yield ProposedCheck(
            f"accept-{incident.number.lower()}",
            "acceptance",
            f"An acceptance test that fails while this is so: {incident.summary}",
            f"{incident.number} (severity {incident.severity}) was reported after acceptance had passed",
        )
    for forecast in forecasts:
        if forecast.longer:
            yield ProposedCheck(
                f"like-production-{forecast.what.replace('_', '-')}",
                "baseline",
                f"The baseline is as large and as fast as {forecast.environment} before its times are planned with",
                f"{_words(forecast.what)} took {forecast.actual} where the rehearsal had promised {forecast.forecast}",
            )


def _late_failures(report: Report) -> Iterator[ProposedCheck]:
    """A check that failed in a lane: had it passed before, the environments differ in something nobody compares."""
    passed: dict[str, str] = {}
    for view in report.view.environments:
        for _, gate in view.gates:
            for result in gate.results if gate.gate in ("acceptance", "readiness") else ():
                if result.state is CheckState.PASSED:
                    passed.setdefault(result.key, view.name)
                elif _said_no(result) and view.name != _baseline(report):
                    yield _earlier(gate, result, passed.get(result.key, ""))


def _earlier(gate: GateResult, result: CheckResult, passed_in: str) -> ProposedCheck:
    told = f": {result.message}" if result.message else ""
    because = f"{result.key} said no in {gate.environment}{told}"
    if passed_in and passed_in != gate.environment:
        return ProposedCheck(
            f"same-as-{passed_in}-{result.key}",
            "analysis",
            f"What {result.key} rests on is the same in {gate.environment} as in {passed_in}",
            f"{because}; in {passed_in} it had passed",
        )
    stage = "baseline" if gate.gate == "acceptance" else "analysis"
    return ProposedCheck(
        f"early-{result.key}", stage, f"{result.key} is asked at the {stage}, before a window is spent", because
    )


def _said_no(result: CheckResult) -> bool:
    return result.state in (CheckState.FAILED, CheckState.ERROR)


def _failed_steps(report: Report) -> Iterator[ProposedCheck]:
    for view in _lanes(report):
        for step in view.steps:
            stage = plain(step.step)
            if step.status is StepStatus.FAILED and stage in ("restore_point", "implement", "commit", "back_out"):
                name = stage.replace("_", "-")
                yield ProposedCheck(
                    f"ready-for-{name}",
                    "readiness",
                    f"What made {_words(stage)} fail is looked for before it begins",
                    f"in {view.name}: {'; '.join(step.reasons) or step.status}",
                )


def _unanswered(report: Report) -> Iterator[ProposedCheck]:
    for answer in report.answers:
        if answer.by.startswith("nobody"):
            yield ProposedCheck(
                f"respondent-of-{answer.question.replace('_', '-')}",
                "readiness",
                f"Somebody who answers {_words(answer.question)} has said that they will be there",
                f"{_words(answer.question)} {answer.environment}: {answer.by}",
            )


def _words(text: str) -> str:
    return text.replace("_", " ")
