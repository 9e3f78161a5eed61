"""From an Airflow task's context to the run it belongs to, with the tools wired for a worker."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from changeover.errors import LedgerError
from changeover.orchestration.pinned import PinnedPlan
from changeover.orchestration.plan_store import Manifest, PlanStore
from changeover.orchestration.task_end import TaskEnd
from changeover.ports import Credentials
from changeover.usecases.tools import Tools, Upgrade

log = logging.getLogger(__name__)


def opened(pinned: PinnedPlan, context: Any) -> tuple[Upgrade, Tools]:
    """The run, opened now if this is the first task to ask."""
    from changeover.usecases.open_run import requested_run

    tools = worker_tools(context)
    dag_run = context["dag_run"]
    run = requested_run(
        pinned.plan,
        plan_digest=pinned.digest,
        plan_text=pinned.text,
        dag_run_id=dag_run.run_id,
        requested_by=getattr(dag_run, "triggering_user_name", None) or pinned.plan.requested_by,
        asked=request(context),
        at=tools.clock(),
    )
    return _upgrade(pinned, tools, tools.ledger.open_run(run)), tools


def running(pinned: PinnedPlan, context: Any, end: TaskEnd | None = None) -> tuple[Upgrade, Tools]:
    """The run as it was opened; refuses to go on with another plan text. `end` tells when people ended the task."""
    from changeover.domain.record import run_key

    tools = worker_tools(context, end)
    run = tools.ledger.run(run_key(pinned.plan.dag_id, context["dag_run"].run_id))
    if run is None:
        raise LedgerError(
            "this run is not in the ledger",
            where=context["dag_run"].run_id,
            then="clear the run's first task",
        )
    return _upgrade(pinned, tools, run), tools


def request(context: Any) -> dict[str, Any]:
    """What was asked: the form's parameters, and every key of the raw conf beside them.

    Environments count only when they were named: the form's preset is every lane, which nobody asked a back-out for.
    """
    conf = context["dag_run"].conf or {}
    params = {key: context["params"][key] for key in context["params"] if key != "environments"}
    return {**params, **conf}


def faults_of_request(pinned: PinnedPlan, context: Any) -> tuple[str, ...]:
    """Why this run must not begin: what was asked, what the product's content lacks, a plan file broken meanwhile."""
    from changeover import wiring
    from changeover.usecases.check_plans import content_faults
    from changeover.usecases.open_run import request_faults

    settings = wiring.load_settings()
    return (
        *request_faults(pinned.plan, request(context)),
        *content_faults(pinned.plan, wiring.shelf(settings)),
        *_faults_on_disk(pinned, PlanStore(settings.plan_store).current()),
    )


def _faults_on_disk(pinned: PinnedPlan, shown: Manifest) -> tuple[str, ...]:
    """The last good text is kept for runs that began with it, not for new ones."""
    stored = shown.plans.get(pinned.plan.dag_id)
    if stored is None or stored.file not in shown.faults:
        return ()
    return (f"the plan's file was broken since this text was read; correct it first: {shown.faults[stored.file]}",)


def worker_tools(context: Any = None, end: TaskEnd | None = None) -> Tools:
    from changeover.wiring import tools

    made = tools(vault=ConnectionVault(), tell=lambda line: log.info("%s", line))
    if context is None:
        return made
    return replace(made, task=context["ti"].task_id, stop=end.why if end else made.stop)


def deliver_quietly(tools: Tools) -> None:
    """Bring the CMDB up to date now if it can be reached; what cannot be delivered waits in the outbox."""
    from changeover.usecases.deliver_outbox import deliver

    report = deliver(tools.ledger, tools.cmdb, tools.clock())
    log.info("CMDB: %s", report)


def write_reports(upgrade: Upgrade, tools: Tools) -> dict[str, str]:
    from changeover.wiring import write_report_files

    return {name: str(path) for name, path in write_report_files(tools, upgrade.run.key).items()}


def file_hand_over(upgrade: Upgrade, tools: Tools) -> str:
    """The hand-over pack, kept with the run's evidence; where it lies, or why there is none, for those who accept."""
    from changeover.domain.blueprint import Words
    from changeover.orchestration import texts
    from changeover.usecases.evidence import keep_text
    from changeover.wiring import hand_over_pack

    kept = sum(each.name.startswith("hand-over-pack-") for each in tools.ledger.evidence(upgrade.run.key))
    try:
        page = hand_over_pack(upgrade, tools, Words(texts.TITLES, texts.TASKS))
        return f"Hand-over pack: {keep_text(upgrade, tools, '', f'hand-over-pack-{kept + 1}.html', page)}"
    except Exception as exc:  # noqa: BLE001 -- a paper that cannot be made keeps nobody from being asked
        log.warning("no hand-over pack: %s", exc)
        return f"**No hand-over pack could be filed** ({exc}); write it before you accept."


def _upgrade(pinned: PinnedPlan, tools: Tools, run: Any) -> Upgrade:
    from changeover.usecases.planning import plan_approvals
    from changeover.wiring import pin_releases, upgrade_of

    if run.plan_digest != pinned.digest:
        raise LedgerError(
            f"the run was opened on plan {run.plan_digest}, this task carries {pinned.digest}",
            where=run.key,
            then="start a new run for the new plan text; a run keeps the text it began with",
        )
    upgrade = upgrade_of(tools.settings, run, pinned.plan)
    if plan_approvals(upgrade, tools):
        pin_releases(tools.settings, upgrade)
    return upgrade


class ConnectionVault:
    """Credentials from Airflow connections: `extra.private_key` is the SSH key, `extra.secrets` go to the roles."""

    def credentials(self, connections: Any) -> Credentials:
        from airflow.sdk import BaseHook
        from airflow.sdk.log import mask_secret

        keys: dict[str, str] = {}
        secrets: dict[str, str] = {}
        for name in connections:
            extra = BaseHook.get_connection(name).extra_dejson
            keys[name] = str(extra["private_key"])
            secrets |= {key: str(value) for key, value in (extra.get("secrets") or {}).items()}
        for secret in (
            *secrets.values(),
            *(line for key in keys.values() for line in key.splitlines()),
        ):
            mask_secret(secret)
        return Credentials(keys, secrets)
