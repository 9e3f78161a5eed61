"""The hypercare task: it looks, waits without a worker, asks people when the decision is reopened, and looks again."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, NoReturn

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from changeover.domain.hypercare import GATE, Course, Step
from changeover.orchestration import run_context, texts
from changeover.orchestration.operators import comment, settle_answer, settle_event, users
from changeover.orchestration.pinned import PinnedPlan

log = logging.getLogger(__name__)


class HypercareOperator(BaseOperator):
    """Between looks it waits in the triggerer, for an answer as every request waits: neither takes a worker.

    It asks by itself and not through a task of its own: most watches never ask, and each asks as often as it has to.
    """

    ui_color = "#f3f4f6"

    def __init__(self, *, pinned: PinnedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pinned = pinned

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.usecases.support import hypercare_due

        upgrade, tools = run_context.running(self.pinned, context)
        settle_answer(hypercare_due(upgrade, tools))
        return self.look(context)

    def look(self, context: Any, event: Any = None) -> dict[str, Any]:
        from changeover.usecases.support import hypercare_look, watch_on

        upgrade, tools = run_context.running(self.pinned, context)
        gate = hypercare_look(upgrade, tools)
        log.info("%s", "healthy" if gate.passed else f"not healthy: {'; '.join(gate.reasons())}")
        run_context.deliver_quietly(tools)
        return self._follow(context, watch_on(upgrade, tools))

    def decided(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Somebody answered, or nobody did in time: only a "keep" by enough people has the watch go on."""
        from changeover.usecases.support import watch_on

        upgrade, tools = run_context.running(self.pinned, context)
        settled = settle_event(upgrade, tools, event, gate=GATE)
        if "seconds" in settled:
            self._ask(context, seconds=settled["seconds"])
        return self._follow(context, watch_on(upgrade, tools))

    def _follow(self, context: Any, step: Step) -> dict[str, Any]:  # noqa: RET503 `defer` never returns
        told = "; ".join(step.reasons)
        if step.course is Course.END:
            return {"text": f"the watch ended well: {told}"}
        if step.course is Course.ASK:
            log.warning("the decision is reopened: %s", told)
            self._ask(context)
        log.info(
            "%snext look in %s, the watch ends at %s", f"extended ({told}); " if told else "", step.wait, step.until
        )
        self.defer(trigger=TimeDeltaTrigger(step.wait), method_name="look")

    def _ask(self, context: Any, seconds: float | None = None) -> NoReturn:
        """A request of this very task; the same one is put again while more people have to answer.

        Airflow keeps the text of a task's first request for every later one, so that the text only says where the
        facts of this one stand: in the ledger, and with it in the record and in `changeover approve`.
        """
        from changeover.usecases.ask import open_request

        upgrade, tools = run_context.running(self.pinned, context)
        asked = settle_answer(open_request(upgrade, tools, gate=GATE))
        log.info("they read:\n%s", asked["facts"])
        subject, body = texts.keep_or_back_out(self.pinned.plan, context["dag_run"].run_id)
        upsert_hitl_detail(
            ti_id=context["task_instance"].id,
            options=["Approve", "Reject"],
            subject=subject,
            body=body,
            defaults=None,
            multiple=False,
            params={"comment": comment().serialize()},
            assigned_users=users(self.pinned, asked["asked"]),
        )
        raise TaskAwaitingInput(method_name="decided", timeout=timedelta(seconds=seconds or asked["seconds"]))
