"""Which documents there are."""

from __future__ import annotations

from collections.abc import Callable

from changeover.domain.paper import Paper
from changeover.usecases.documents.client import closing_report, upgrade_passport
from changeover.usecases.documents.kickoff import kickoff_agenda, kickoff_pack, participants_raci
from changeover.usecases.documents.planning import back_out_plan, implementation_plan, project_plan, readiness_report
from changeover.usecases.documents.reports import detail_report, hand_over_pack, task_report
from changeover.usecases.documents.subject import Subject

PAPERS: dict[str, Callable[[Subject], Paper]] = {
    "kickoff-agenda": kickoff_agenda,
    "kickoff-pack": kickoff_pack,
    "participants-raci": participants_raci,
    "project-plan": project_plan,
    "implementation-plan": implementation_plan,
    "back-out-plan": back_out_plan,
    "readiness-report": readiness_report,
    "upgrade-passport": upgrade_passport,
    "hand-over-pack": hand_over_pack,
    "closing-report": closing_report,
    "detail-report": detail_report,
    "task-report": task_report,
}
"""Document → who composes it, in the order of an upgrade."""

MAP = "process-map"
NAMES = (*PAPERS, MAP)
"""All that can be asked for by name."""
