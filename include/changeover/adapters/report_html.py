"""The report of a run, and its review, each as one HTML page that needs nothing else, for reading and for printing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changeover.domain.change import CloseCode
from changeover.domain.outcome import Outcome
from changeover.domain.record import MarkKind, StepStatus
from changeover.domain.report import Report
from changeover.domain.review import Review
from changeover.domain.run_view import EnvironmentView
from changeover.domain.survey import QUESTIONS

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_HEADLINES = {
    Outcome.SUCCESSFUL: "Upgraded, accepted, and proven on every host.",
    Outcome.SUCCESSFUL_WITH_ISSUES: "Upgraded and accepted, with issues that want attention.",
    Outcome.BACKED_OUT: "Not upgraded. What had begun was backed out, and the old release is proven to run.",
    Outcome.BACK_OUT_FAILED: "A person must look: the back-out is not proven.",
    Outcome.REFUSED: "Not upgraded. A gate said no before any environment in use was touched.",
    Outcome.MISSED: "Not upgraded. The maintenance window was missed, and nothing was touched.",
    Outcome.UNKNOWN: "A person must look: what is true is not proven.",
}
_OF_MODE = {
    ("analyse", Outcome.SUCCESSFUL): "Analysed. Nothing found stands in the way; no environment in use was touched.",
    ("rehearse", Outcome.SUCCESSFUL): "Rehearsed on the baseline, there and back. No environment in use was touched.",
    ("back-out", Outcome.BACKED_OUT): "Backed out as asked. The old release is proven to run.",
}
_TONES = {
    Outcome.SUCCESSFUL: "good",
    Outcome.SUCCESSFUL_WITH_ISSUES: "warn",
    Outcome.BACKED_OUT: "warn",
    Outcome.BACK_OUT_FAILED: "bad",
    Outcome.REFUSED: "warn",
    Outcome.MISSED: "warn",
    Outcome.UNKNOWN: "bad",
}


def report_html(report: Report) -> str:
    template = _template("report.html.j2")
    return template.render(report=report, run=report.view.run, bars=tuple(_bars(report)), **_summary(report))


def review_html(review: Review) -> str:
    report = review.report
    run, plan = report.view.run, report.plan
    return _template("review.html.j2").render(
        review=review,
        report=report,
        view=report.view,
        run=run,
        title=plan.title if plan else run.dag_id,
        questions=QUESTIONS,
    )


@cache
def _template(name: str) -> Template:
    return environment().get_template(name)


@cache
def environment() -> Environment:
    """Where pages of this style are made: templates, and how times and outcomes are written."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": moment, "clock": clock, "words": words, "span": span, "tone": tone}
    return made


def _summary(report: Report) -> dict[str, Any]:
    verdict = report.view.outcome
    run = report.view.run
    opened, last = run.opened_at, report.view.last_event
    if verdict is None:
        headline = f"Still open. Last sign of life {moment(last)}."
    else:
        headline = _OF_MODE.get((run.mode, verdict.outcome), _HEADLINES[verdict.outcome])
    return {
        "headline": headline,
        "tone_of_run": tone(verdict.outcome if verdict else None),
        "took": last - opened,
        "last": last,
        "names": [view.name for view in report.view.environments if view.hosts],
        "facts": {view.name: _environment_facts(report, view) for view in report.view.environments},
        "change_tone": _change_tone(report),
    }


def _environment_facts(report: Report, view: EnvironmentView) -> dict[str, Any]:
    """What the card of an environment says beside its outcome."""
    kinds = {mark.kind for mark in view.marks}
    if view.outcome:
        state = str(view.outcome.outcome).replace("_", " ")
    elif MarkKind.COMMITTED in kinds:
        state = "rehearsed"
    elif any(step.status is StepStatus.FAILED for step in view.steps):
        state = "failed"
    else:
        state = "not finished" if MarkKind.LANE_STARTED in kinds or view.steps else "not reached"
    tones = {"rehearsed": "good", "failed": "bad"}
    return {
        "state": state,
        "tone": tone(view.outcome.outcome) if view.outcome else tones.get(state, ""),
        "versions": [version for version in report.versions if version.environment == view.name],
    }


def _change_tone(report: Report) -> str:
    if report.change is None or report.change.close_code is None:
        return ""
    return {CloseCode.SUCCESSFUL: "good", CloseCode.SUCCESSFUL_ISSUES: "warn"}.get(report.change.close_code, "bad")


@dataclass(frozen=True)
class Bar:
    """A step on the time line, in per cent of the run's length."""

    environment: str
    step: str
    left: float
    width: float
    tone: str
    started_at: datetime
    took: timedelta | None


def _bars(report: Report) -> Iterator[Bar]:
    opened, last = report.view.run.opened_at, report.view.last_event
    length = max((last - opened).total_seconds(), 1.0)
    for view in (report.view.whole, *report.view.environments):
        for step in sorted(view.steps, key=lambda step: step.started_at):
            begins = (step.started_at - opened).total_seconds() / length * 100
            lasts = ((step.ended_at or last) - step.started_at).total_seconds() / length * 100
            tones = {StepStatus.SUCCESSFUL: "good", StepStatus.RUNNING: "warn"}
            yield Bar(
                view.name, step.step, round(max(begins, 0), 2), round(max(lasts, 0.4), 2),
                tones.get(step.status, "bad"), step.started_at, step.duration,
            )  # fmt: skip


def tone(outcome: Outcome | None) -> str:
    return _TONES[outcome] if outcome else ""


def moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "–"


def clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def words(text: object) -> str:
    """`back_out_failed` for people."""
    return str(text).replace("_", " ")


def span(length: timedelta | None) -> str:
    if length is None:
        return "–"
    seconds = round(length.total_seconds(), 1)
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
