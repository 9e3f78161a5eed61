"""Tasks: a thin edge that calls one use case and turns its answer into a task state.

"No" fails the task and is never retried; "not applicable" skips it; a broken tool is retried and, since work on hosts
is detached, a retry attaches to what the lost try had started.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from changeover.domain.plan import Environment
from changeover.orchestration import run_context
from changeover.orchestration.pinned import PinnedPlan
from changeover.usecases.tools import Answer, Reply

log = logging.getLogger(__name__)


def settle_answer(answer: Answer) -> dict[str, Any]:
    """Raise for "no" and "not applicable"; otherwise the small value kept in XCom."""
    if answer.reply is Reply.NO:
        raise AirflowFailException(answer.text)
    if answer.reply is Reply.NOT_APPLICABLE:
        raise AirflowSkipException(answer.text)
    log.info("%s", answer.text)
    return {"text": answer.text, **answer.data}


class OpenRunOperator(BaseOperator):
    """First task: opens the run in the ledger and checks the request and the entry conditions."""

    ui_color = "#f3f4f6"

    def __init__(self, *, pinned: PinnedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pinned = pinned

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.usecases.transition import check_entry

        upgrade, tools = run_context.opened(self.pinned, context)
        faults = run_context.faults_of_request(self.pinned, context)
        return settle_answer(check_entry(upgrade, tools, faults))


class StageOperator(BaseOperator):
    """One stage: of the whole upgrade, or of one environment's lane."""

    ui_color = "#f3f4f6"

    def __init__(
        self,
        *,
        pinned: PinnedPlan,
        stage: str,
        environment: Environment | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pinned, self.stage, self.environment = pinned, stage, environment

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.orchestration.stages import lane_stage, plan_stage

        upgrade, tools = run_context.running(self.pinned, context)
        if self.environment is None:
            answer = plan_stage(self.stage)(upgrade, tools)
        else:
            answer = lane_stage(self.stage)(upgrade, tools, self.environment)
        run_context.deliver_quietly(tools)
        return settle_answer(answer)


class GateApprovalOperator(ApprovalOperator):
    """A named person decides. The answer, or its absence, is written to the ledger before anything follows from it."""

    def __init__(
        self,
        *,
        pinned: PinnedPlan,
        gate: str,
        asked: tuple[str, ...],
        environment: str = "",
        **kwargs: Any,
    ) -> None:
        names = {person.id: person.name for person in pinned.plan.participants}
        super().__init__(
            assigned_users=[{"id": who, "name": names.get(who, who)} for who in asked],
            fail_on_reject=True,
            **kwargs,
        )
        self.pinned, self.gate, self.asked, self.environment_name = (
            pinned,
            gate,
            asked,
            environment,
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        from changeover.usecases.answers import no_answer, record_answer

        upgrade, tools = run_context.running(self.pinned, context)
        if "error" in event:
            settle_answer(
                no_answer(
                    upgrade,
                    tools,
                    gate=self.gate,
                    environment=self.environment_name,
                    asked=self.asked,
                )
            )
        answer = record_answer(
            upgrade,
            tools,
            gate=self.gate,
            environment=self.environment_name,
            asked=self.asked,
            option=str((event.get("chosen_options") or [""])[0]),
            responder=event.get("responded_by_user"),
        )
        run_context.deliver_quietly(tools)
        settle_answer(answer)
        return super().execute_complete(context, event)


class HypercareOperator(BaseOperator):
    """Watches after the change without holding a worker: looks, waits in the triggerer, looks again."""

    ui_color = "#f3f4f6"

    def __init__(self, *, pinned: PinnedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pinned = pinned

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.usecases.support import hypercare_due

        upgrade, tools = run_context.running(self.pinned, context)
        settle_answer(hypercare_due(upgrade, tools))
        return self.look(context)

    def look(self, context: Any, event: Any = None) -> dict[str, Any]:  # noqa: RET503 `defer` never returns
        from changeover.usecases.support import hypercare_look, next_look

        upgrade, tools = run_context.running(self.pinned, context)
        gate = hypercare_look(upgrade, tools)
        if not gate.passed:
            raise AirflowFailException("; ".join(gate.reasons()))
        wait = next_look(upgrade, tools)
        if wait is None:
            return {"text": "the watch ended well"}
        log.info("healthy; next look in %s", wait)
        self.defer(trigger=TimeDeltaTrigger(wait), method_name="look")


class CloseOperator(BaseOperator):
    """Closes the change and writes the report. As the run's last task it raises unless the run did what was asked."""

    ui_color = "#f3f4f6"

    def __init__(self, *, pinned: PinnedPlan, decides: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pinned, self.decides = pinned, decides

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.usecases.closeout import close, is_wanted

        upgrade, tools = run_context.opened(self.pinned, context)
        verdict = close(upgrade, tools)
        paths = run_context.write_reports(upgrade, tools)
        log.info(
            "outcome: %s (%s); report: %s",
            verdict.outcome,
            "; ".join(verdict.reasons),
            paths,
        )
        if self.decides and not is_wanted(upgrade, verdict):
            raise AirflowFailException(f"outcome: {verdict.outcome}: {'; '.join(verdict.reasons)}")
        return {"outcome": str(verdict.outcome), "report": paths}
