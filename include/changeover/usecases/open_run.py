"""Open a run in the ledger: what was asked, by whom, on which plan text; the same request again finds the same run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changeover.domain.plan import Mode, Plan
from changeover.domain.record import Run, run_key

KNOWN_KEYS = frozenset({"mode", "environments", "reason", "change_reference", "findings"})


def requested_run(
    plan: Plan,
    *,
    plan_digest: str,
    plan_text: str,
    dag_run_id: str,
    requested_by: str,
    asked: Mapping[str, Any],
    at: datetime,
) -> Run:
    """What a trigger form or API call asks for, as a run, whatever it holds; `request_faults` says what is wrong."""
    names = _named(plan, asked)
    findings = asked.get("findings")
    modes = {str(mode) for mode in Mode}
    mode = str(asked.get("mode") or Mode.IMPLEMENT)
    return Run(
        key=run_key(plan.dag_id, dag_run_id),
        dag_id=plan.dag_id,
        dag_run_id=dag_run_id,
        client=plan.client,
        upgrade=plan.upgrade,
        application=plan.application,
        mode=mode if mode in modes else Mode.ANALYSE,
        environments=tuple(lane.name for lane in plan.lanes if lane.name in names),
        plan_digest=plan_digest,
        plan_text=plan_text,
        requested_by=requested_by,
        reason=str(asked.get("reason") or ""),
        change_reference=str(asked.get("change_reference") or ""),
        opened_at=at,
        team=plan.team or "",
        findings=tuple(map(str, findings)) if mode == Mode.FIX and isinstance(findings, list | tuple) else (),
    )


def request_faults(plan: Plan, asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything wrong with a request; Airflow lets unknown keys and wrong names pass."""
    lanes = [lane.name for lane in plan.lanes]
    wanted = _named(plan, asked)
    mode = asked.get("mode", Mode.IMPLEMENT)
    modes = [str(m) for m in Mode]
    return (
        *(f"{key}: not known; known are {', '.join(sorted(KNOWN_KEYS))}" for key in sorted(set(asked) - KNOWN_KEYS)),
        *(
            f"environments: {name!r} is not a lane of this plan; lanes are {', '.join(lanes)}"
            for name in wanted
            if name not in lanes
        ),
        *((f"mode: {mode!r} is not one of {', '.join(modes)}",) if mode not in modes else ()),
        *(
            f"{key}: must be one line of at most 500 characters"
            for key in ("reason", "change_reference")
            if not isinstance(asked.get(key) or "", str)
            or len(asked.get(key) or "") > 500
            or "\n" in (asked.get(key) or "")
        ),
        *((f"environments: names none; name one or more of {', '.join(lanes)}",) if not wanted else ()),
        *(
            ("environments: a back-out names the environments it is for",)
            if mode == Mode.BACK_OUT and "environments" not in asked
            else ()
        ),
        *_findings_faults(mode, asked.get("findings") or ()),
    )


def _named(plan: Plan, asked: Mapping[str, Any]) -> tuple[Any, ...]:
    """The environments that were asked for; all lanes only where nothing was said, never for a list that is empty."""
    found = asked.get("environments", [lane.name for lane in plan.lanes])
    return tuple(found) if isinstance(found, list | tuple) else (found,)


def _findings_faults(mode: Any, named: Any) -> tuple[str, ...]:
    if not isinstance(named, list | tuple) or not all(isinstance(each, str) and each.strip() for each in named):
        return ("findings: must be a list of keys, each KEY or KEY=SUBJECT",)
    if mode == Mode.FIX and not named:
        return ("findings: mode fix names the findings that are to be cured",)
    return ("findings: only mode fix cures findings",) if named and mode != Mode.FIX else ()
