"""Which use case a task stands for. Tasks know names only; what is behind a name is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from changeover.domain.plan import Environment
from changeover.usecases.tools import Answer, Tools, Upgrade

PLAN_STAGES = {
    "open_change": "transition:open_change",
    "tell_participants": "kickoff:tell_participants",
    "analyse_release": "analysis:analyse_release",
    "analyse_client": "analysis:analyse_client",
    "build": "baseline:build",
    "implement": "baseline:implement",
    "accept_new": "baseline:accept_new",
    "back_out": "baseline:back_out",
    "accept_old": "baseline:accept_old",
    "implement_again": "baseline:implement",
    "accept_again": "baseline:accept_again",
    "run_sheet": "planning:write_run_sheet",
    "approve_plan": "planning:pre_approved",
    "bind_approval": "planning:bind_approval",
    "prepare": "prepare:prepare",
    "check_exit": "closeout:check_exit",
}
"""Stages of the whole upgrade → `module:function` under `changeover.usecases`."""


def plan_stage(name: str) -> Callable[[Upgrade, Tools], Answer]:
    module, function = PLAN_STAGES[name].split(":")
    return cast(
        "Callable[[Upgrade, Tools], Answer]",
        getattr(import_module(f"changeover.usecases.{module}"), function),
    )


def lane_stage(name: str) -> Callable[[Upgrade, Tools, Environment], Answer]:
    """A stage of a lane is the function of that name."""
    return cast(
        "Callable[[Upgrade, Tools, Environment], Answer]",
        getattr(import_module("changeover.usecases.lane"), name),
    )


def done(name: str, upgrade: Upgrade, tools: Tools, lane: Environment | None) -> Answer:
    """The stage's answer, once nothing stands before it."""
    from changeover.usecases.steer import before_stage

    waits = before_stage(upgrade, tools, name, lane)
    if waits is not None:
        return waits
    return plan_stage(name)(upgrade, tools) if lane is None else lane_stage(name)(upgrade, tools, lane)
