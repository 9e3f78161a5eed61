"""A lane driven as its DAG drives it, in this process: for faults in which Airflow plays no part."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from changeover import wiring
from changeover.adapters.environment_vault import EnvironmentVault
from changeover.domain.plan import Environment, Plan
from changeover.domain.record import Run
from changeover.errors import ChangeoverError
from changeover.orchestration.introduce_site import import_estate
from changeover.orchestration.stages import lane_stage
from changeover.settings import Settings
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.open_run import requested_run
from changeover.usecases.planning import bind_approval, write_run_sheet
from changeover.usecases.prepare import prepare
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry, open_change


@dataclass(frozen=True)
class PlanText:
    """A plan with the text it was read from."""

    plan: Plan
    digest: str
    text: str
    path: Path


@dataclass(frozen=True)
class SiteFiles:
    """The estate as the CMDB imports it, and the connections that open its hosts."""

    estate: Path
    secrets: Path


GATES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
WAYS = ("commit", "back_out", "stand_down")
TRIES = 4
"""A broken tool is tried again as often as Airflow tries the task; a "no" never."""
PAUSE = 2.0


def at_its_lane(
    settings: Settings, text: PlanText, site: SiteFiles, environment: str, approver: str
) -> tuple[Upgrade, Callable[[], Tools]]:
    """A new run up to the lane of this environment: entry, run sheet, the plan's approval, the preparations."""
    vault = EnvironmentVault({}, (site.secrets,))

    def make() -> Tools:
        return wiring.tools(vault=vault, tell=lambda line: None, settings=settings)

    import_estate(settings, site.estate, reset=True)
    tools = make()
    wanted = requested_run(
        text.plan,
        plan_digest=text.digest,
        plan_text=text.text,
        dag_run_id=f"without-airflow-{settings.home.name}",
        requested_by=text.plan.requested_by,
        asked={"mode": "implement", "environments": [environment], "reason": "game day"},
        at=tools.clock(),
    )
    upgrade = wiring.upgrade_of(settings, tools.ledger.open_run(wanted), text.plan)
    plan = {"gate": "plan", "environment": ""}
    steps: tuple[Callable[[], Answer], ...] = (
        lambda: check_entry(upgrade, tools),
        lambda: open_change(upgrade, tools),
        lambda: write_run_sheet(upgrade, tools),
        lambda: open_request(upgrade, tools, **plan),
        lambda: record_answer(upgrade, tools, **plan, option="Approve", responder={"id": approver}),
        lambda: bind_approval(upgrade, tools),
        lambda: prepare(upgrade, tools),
    )
    for step in steps:
        answer = step()
        if answer.reply is not Reply.YES:
            raise ChangeoverError(f"the upgrade did not come to its lane: {answer.text}", where=upgrade.run.key)
    return upgrade, make


@dataclass
class LaneDriver:
    """Gates until one says no; then the verdict, the way it takes and the settling, whatever came before.

    It is a `Workflow`: what a person orders through `settle` goes on from the stage that was named.
    """

    upgrade: Upgrade
    lane: Environment
    make_tools: Callable[[], Tools]
    """New for each try, as each task of Airflow is a new process."""
    tell: Callable[[str], None]
    pause: float = PAUSE
    answers: dict[str, Answer | str] = field(default_factory=dict)
    _goes_on: bool = True

    def go(self, first: str = GATES[0]) -> None:
        self._goes_on = True
        for stage in GATES[GATES.index(first) :] if first in GATES else ():
            if not self._yes(stage):
                break
        if self._yes("verdict"):
            for way in WAYS:
                self._yes(way)
        self._yes("settle")
        self._goes_on = False

    def state(self, run: Run) -> str | None:
        if self._goes_on:
            return "running"
        settled = self.answers.get("settle")
        return "success" if isinstance(settled, Answer) and settled.reply is Reply.YES else "failed"

    def paused(self, run: Run) -> bool:
        return False

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        self.go(stage)
        return (stage,)

    def _yes(self, stage: str) -> bool:
        self.answers[stage] = answer = self._answer(stage)
        self.tell(f"{stage}: {answer if isinstance(answer, str) else f'{answer.reply}: {answer.text}'}")
        return isinstance(answer, Answer) and answer.reply is Reply.YES

    def _answer(self, stage: str) -> Answer | str:
        broke = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.pause)
            try:
                return lane_stage(stage)(self.upgrade, self.make_tools(), self.lane)
            except ChangeoverError as exc:
                broke = f"broke: {exc}"
                self.tell(f"{stage}, try {attempt + 1}: {broke}")
        return broke
