"""Tasks: a thin edge that calls one use case and turns its answer into a task state.

"No" fails the task and is never retried; "not applicable" skips it; a broken tool is retried and, since work on hosts
is detached, a retry attaches to what the lost try had started.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from airflow.providers.standard.operators.branch import BranchMixIn
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, Param
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from changeover.domain.lane import lane_group
from changeover.domain.plan import Approval, Environment
from changeover.orchestration import run_context
from changeover.orchestration.pinned import PinnedPlan
from changeover.orchestration.task_end import TaskEnd
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade

log = logging.getLogger(__name__)


def settle_answer(answer: Answer) -> dict[str, Any]:
    """Raise for "no" and "not applicable"; otherwise the small value kept in XCom."""
    if answer.reply is Reply.NO:
        raise AirflowFailException(answer.text)
    if answer.reply is Reply.NOT_APPLICABLE:
        raise AirflowSkipException(answer.text)
    log.info("%s", answer.text)
    return {"text": answer.text, **answer.data}


def settle_event(
    upgrade: Upgrade, tools: Tools, event: dict[str, Any], *, gate: str, environment: str = ""
) -> dict[str, Any]:
    """What follows from an answer that Airflow brings, or from the silence of those who were asked.

    Either is in the ledger before anything follows. `seconds`: the request is put again for so long.
    """
    from changeover.usecases.answers import no_answer, record_answer

    if "error" not in event:
        answer = record_answer(
            upgrade,
            tools,
            gate=gate,
            environment=environment,
            option=str((event.get("chosen_options") or [""])[0]),
            responder=event.get("responded_by_user"),
            comment=(event.get("params_input") or {}).get("comment"),
        )
    elif event.get("error_type") == "timeout":
        answer = no_answer(upgrade, tools, gate=gate, environment=environment)
    else:
        raise AirflowFailException(f"Airflow could not wait for an answer: {event['error']}")
    run_context.deliver_quietly(tools)
    return settle_answer(answer)


class Staged(BaseOperator):
    """A task that may have to wait: for a window, or for people who hold the run. It waits without a worker."""

    def settle(self, context: Any, run_key: str, answer: Answer) -> dict[str, Any]:  # noqa: RET503 `defer` never returns
        from changeover.orchestration.triggers import SteeringTrigger

        if answer.reply is not Reply.WAIT:
            return settle_answer(answer)
        log.info("%s", answer.text)
        trigger = SteeringTrigger(run_key, self.place, seen=answer.data["seen"], until=answer.data["until"])
        self.defer(trigger=trigger, method_name="again")

    @property
    def place(self) -> str:
        """The environment whose steering ends the wait."""
        return ""

    def again(self, context: Any, event: Any = None) -> Any:
        log.info("asked again: %s", event)
        return self.execute(context)


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


class StageOperator(Staged):
    """One stage: of the whole upgrade, or of one environment's lane."""

    ui_color = "#f3f4f6"
    _end: TaskEnd | None = None

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
        from changeover.orchestration.stages import done

        self._end = TaskEnd(context["ti"])
        upgrade, tools = run_context.running(self.pinned, context, self._end)
        answer = done(self.stage, upgrade, tools, self.environment)
        run_context.deliver_quietly(tools)
        return self.settle(context, upgrade.run.key, answer)

    def on_kill(self) -> None:
        if self._end is not None:
            self._end.tell()

    @property
    def place(self) -> str:
        return self.environment.name if self.environment else ""


class VerdictOperator(StageOperator, BranchMixIn):
    """The lane's one decision; the ways that were not taken are skipped without a process each, beside the one taken.

    Airflow remembers what was followed: a way not taken that somebody clears by hand is skipped again.
    """

    inherits_from_skipmixin = True

    def settle(self, context: Any, run_key: str, answer: Answer) -> dict[str, Any]:
        told = super().settle(context, run_key, answer)
        context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=told)  # the branch ends the task before it is kept
        self.do_branch(context, f"{lane_group(self.place)}.{told['decision']}")
        return told


class GateApprovalOperator(ApprovalOperator):
    """Named people decide. Every answer, or its absence, is written to the ledger before anything follows from it.

    Airflow keeps one answer per request: where more people have to say yes, the same request is put again.
    """

    def __init__(
        self,
        *,
        pinned: PinnedPlan,
        gate: str,
        approval: Approval,
        environment: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            assigned_users=users(pinned, approval.by),
            response_timeout=approval.wait,
            fail_on_reject=True,
            params={"comment": comment()},
            **kwargs,
        )
        self.pinned, self.gate, self.environment_name = pinned, gate, environment

    def execute(self, context: Any) -> Any:
        from changeover.usecases.ask import open_request

        upgrade, tools = run_context.running(self.pinned, context)
        asked = settle_answer(open_request(upgrade, tools, gate=self.gate, environment=self.environment_name))
        if "decided" in asked:
            return asked
        self.assigned_users = users(self.pinned, asked["asked"])
        self.response_timeout = timedelta(seconds=asked["seconds"])
        self.body = f"{self.body}\n\n{asked['facts']}"
        if self.gate == "support":
            self.body = f"{self.body}\n\n{run_context.file_hand_over(upgrade, tools)}"
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        upgrade, tools = run_context.running(self.pinned, context)
        settled = settle_event(upgrade, tools, event, gate=self.gate, environment=self.environment_name)
        if "seconds" in settled:
            self._put_again(context, timedelta(seconds=settled["seconds"]))
        if "error" in event:
            return settled
        # The comment is in the ledger. Airflow checks it only here, where a wrong one would fail an answered request.
        return super().execute_complete(context, {**event, "params_input": {}})

    def _put_again(self, context: Any, wait: timedelta) -> NoReturn:
        """Airflow takes the answer off the request of this task and keeps who is asked, and the text."""
        upsert_hitl_detail(
            ti_id=context["task_instance"].id,
            options=self.options,
            subject=self.subject,
            body=self.body,
            defaults=self.defaults,
            multiple=self.multiple,
            params=self.serialized_params,
            assigned_users=self.assigned_users,
        )
        raise TaskAwaitingInput(method_name="execute_complete", timeout=wait)


def users(pinned: PinnedPlan, asked: Sequence[str]) -> list[Any]:
    names = {person.id: person.name for person in pinned.plan.participants}
    return [{"id": who, "name": names.get(who, who)} for who in asked]


def comment() -> Param:
    return Param(
        "",
        type=["string", "null"],
        maxLength=500,
        title="Comment",
        description_md="Kept in the record with your answer.",
        source="task",
    )


class CloseOperator(BaseOperator):
    """Closes the change and writes the report. As the run's last task it raises unless the run did what was asked."""

    ui_color = "#f3f4f6"

    def __init__(self, *, pinned: PinnedPlan, decides: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pinned, self.decides = pinned, decides

    def execute(self, context: Any) -> dict[str, Any]:
        from changeover.usecases.closeout import close, is_open, is_wanted

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
        if not self.decides and is_open(upgrade, tools):
            raise AirflowSkipException(f"the change stays open: {'; '.join(verdict.reasons)}")
        return {"outcome": str(verdict.outcome), "report": paths}
