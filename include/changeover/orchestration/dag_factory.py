"""One DAG per plan: the eleven sub-processes as groups, a lane per environment, one last task that tells the truth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup
from airflow.sdk.definitions.param import ParamsDict

from changeover.domain.change import ChangeModel
from changeover.domain.lane import lane_group
from changeover.domain.plan import Approval, Environment, Mode, Plan
from changeover.orchestration import texts
from changeover.orchestration.hypercare import HypercareOperator
from changeover.orchestration.operators import (
    CloseOperator,
    GateApprovalOperator,
    OpenRunOperator,
    StageOperator,
    VerdictOperator,
)
from changeover.orchestration.pinned import PinnedPlan

RETRIES = 3
"""Of a broken tool or a lost worker; a "no" is never tried again."""


def build_dag(plan: Plan, *, plan_digest: str, plan_text: str) -> DAG:
    """Deterministic: the same plan text gives the same serialised DAG."""
    pinned = PinnedPlan(plan, plan_digest, plan_text)
    dag = DAG(
        dag_id=plan.dag_id,
        dag_display_name=f"{plan.title} · {plan.client}",
        description=f"{plan.application} {plan.from_version} to {plan.to_version} for {plan.client}",
        schedule=_schedule(plan),
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": plan.client,
            "retries": RETRIES,
            "retry_delay": timedelta(seconds=2),
        },
        render_template_as_native_obj=True,
        tags=sorted({f"client:{plan.client}", f"application:{plan.application}", "changeover"}),
        doc_md=texts.dag_doc(plan, plan_digest),
    )
    _Builder(dag, pinned).build()
    # Set last: every operator made before would carry its own deep copy of it, also in the serialised DAG.
    dag.params = ParamsDict(trigger_form(plan, plan_digest))
    return dag


def _schedule(plan: Plan) -> Any:
    """None for a plan that people start; the timetable is imported only where there is one."""
    if plan.unattended is None:
        return None
    from changeover.orchestration.timetable import timetable_of

    return timetable_of(plan)


def trigger_form(plan: Plan, plan_digest: str) -> dict[str, Any]:
    """The typed questions of the trigger form. The plan's digest makes every new plan text a new DAG version."""
    lanes = [lane.name for lane in plan.lanes]
    return {
        "mode": Param(
            str(Mode.IMPLEMENT),
            type="string",
            enum=[str(mode) for mode in Mode],
            title="Mode",
            values_display=texts.MODES,
            description_md=f"Plan digest `{plan_digest}`. {texts.MODE_HELP}",
            section="Upgrade",
        ),
        "environments": Param(
            lanes,
            type="array",
            items={"type": "string", "enum": lanes},
            examples=lanes,
            minItems=1,
            uniqueItems=True,
            title="Environments",
            description_md="Upgraded in the plan's order; one that is left out is skipped.",
            section="Upgrade",
        ),
        "reason": Param(
            "",
            type=["string", "null"],
            maxLength=500,
            title="Reason",
            description_md=texts.REASON_HELP,
            section="Upgrade",
        ),
        "findings": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            title="Findings",
            description_md=texts.FINDINGS_HELP,
            section="Upgrade",
        ),
        "change_reference": Param(
            "",
            type=["string", "null"],
            maxLength=100,
            pattern=r"^[A-Za-z0-9._/-]*$",
            title="Change reference",
            description_md="Number of the change in the client's own system, if there is one.",
            section="Upgrade",
        ),
    }


class _Builder:
    """Puts the tasks of one DAG together."""

    def __init__(self, dag: DAG, pinned: PinnedPlan) -> None:
        self.dag, self.pinned, self.plan = dag, pinned, pinned.plan

    def build(self) -> None:
        with self.dag:
            approved = self._before_the_lanes()
            last = approved
            for lane in self.plan.lanes:
                last = self._lane(lane, last)
            reported = self._after_the_lanes(last)
            outcome = CloseOperator(
                task_id="record_outcome",
                task_display_name=texts.TITLES["record_outcome"],
                pinned=self.pinned,
                decides=True,
                doc_md=texts.TASKS["record_outcome"],
            ).as_teardown(on_failure_fail_dagrun=True)
            reported >> outcome

    def _before_the_lanes(self) -> Any:
        with self._group("s01_transition"):
            entry = OpenRunOperator(
                task_id="check_entry",
                task_display_name=texts.TITLES["check_entry"],
                pinned=self.pinned,
                doc_md=texts.TASKS["check_entry"],
            )
            change = self._stage("open_change")
        with self._group("s02_kickoff"):
            told = self._stage("tell_participants", trigger_rule="none_failed")
        with self._group("s03_release_analysis"):
            release = self._stage("analyse_release", trigger_rule="none_failed")
        with self._group("s04_client_analysis"):
            client = self._stage("analyse_client", trigger_rule="none_failed")
        entry >> change >> told >> release >> client
        rehearsed = self._baseline(client)
        with self._group("s06_planning"):
            sheet = self._stage("run_sheet", trigger_rule="none_failed")
            asked = self._plan_approval()
            bound = self._stage("bind_approval")
        with self._group("s07_preparations"):
            prepared = self._stage("prepare")
        rehearsed >> sheet >> asked >> bound >> prepared
        return prepared

    def _plan_approval(self) -> Any:
        """People, unless the change is one that was approved once for all."""
        if self.plan.change.model is ChangeModel.STANDARD:
            rule = self._stage("approve_plan")
            rule.doc_md = texts.PRE_APPROVED
            return rule
        return self._ask(
            "approve_plan",
            "plan",
            self.plan.approved_by,
            subject=texts.approval_subject(self.plan),
            body=texts.APPROVAL_BODY,
        )

    def _baseline(self, before: Any) -> Any:
        with self._group("s05_baseline"):
            names = (
                "build",
                "implement",
                "accept_new",
                "back_out",
                "accept_old",
                "implement_again",
                "accept_again",
            )
            first = last = self._stage(names[0], trigger_rule="none_failed")
            for name in names[1:]:
                task = self._stage(name)
                last >> task
                last = task
        before >> first
        return last

    def _lane(self, lane: Environment, before: Any) -> Any:
        with self._group(
            lane_group(lane.name),
            title=texts.lane_title(self.plan, lane),
            doc=texts.lane_doc(self.plan, lane),
        ):
            window = self._stage("window", lane, trigger_rule="all_done")
            readiness = self._stage("readiness", lane)
            go = self._decision("go_no_go", lane, lane.go_no_go)
            point = self._stage("restore_point", lane)
            implement = self._stage("implement", lane)
            acceptance = self._stage("acceptance", lane)
            sign_off = self._decision("sign_off", lane, lane.sign_off)
            verdict = self._stage("verdict", lane, operator=VerdictOperator, trigger_rule="all_done")
            ends = [self._stage(name, lane) for name in ("commit", "back_out", "stand_down")]
            settle = self._stage("settle", lane, trigger_rule="all_done")
        (
            before
            >> window
            >> readiness
            >> go
            >> point
            >> implement
            >> acceptance
            >> sign_off
            >> verdict
            >> ends
            >> settle
        )
        for end, label in zip(ends, ("accepted", "not accepted", "not begun"), strict=True):
            self.dag.set_edge_info(verdict.task_id, end.task_id, {"label": label})
        return settle

    def _after_the_lanes(self, last: Any) -> Any:
        with self._group("s10_support"):
            watch = HypercareOperator(
                task_id="hypercare",
                task_display_name=texts.TITLES["hypercare"],
                pinned=self.pinned,
                trigger_rule="all_done",
                doc_md=texts.TASKS["hypercare"],
            )
            accepted = self._ask(
                "support_accepts",
                "support",
                self.plan.support.accepted_by,
                subject=texts.support_subject(self.plan),
                body=texts.SUPPORT_BODY,
            )
        with self._group("s11_closeout"):
            exit_check = self._stage("check_exit", trigger_rule="all_done")
            closed = CloseOperator(
                task_id="close_change",
                task_display_name=texts.TITLES["close_change"],
                pinned=self.pinned,
                decides=False,
                trigger_rule="all_done",
                doc_md=texts.TASKS["close_change"],
            )
        last >> watch >> accepted >> exit_check >> closed
        return closed

    def _decision(self, stage: str, lane: Environment, approval: Approval | None) -> Any:
        if approval is None:
            return self._stage(stage, lane)
        subject, body = texts.decision(self.plan, lane, stage)
        return self._ask(stage, stage, approval, subject=subject, body=body, environment=lane.name)

    def _ask(
        self,
        task_id: str,
        gate: str,
        approval: Approval,
        *,
        subject: str,
        body: str,
        environment: str = "",
    ) -> Any:
        return GateApprovalOperator(
            task_id=task_id,
            task_display_name=texts.TITLES[task_id],
            pinned=self.pinned,
            gate=gate,
            approval=approval,
            environment=environment,
            subject=subject,
            body=texts.who_and_when(self.plan, approval, body, gate=gate, environment=environment),
            doc_md=texts.TASKS[task_id],
        )

    def _stage(
        self,
        stage: str,
        lane: Environment | None = None,
        operator: type[StageOperator] = StageOperator,
        **kwargs: Any,
    ) -> Any:
        return operator(
            task_id=stage,
            task_display_name=texts.TITLES[stage],
            pinned=self.pinned,
            stage=stage,
            environment=lane,
            doc_md=texts.TASKS[stage],
            **kwargs,
        )

    def _group(self, name: str, *, title: str | None = None, doc: str | None = None) -> TaskGroup:
        heading, tooltip = texts.GROUPS.get(name, ("", ""))
        return TaskGroup(name, group_display_name=title or heading, tooltip=doc or tooltip)
