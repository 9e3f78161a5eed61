"""One cell of the game day: a real upgrade, a fault in a phase, the end, the settling, and what the witness says."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from changeover import wiring
from changeover.domain.gameday import Cell, Phase, Sight, Told, lies
from changeover.domain.outcome import Outcome
from changeover.domain.settlement import Truth, Way
from changeover.gameday import witness
from changeover.gameday.faults import Fault
from changeover.gameday.ground import ENVIRONMENT, VICTIM, Ground, ledger_on_postgres, prepared, read_plan
from changeover.gameday.without_airflow import LaneDriver, SiteFiles, at_its_lane
from changeover.ports import Workflow
from changeover.usecases.host_status import tokens_of
from changeover.usecases.tools import Tools, Upgrade

Tell = Callable[[str], None]
SETTLED_BY, APPROVER = "petra.lang", "erik.lindgren"
SETTLED_BECAUSE = "the game day's fault is over"


@dataclass
class Trap:
    """Waits for the phase and makes the fault there, once."""

    ground: Ground
    fault: Fault
    phase: Phase
    run_key: str
    tell: Tell
    made: bool = False
    broke: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._over.wait(0.03):
            if reached(self.ground, self.phase, self.run_key):
                try:
                    self.fault.make(self.ground)
                except Exception as exc:  # noqa: BLE001 -- whatever it is, the cell has to say that no fault was made
                    self.broke = f"the fault could not be made: {exc}"
                    return
                self.made = True
                self.tell(f"now: {self.fault.title}")
                return

    def end(self) -> None:
        self._over.set()


def reached(ground: Ground, phase: Phase, run_key: str) -> bool:
    """Whether the phase's work is in progress: seen in files, so that neither controller nor host is disturbed."""
    executions = ground.settings.executions_directory(run_key)

    def started(step: str) -> bool:
        return (executions / f"{ENVIRONMENT}.{step}.1" / "started.json").exists()

    if phase is Phase.BEFORE:
        return started("restore_point")
    if phase is Phase.MID:
        victim = ground.victim
        return witness.schema(victim.app / "tracker/db/db") > ground.before[VICTIM].schema
    if phase is Phase.ACCEPTANCE:
        return started("acceptance_verify")
    return _marker(ground.victim.state / "marker.json") == "backing_out"


def _marker(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("phase", ""))
    except (OSError, ValueError):
        return ""


def play(fault: Fault, phase: Phase, *, root: Path, home: Path, plan: Path, tell: Tell) -> Cell:
    """A cell without Airflow."""
    begun, text = time.monotonic(), read_plan(plan)
    with prepared(root, home, text, breaks=phase is Phase.BACK_OUT, disk=fault.disk, clock=fault.clock) as ground:
        if fault.postgres:
            ledger_on_postgres(ground)
        make_databases(ground)
        upgrade, make = at_its_lane(ground.settings, ground.plan, _site(ground), ENVIRONMENT, APPROVER)
        driver = LaneDriver(upgrade, text.plan.environment(ENVIRONMENT), make, tell)
        cell = played(Upgrading(ground, upgrade, make, driver, driver.go, tell), fault, phase)
    return replace(cell, seconds=time.monotonic() - begun)


@dataclass(frozen=True)
class Upgrading:
    """A real upgrade about to begin its lane: `go` leads it to its end, `workflow` takes what `settle` orders."""

    ground: Ground
    upgrade: Upgrade
    make_tools: Callable[[], Tools]
    workflow: Workflow
    go: Callable[[], None]
    tell: Tell


def played(playing: Upgrading, fault: Fault, phase: Phase) -> Cell:
    """Set the trap, let the upgrade go to its end, mend the fault, settle, and judge at both points."""
    ground, upgrade = playing.ground, playing.upgrade
    key = upgrade.run.key
    trap = Trap(ground, fault, phase, key, playing.tell)
    watching = threading.Thread(target=trap.watch, daemon=True)
    watching.start()
    listening = witness.Listening(ground.secrets())
    try:
        playing.go()
    finally:
        trap.end()
        watching.join(30)
    told = _outcome(ground, key)
    at_end = lies(Told(told), _sights(ground, upgrade), mended=False)
    fault.mend(ground)
    way, truths, found = settle(playing)
    ended, sights = _outcome(ground, key), _sights(ground, upgrade)
    tokens = tokens_of(wiring.ledger(ground.settings).steps(key))
    return Cell(
        fault.title,
        phase,
        told=told,
        settled=way,
        ended=ended,
        lies=tuple(dict.fromkeys((*at_end, *found, *lies(Told(ended, truths), sights, mended=True)))),
        lost_rows=sum(sight.lost_rows for sight in sights),
        doubles=sum(max(0, sight.changes - sight.changes_wanted) for sight in sights),
        leaks=(*_leaks(ground), *listening.heard()),
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
        done = carry_out(case, found, Order(way, SETTLED_BY, SETTLED_BECAUSE, (ENVIRONMENT,)))
        tell("; ".join((*done.done, *done.refused)))
        if way is Way.CLOSE:
            after = look(Case(upgrade, playing.make_tools(), SshHolds(), workflow))
            locked = [host.host for one in after.environments for host in one.hosts if host.locked]
            wrong = (f"closed, and {', '.join(locked)} is still locked",) if locked else ()
            return ", ".join(ways), truths, wrong
    return ", ".join(ways), truths, ("settled three times, and still to be settled",)


def _site(ground: Ground) -> SiteFiles:
    return SiteFiles(ground.estate_path, ground.state.secrets_path)


def make_databases(ground: Ground) -> None:
    from changeover.adapters import ledger_sql

    wiring.make_own_databases(ground.settings)
    if ground.postgres:
        ledger_sql.migrate(ground.settings.ledger_url)


def _outcome(ground: Ground, key: str) -> Outcome | None:
    verdict = wiring.ledger(ground.settings).outcomes(key).get(ENVIRONMENT)
    return verdict.outcome if verdict else None


def _sights(ground: Ground, upgrade: Upgrade) -> list[Sight]:
    plan, ledger = upgrade.plan, wiring.ledger(ground.settings)
    steps = ledger.steps(upgrade.run.key, environment=ENVIRONMENT)
    tries = len({step.generation for step in steps if step.step == "implement"})
    return [
        witness.sight(
            ground.state.host(name), was, old=plan.from_version, new=plan.to_version, run=upgrade.run.key, tries=tries
        )
        for name, was in ground.before.items()
    ]


def _leaks(ground: Ground) -> tuple[str, ...]:
    places = [ground.settings.home, Path(f"/dev/shm/changeover-{os.geteuid()}")]  # noqa: S108 -- where it would be
    allowed = []
    for name in ground.before:
        host = ground.state.host(name)
        places += [host.home, host.tmp, host.log, host.state, host.run, host.app / "artefacts"]
        allowed.append(host.home / "cost-sync/password")
    return witness.leaks(ground.secrets(), places, allowed=allowed)
