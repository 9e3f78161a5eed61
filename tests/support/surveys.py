"""A survey desk over a ledger in memory, as the console has one over the real ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.adapters.memory import MemoryLedger
from changeover.adapters.survey_links import SurveyLinks
from changeover.domain.record import Mark, MarkKind
from changeover.domain.survey import Survey, SurveyAnswer
from changeover.usecases.survey import answer_survey, survey_of
from tests.support.records import KEY, NOW, a_run

SECRET = "k" * 40


@dataclass
class Desk:
    """One run whose client was asked; `now` moves by hand."""

    now: datetime = NOW
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    links: SurveyLinks = field(default_factory=lambda: SurveyLinks(SECRET))

    def __post_init__(self) -> None:
        self.ledger.open_run(a_run())
        self.ledger.open_run(a_run("another-run"))
        self.ledger.mark(Mark(KEY, MarkKind.SURVEY_ASKED, NOW, data={"title": "Tryton <8>"}, key="survey-asked"))

    def token(self, run: str = KEY, *, lasts: timedelta = timedelta(days=1)) -> str:
        return self.links.token(run, self.now + lasts)

    def open(self, token: str) -> Survey | None:
        run = self.links.run_of(token, self.now)
        return None if run is None else survey_of(self.ledger, run)

    def answer(self, token: str, answer: SurveyAnswer) -> bool:
        run = self.links.run_of(token, self.now)
        return run is not None and answer_survey(self.ledger, run, answer, self.now)

    def answers(self) -> list[dict[str, object]]:
        return [dict(mark.data) for mark in self.ledger.marks(KEY, kind=MarkKind.SURVEY_ANSWERED)]
