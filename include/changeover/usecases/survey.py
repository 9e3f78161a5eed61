"""Ask the client how satisfied it is, and keep the one answer that counts."""

from __future__ import annotations

from datetime import datetime

from changeover.domain.record import Mark, MarkKind
from changeover.domain.survey import Survey, SurveyAnswer
from changeover.ports import Ledger


def survey_of(ledger: Ledger, run_key: str) -> Survey | None:
    """None for a run whose client was not asked: one that is open, or that was no upgrade."""
    run = ledger.run(run_key)
    asked = ledger.marks(run_key, kind=MarkKind.SURVEY_ASKED)
    if run is None or not asked:
        return None
    answered = bool(ledger.marks(run_key, kind=MarkKind.SURVEY_ANSWERED))
    return Survey(str(asked[0].data.get("title") or run.upgrade), run.client, answered)


def answer_survey(ledger: Ledger, run_key: str, answer: SurveyAnswer, at: datetime) -> bool:
    """Whether this answer is the one that counts: the first. Two sent at once are still one."""
    if survey_of(ledger, run_key) is None or ledger.marks(run_key, kind=MarkKind.SURVEY_ANSWERED):
        return False
    data = {**answer.scores, "comment": answer.comment}
    mark = Mark(run_key, MarkKind.SURVEY_ANSWERED, at, data=data, key="survey-answered")
    ledger.mark(mark)
    return ledger.marks(run_key, kind=MarkKind.SURVEY_ANSWERED)[0] == mark
