"""The client satisfaction survey at closeout: three questions from 1 to 5, and room for words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

OPEN_FOR = timedelta(days=30)
"""How long a link can be answered under."""
QUESTIONS = {
    "overall": "How was this upgrade as a whole?",
    "result": "How does the application work for you since then?",
    "communication": "How were you kept informed?",
}
"""Key → what the client is asked; `overall` is what the KPI counts, and has to be answered."""
SCORES = {"1": "poor", "2": "fair", "3": "good", "4": "very good", "5": "excellent"}
LONGEST_COMMENT = 2000


@dataclass(frozen=True)
class SurveyAnswer:
    """Scores by question; a question that was left out is not among them."""

    scores: Mapping[str, int]
    comment: str = ""


@dataclass(frozen=True)
class Survey:
    """What the page may show of a run: which upgrade is meant, and whether it was answered."""

    title: str
    client: str
    answered: bool


def read_answer(fields: Mapping[str, str]) -> SurveyAnswer | tuple[str, ...]:
    """The answer, or everything that is wrong with it, in the client's words."""
    faults = []
    scores = {}
    for key, question in QUESTIONS.items():
        text = fields.get(key, "").strip()
        if text in SCORES:
            scores[key] = int(text)
        elif text or key == "overall":
            faults.append(f"Please choose one of the five answers: {question}")
    comment = fields.get("comment", "").replace("\r\n", "\n").strip()
    if len(comment) > LONGEST_COMMENT:
        faults.append(f"Please shorten your comment to {LONGEST_COMMENT} characters.")
    return tuple(faults) if faults else SurveyAnswer(scores, comment)
