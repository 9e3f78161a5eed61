"""What is true of an environment whose run stopped half-way, and what a person may do: the rules, with every reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from changeover.domain.batch import Standing
from changeover.domain.host_lock import BEGUN, UNPROVEN, Controller, HostHold, LiveProcess
from changeover.domain.record import Mark, MarkKind
from changeover.domain.version import VersionError, same


class Truth(StrEnum):
    OLD = "old release"
    NEW = "new release"
    BETWEEN = "in between"
    UNTOUCHED = "untouched"
    """Neither the ledger nor the host knows of anything that this run did there."""
    UNKNOWN = "unknown"


class Way(StrEnum):
    RESUME = "resume"
    BACK_OUT = "back-out"
    CLOSE = "close"


class Driver(StrEnum):
    """What Airflow says of the run."""

    GOES_ON = "goes on"
    ENDED = "ended"
    NOT_KNOWN = "not known to Airflow"
    NO_ANSWER = "Airflow does not answer"


@dataclass(frozen=True)
class HostEvidence:
    """What was read on one host now. `version` None: it could not be read, and `version_error` says why."""

    hold: HostHold
    processes: tuple[LiveProcess, ...] = ()
    """Those that carry a token of the run."""
    version: str | None = None
    version_error: str = ""


@dataclass(frozen=True)
class HostTruth:
    host: str
    truth: Truth
    why: str
    version: str | None = None
    locked: bool = False
    """The run holds the host's lock."""
    phase: str = ""
    """What the run's own marker on the host says."""
    alive: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The versions of the run's plan."""

    run: str
    from_version: str
    to_version: str
    scheme: str = "pep440"


@dataclass(frozen=True)
class EnvironmentFacts:
    """What the ledger, Airflow and the hosts say of one environment of the run."""

    name: str
    hosts: tuple[HostTruth, ...]
    driver: Driver
    controller: Controller = Controller.GONE
    is_lane: bool = True
    """Not so: the baseline, which the next run builds anew."""
    implements: bool = True
    """The run's mode is to implement, not to back out."""
    started: bool = False
    outcome: str | None = None
    closed_by: str = ""
    change_began: bool = False
    implemented: bool = False
    accepted: bool = False
    signed_off: bool = False
    committed: bool = False
    backed_out: bool = False
    decision: str | None = None
    restore_point: str | None = None
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """Where the hosts of a rollout in batches stand; empty for a lane that changes all hosts together."""
    tried: Mapping[str, str] | None = None
    """Stages that change hosts, of the present try → how the newest of their steps ended."""
    lost: tuple[tuple[str, str], ...] = ()
    """Steps that began and have no end, and nobody is at work on: each with what is known of it."""
    at_stop: str = ""
    """A release on the way that every host was found on, all legs up to it having ended well."""

    def ended_as(self, step: str) -> str | None:
        return (self.tried or {}).get(step)


@dataclass(frozen=True)
class Option:
    """`stage`: where Airflow has to go on, for a way that leads through Airflow."""

    way: Way
    possible: bool
    reasons: tuple[str, ...]
    stage: str = ""
    again: bool = False
    """What changes hosts is done once more; only ever by a person's order."""


@dataclass(frozen=True)
class Settlement:
    """What is true of one environment. Empty `needs`: there is nothing to settle, and `why` says so."""

    environment: str
    truth: Truth
    hosts: tuple[HostTruth, ...]
    needs: tuple[str, ...]
    why: str
    options: tuple[Option, ...]

    def option(self, way: Way) -> Option:
        return next(option for option in self.options if option.way is way)

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "truth": str(self.truth),
            "hosts": [
                {
                    "host": host.host,
                    "truth": str(host.truth),
                    "why": host.why,
                    "version": host.version,
                    "locked_by_run": host.locked,
                    "processes": list(host.alive),
                }
                for host in self.hosts
            ],
            "to_settle": list(self.needs),
            "why": self.why,
            "options": [
                {"do": str(option.way), "possible": option.possible, "reasons": list(option.reasons)}
                for option in self.options
            ],
        }


def host_truth(evidence: HostEvidence, wanted: Wanted, *, touched: bool) -> HostTruth:
    """The marker outweighs the version: files may be of the new release while its migration stands half-way."""
    hold = evidence.hold
    alive = tuple(f"process {process.pid}: {process.command}" for process in evidence.processes)
    locked = hold.lock is not None and hold.lock.run == wanted.run
    marker = hold.marker if hold.marker is not None and hold.marker.run == wanted.run else None
    phase = marker.phase if marker else ""
    truth, why = _truth(evidence, phase, wanted, touched=touched or locked)
    return HostTruth(hold.host, truth, why, evidence.version, locked, phase, alive)


def _truth(evidence: HostEvidence, phase: str, wanted: Wanted, *, touched: bool) -> tuple[Truth, str]:
    hold, version = evidence.hold, evidence.version
    if not hold.reached:
        return Truth.UNKNOWN, hold.error or "it could not be asked"
    if not touched and not phase:
        return Truth.UNTOUCHED, "it has neither lock nor marker of this run"
    if evidence.processes:
        return Truth.BETWEEN, "processes of the run are still at work on it"
    if phase in BEGUN:
        found = f"{version} is found" if version else "no version can be read"
        return Truth.BETWEEN, f"its marker says {phase.replace('_', ' ')} and not that this ended; {found}"
    if version is None:
        why = evidence.version_error or "its version could not be read"
        return (Truth.BETWEEN if phase else Truth.UNKNOWN), why
    return _by_version(version, phase, wanted)


def _by_version(version: str, phase: str, wanted: Wanted) -> tuple[Truth, str]:
    said = f"{version} is found" + (f", its marker says {phase.replace('_', ' ')}" if phase else "")
    if is_same(version, wanted.to_version, wanted.scheme):
        return (Truth.BETWEEN if phase == "backed_out" else Truth.NEW), said
    if is_same(version, wanted.from_version, wanted.scheme):
        return (Truth.BETWEEN if phase in ("implemented", "committed") else Truth.OLD), said
    return Truth.BETWEEN, f"{said}: neither {wanted.from_version} nor {wanted.to_version}"


def is_same(found: str, wanted: str, scheme: str) -> bool:
    try:
        return same(found, wanted, scheme)
    except VersionError:
        return False


def environment_truth(hosts: Sequence[HostTruth]) -> Truth:
    """One word only for what holds of every host; no host at all is unknown."""
    found = {host.truth for host in hosts}
    if not found or Truth.UNKNOWN in found:
        return Truth.UNKNOWN
    return found.pop() if len(found) == 1 else Truth.BETWEEN


NOT_HERE = "is not on this machine and may still be at work: ask where its records are"


def settle(facts: EnvironmentFacts) -> Settlement:
    """Whether something is to be settled, what is true, and for each way whether it is open and why."""
    needs, why = _needs(facts)
    ways = ((Way.RESUME, _resume), (Way.BACK_OUT, _back_out), (Way.CLOSE, _close))
    if facts.driver is Driver.GOES_ON and needs:
        told = (
            "Airflow's run goes on: end it first (`changeover stop`, or mark the run failed), or wait for its verdict"
        )
        options = tuple(Option(way, False, (told,)) for way, _ in ways)
    elif not needs:
        options = tuple(Option(way, False, (f"nothing to settle: {why}",)) for way, _ in ways)
    else:
        options = tuple(rule(facts) for _, rule in ways)
    return Settlement(facts.name, environment_truth(facts.hosts), facts.hosts, needs, why, options)


def _needs(facts: EnvironmentFacts) -> tuple[tuple[str, ...], str]:
    if facts.driver is Driver.GOES_ON:
        return _stuck(facts), "Airflow's run goes on"
    if facts.controller is Controller.RUNS and facts.driver is Driver.NO_ANSWER:
        return (), "its controller process is at work; ask again when it has ended"
    locked = tuple(f"{host.host} is still locked by the run" for host in facts.hosts if host.locked)
    alive = tuple(f"{host.host}: {process}" for host in facts.hosts for process in host.alive)
    if facts.closed_by:
        return (*locked, *alive), f"closed by {facts.closed_by}"
    if facts.started and facts.outcome is None and facts.is_lane:
        return ("the lane began and has no outcome", *locked, *alive), ""
    if facts.outcome in UNPROVEN:
        return (f"it ended {str(facts.outcome).replace('_', ' ')}", *locked, *alive), ""
    odd = tuple(
        f"{host.host} is {host.truth}: {host.why}"
        for host in facts.hosts
        if host.truth is Truth.BETWEEN and facts.started
    )
    ended = f"it ended {facts.outcome.replace('_', ' ')}" if facts.outcome else "the run did nothing there"
    return (*odd, *locked, *alive), "" if odd or locked or alive else ended


def _stuck(facts: EnvironmentFacts) -> tuple[str, ...]:
    """What an Airflow that goes on does not end by itself, or not before somebody looks."""
    if facts.controller is Controller.RUNS:
        return ()
    alive = (f"{host.host}: {process}, and nobody follows it" for host in facts.hosts for process in host.alive)
    return (*(f"{step} was lost: {why}" for step, why in facts.lost), *alive)


def _at_rest(facts: EnvironmentFacts) -> tuple[str, ...]:
    """What stands in the way of starting anything on the hosts."""
    return (
        *((f"its controller process {NOT_HERE}",) if _not_here(facts) else ()),
        *(f"{host.host} could not be asked: {host.why}" for host in facts.hosts if host.truth is Truth.UNKNOWN),
        *(f"{host.host}: {process} still lives" for host in facts.hosts for process in host.alive),
    )


def _through_airflow(facts: EnvironmentFacts) -> tuple[str, ...]:
    if not facts.is_lane:
        return ("a baseline is built anew by the next run",)
    if facts.driver is Driver.NOT_KNOWN:
        return ("Airflow no longer knows the run",)
    return (f"closed by {facts.closed_by}",) if facts.closed_by else ()


def _resume(facts: EnvironmentFacts) -> Option:
    against = _through_airflow(facts)
    if not against and facts.controller is Controller.RUNS:
        stage = next((step for step in reversed(list(facts.tried or {})) if facts.ended_as(step) == "running"), "")
        if stage in _STAGES:
            return Option(Way.RESUME, True, (f"{stage} is still at work: Airflow attaches to it again",), stage)
        return Option(Way.RESUME, False, ("its controller process is still at work: wait for its end",))
    against = (*against, *_at_rest(facts))
    stage, why = _where_to_go_on(facts)
    if against or not stage:
        return Option(Way.RESUME, False, (*against, *(() if stage else (why,))))
    return Option(Way.RESUME, True, (why,), stage)


_STAGES = ("restore_point", "implement", "commit", "back_out", "stand_down")


def _where_to_go_on(facts: EnvironmentFacts) -> tuple[str, str]:
    """The stage to begin with, and why there; no stage, and why not."""
    if facts.backed_out:
        return "", "it was backed out: start a new run"
    if facts.standings and not facts.implemented and facts.implements:
        return _rollout(facts)
    if facts.decision in ("commit", "stand_down"):
        if ended := facts.ended_as(facts.decision):
            return "", _not_twice(facts.decision, ended)
        return "verdict", f"it was decided to {facts.decision.replace('_', ' ')}, and that has not begun"
    if facts.decision == "back_out" or not facts.implements:
        return "", "it is to be backed out"
    return _through_the_gates(facts)


def _rollout(facts: EnvironmentFacts) -> tuple[str, str]:
    """It goes on with hosts that are not done; each of those has to be at the old release, proven now."""
    new = (Standing.DONE, Standing.BACK_OUT_PENDING)
    truths = {host.host: host for host in facts.hosts}
    odd = [
        f"{host} is {truths[host].truth}"
        for host, standing in facts.standings.items()
        if truths[host].truth not in ((Truth.NEW,) if standing in new else (Truth.OLD, Truth.UNTOUCHED))
    ]
    if odd:
        return "", f"{', '.join(odd)}: back out first what stands half-way"
    left = [
        f"{host} ({standing.replace('_', ' ')})" for host, standing in facts.standings.items() if standing not in new
    ]
    kept = [host for host, standing in facts.standings.items() if standing in new]
    return "implement", f"the rollout goes on with {', '.join(left)}; {', '.join(kept) or 'no host'} stays as it is"


def _through_the_gates(facts: EnvironmentFacts) -> tuple[str, str]:
    if not facts.change_began:
        if (ended := facts.ended_as("restore_point")) not in (None, "successful"):
            return "", _not_twice("restore_point", str(ended))
        return "window", "the change had not begun: the lane goes through its gates again"
    ended = facts.ended_as("implement")
    if ended != "successful":
        return "", _not_twice("implement", ended or "unknown")
    if facts.at_stop and not facts.implemented:
        return "implement", f"{facts.at_stop}, a stop on the way, is found on every host: the legs go on from here"
    if environment_truth(facts.hosts) is not Truth.NEW:
        return "", "the new release is not found on every host"
    if facts.implemented:
        return "acceptance", "the new release is found on every host: acceptance goes on from here"
    return "implement", "implement ended well, and this was not yet written down"


def _not_twice(step: str, ended: str) -> str:
    return f"{step} ended {ended}, and nothing that changes a host is run twice"


def _back_out(facts: EnvironmentFacts) -> Option:
    against = [*_through_airflow(facts)]
    if facts.controller is Controller.RUNS:
        against.append("its controller process is still at work: wait for its end")
    against += _at_rest(facts)
    if not (facts.backed_out or facts.committed or facts.change_began):
        return _give_back(facts, against)
    against += _no_way_back(facts)
    if against:
        return Option(Way.BACK_OUT, False, tuple(against))
    why, ended = [f"restore point {facts.restore_point} is proven"], facts.ended_as("back_out")
    if ended:
        why.append(f"back_out ended {ended}: it is done once more by this order")
    return Option(Way.BACK_OUT, True, tuple(why), "verdict", again=bool(ended))


def _give_back(facts: EnvironmentFacts, against: list[str]) -> Option:
    if facts.started and (ended := facts.ended_as("stand_down")):
        return Option(Way.BACK_OUT, False, (*against, _not_twice("stand_down", ended)))
    why = "the change had not begun: what was closed is opened again, and the locks are given back"
    return Option(Way.BACK_OUT, not against and facts.started, tuple(against) or (why,), "verdict")


def _no_way_back(facts: EnvironmentFacts) -> tuple[str, ...]:
    """Why a change that began cannot be backed out by this run."""
    ended = facts.ended_as("back_out")
    if facts.backed_out:
        return ("it was backed out",)
    if facts.committed:
        return ("the new release was committed: close it, then start a run in mode back-out",)
    if facts.implemented and facts.accepted and facts.signed_off:
        return ("it was accepted and signed off: resume it, or close it and start a run in mode back-out",)
    if ended and not facts.implements:
        return ("it was a run in mode back-out: close it, then start another one",)
    if facts.restore_point is None:
        return ("no proven restore point is on record",)
    if ended and (serving := _serving_again(facts)):
        why = f"back_out ended {ended}, and {', '.join(serving)} may serve the old release again"
        return (f"{why}: close it, then start a run in mode back-out, which counts what was entered since",)
    return ()


def _serving_again(facts: EnvironmentFacts) -> tuple[str, ...]:
    """Hosts that the back-out had finished with: users may have been let in, and entered something.

    A rollout in batches takes back no host a second time that it was seen to take back.
    """
    return tuple(
        host.host
        for host in facts.hosts
        if host.phase == "backed_out" and facts.standings.get(host.host) is not Standing.BACKED_OUT
    )


def _close(facts: EnvironmentFacts) -> Option:
    """A person's word ends it. A host that cannot be asked does not prevent that, living processes do."""
    against = (
        *(("its controller process is still at work",) if facts.controller is Controller.RUNS else ()),
        *(f"{host.host}: {process} still lives" for host in facts.hosts for process in host.alive),
    )
    if against:
        return Option(Way.CLOSE, False, against)
    away = tuple(host.host for host in facts.hosts if host.truth is Truth.UNKNOWN)
    kept = (
        *((f"what is true on {', '.join(away)} stays unknown, and so does a lock there",) if away else ()),
        *((f"who closes it answers for this: its controller process {NOT_HERE}",) if _not_here(facts) else ()),
    )
    return Option(Way.CLOSE, True, ("a named person says what is to be held true, with a reason", *kept))


def _not_here(facts: EnvironmentFacts) -> bool:
    return facts.controller is Controller.NOT_HERE


def closed_by(marks: Iterable[Mark]) -> str:
    """Who closed it: once closed, a run touches the environment no more."""
    closing = [mark for mark in marks if mark.kind is MarkKind.SETTLED and mark.data.get("action") == Way.CLOSE]
    return str(closing[-1].data.get("by", "")) if closing else ""
