"""One lane as the DAG does it, in a world in memory, with a window and a rehearsal behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment
from changeover.domain.record import Mark, MarkKind
from changeover.orchestration import stages
from changeover.usecases import baseline, transition
from changeover.usecases.agreed_windows import mark_windows
from changeover.usecases.ask import open_request
from changeover.usecases.tools import Answer, Reply
from tests.support.windows import at, third_saturday
from tests.support.world import World, plan

GATES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
ENDS = ("commit", "back_out", "stand_down")
OPENS, CLOSES = at("2026-08-14 13:00"), at("2026-08-14 17:00")
DECIDE_BY = at("2026-08-14 15:59:59")
"""The rehearsed back-out takes an hour and a second."""
ASKED: dict[str, Any] = {"go_no_go": {"by": ["owner"], "wait": "30m"}, "sign_off": {"by": ["owner"], "wait": "30m"}}


class Lane:
    """One lane as the DAG does it: a gate after the one before it said yes, the rest always."""

    def __init__(self, world: World, night: dict[str, Any] | None = None, name: str = "training", **lane: Any) -> None:
        environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
        environments[1] |= {"window": third_saturday(late_start_tolerance="2h").model_dump(), **lane}
        of = plan(environments=environments, **({"night": night} if night is not None else {}))
        self.world = world
        world.took = {"implement.yml": timedelta(minutes=60), "back_out.yml": timedelta(minutes=60)}
        self.upgrade, self.tools = world.upgrade(of=of), world.tools()
        assert transition.check_entry(self.upgrade, self.tools).reply is Reply.YES
        world.approve(self.upgrade)
        for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
            assert step(self.upgrade, self.tools).reply is Reply.YES
        mark_windows(self.upgrade, self.tools)
        self.environment: Environment = of.environment(name)
        world.now = at("2026-08-14 13:30")

    def stage(self, name: str) -> Answer:
        return stages.done(name, self.upgrade, self.tools, self.environment)

    def until(self, last: str) -> Answer:
        answer = None
        for name in GATES[: GATES.index(last) + 1]:
            answer = self.stage(name)
            if answer.reply is not Reply.YES:
                return answer
        assert answer is not None
        return answer

    def end(self) -> Outcome:
        assert self.stage("verdict").reply is not Reply.WAIT
        for name in (*ENDS, "settle"):
            self.stage(name)
        return self.world.ledger.outcomes(self.upgrade.run.key)[self.environment.name].outcome

    def marks(self, kind: MarkKind) -> tuple[Mark, ...]:
        return self.world.ledger.marks(self.upgrade.run.key, kind=kind)

    def order(self, verb: Callable[..., Any], **more: Any) -> Any:
        return verb(self.world.ledger, self.upgrade.run, by="ops", reason="why", at=self.world.now, **more)


def ask(lane: Lane, gate: str) -> float:
    answer = open_request(lane.upgrade, lane.tools, gate=gate, environment="training")
    assert answer.reply is Reply.YES
    return float(answer.data["seconds"])
