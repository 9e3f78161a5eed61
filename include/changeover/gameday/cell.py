"""One cell of the game day: a real upgrade, a fault in a phase, the end, the settling, and what the witness says."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from changeover import wiring
from changeover.domain.gameday import Cell, Phase, Sight, Told, lies
from changeover.domain.outcome import Outcome
from changeover.domain.settlement import Truth, Way
from changeover.gameday import witness
from changeover.gameday.faults import Fault
from changeover.gameday.ground import ENVIRONMENT, Ground, ledger_on_postgres, prepared, read_plan
from changeover.gameday.without_airflow import LaneDriver, at_its_lane
from changeover.ports import Workflow
from changeover.usecases.host_status import tokens_of
from changeover.usecases.tools import Tools, Upgrade

if TYPE_CHECKING:
    from changeover.domain.plan import Plan
    from changeover.settings import Settings

Tell = Callable[[str], None]
SETTLED_BY, APPROVER = "petra.lang", "erik.lindgren"
SETTLED_BECAUSE = "the game day's fault is over"


class Scene(Protocol):
    """The hosts on which a cell is played, as the trap and the witness know them."""

    @property
    def settings(self) -> Settings: ...
    def changing(self) -> bool:
        """The victim is in the middle of its change."""

    def marker(self) -> str:
        """What the victim's marker says: read from its disk."""

    def sights(self, plan: Plan, run: str, tries: int) -> list[Sight]:
        """What is so on each host, by a look that shares nothing with the upgrade."""

    def exposed(self) -> tuple[list[Path], list[Path]]:
        """Directories in which no secret may lie, and files in them that are the client's own."""

    def secrets(self) -> dict[str, str]: ...


@dataclass
class Trap:
    """Waits for the phase and makes the fault there, once."""

    scene: Scene
    fault: Fault
    phase: Phase
    run_key: str
    tell: Tell
    made: bool = False
    broke: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._over.wait(0.03):
            if reached(self.scene, self.phase, self.run_key):
                try:
                    self.fault.make(self.scene)
                except Exception as exc:  # noqa: BLE001 -- whatever it is, the cell has to say that no fault was made
                    self.broke = f"the fault could not be made: {exc}"
                    return
                self.made = True
                self.tell(f"now: {self.fault.title}")
                return

    def end(self) -> None:
        self._over.set()


def reached(scene: Scene, phase: Phase, run_key: str) -> bool:
    """Whether the phase's work is in progress: seen in files, so that neither controller nor host is disturbed."""
    executions = scene.settings.executions_directory(run_key)

    def started(step: str) -> bool:
        return (executions / f"{ENVIRONMENT}.{step}.1" / "started.json").exists()

    if phase is Phase.BEFORE:
        return started("restore_point")
    if phase is Phase.MID:
        return scene.changing()
    if phase is Phase.ACCEPTANCE:
        return started("acceptance_verify")
    return scene.marker() == "backing_out"


def play(fault: Fault, phase: Phase, *, root: Path, home: Path, plan: Path, tell: Tell) -> Cell:
    """A cell without Airflow."""
    begun, text = time.monotonic(), read_plan(plan)
    with prepared(root, home, text, breaks=phase is Phase.BACK_OUT, disk=fault.disk, clock=fault.clock) as ground:
        if fault.postgres:
            ledger_on_postgres(ground)
        make_databases(ground)
        upgrade, make = at_its_lane(ground.settings, ground.plan, ground.site, ENVIRONMENT, APPROVER)
        driver = LaneDriver(upgrade, text.plan.environment(ENVIRONMENT), make, tell)
        cell = played(Upgrading(ground, upgrade, make, driver, driver.go, tell, SETTLED_BY), fault, phase)
    return replace(cell, seconds=time.monotonic() - begun)


@dataclass(frozen=True)
class Upgrading:
    """A real upgrade about to begin its lane: `go` leads it to its end, `workflow` takes what `settle` orders."""

    scene: Scene
    upgrade: Upgrade
    make_tools: Callable[[], Tools]
    workflow: Workflow
    go: Callable[[], None]
    tell: Tell
    settled_by: str


def played(playing: Upgrading, fault: Fault, phase: Phase) -> Cell:
    """Set the trap, let the upgrade go to its end, mend the fault, settle, and judge at both points."""
    scene, upgrade = playing.scene, playing.upgrade
    key = upgrade.run.key
    trap = Trap(scene, fault, phase, key, playing.tell)
    watching = threading.Thread(target=trap.watch, daemon=True)
    watching.start()
    listening = witness.Listening(scene.secrets())
    try:
        playing.go()
    finally:
        trap.end()
        watching.join(30)
    told = _outcome(scene, key)
    at_end = lies(Told(told), _sights(scene, upgrade), mended=False)
    fault.mend(scene)
    way, truths, found = settle(playing)
    ended, sights = _outcome(scene, key), _sights(scene, upgrade)
    tokens = tokens_of(wiring.ledger(scene.settings).steps(key))
    return Cell(
        fault.title,
        phase,
        told=told,
        settled=way,
        ended=ended,
        lies=tuple(dict.fromkeys((*at_end, *found, *lies(Told(ended, truths), sights, mended=True)))),
        lost_rows=sum(sight.lost_rows for sight in sights),
        doubles=sum(max(0, sight.changes - sight.changes_wanted) for sight in sights),
        leaks=(*_leaks(scene), *listening.heard()),
        orphans=witness.orphans(tokens),
        broken=trap.broke or ("" if trap.made else "the phase was never reached, so the fault was not made"),
    )


def settle(playing: Upgrading) -> tuple[str, dict[str, Truth], tuple[str, ...]]:
    """What `settle` says now, and the first way of resume, back-out and close that it offers, taken.

    The answer: the way ("" when there was nothing to settle), what it said of each host last, and what was wrong.
    """
    from changeover.adapters.host_holds import SshHolds
    from changeover.usecases.settle_run import Case, Order, carry_out, look

    upgrade, tell, workflow = playing.upgrade, playing.tell, playing.workflow
    ways: list[str] = []
    truths: dict[str, Truth] = {}
    for _ in range(3):  # what was resumed may need a person once more
        case = Case(upgrade, playing.make_tools(), SshHolds(), workflow)
        found = look(case)
        truths = {host.host: host.truth for one in found.environments for host in one.hosts}
        mine = next((one for one in found.to_settle if one.environment == ENVIRONMENT), None)
        if mine is None:
            return ", ".join(ways), truths, ()
        way = next((way for way in (Way.RESUME, Way.BACK_OUT, Way.CLOSE) if mine.option(way).possible), None)
        if way is None:
            return ", ".join((*ways, "no way")), truths, ("settle offers no way although the fault is over",)
        tell(f"settle: {mine.truth}; {way}: {'; '.join(mine.option(way).reasons)}")
        ways.append(str(way))
        done = carry_out(case, found, Order(way, playing.settled_by, SETTLED_BECAUSE, (ENVIRONMENT,)))
        tell("; ".join((*done.done, *done.refused)))
        if way is Way.CLOSE:
            after = look(Case(upgrade, playing.make_tools(), SshHolds(), workflow))
            locked = [host.host for one in after.environments for host in one.hosts if host.locked]
            wrong = (f"closed, and {', '.join(locked)} is still locked",) if locked else ()
            return ", ".join(ways), truths, wrong
    return ", ".join(ways), truths, ("settled three times, and still to be settled",)


def make_databases(ground: Ground) -> None:
    from changeover.adapters import ledger_sql

    wiring.make_own_databases(ground.settings)
    if ground.postgres:
        ledger_sql.migrate(ground.settings.ledger_url)


def _outcome(scene: Scene, key: str) -> Outcome | None:
    verdict = wiring.ledger(scene.settings).outcomes(key).get(ENVIRONMENT)
    return verdict.outcome if verdict else None


def _sights(scene: Scene, upgrade: Upgrade) -> list[Sight]:
    steps = wiring.ledger(scene.settings).steps(upgrade.run.key, environment=ENVIRONMENT)
    tries = len({step.generation for step in steps if step.step == "implement"})
    return scene.sights(upgrade.plan, upgrade.run.key, tries)


def _leaks(scene: Scene) -> tuple[str, ...]:
    places, allowed = scene.exposed()
    own = [scene.settings.home, Path(f"/dev/shm/changeover-{os.geteuid()}")]  # noqa: S108 -- where it would be
    return witness.leaks(scene.secrets(), [*own, *places], allowed=allowed)
