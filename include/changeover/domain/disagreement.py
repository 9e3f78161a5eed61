"""Where the ledger, Airflow and the hosts tell different stories of a run: the rules, each with who does what next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.domain.host_lock import BEGUN, HostHold
from changeover.domain.settlement import Driver

NOT_KNOWN_GRACE = timedelta(hours=1)
"""A run that Airflow does not know may be one that somebody does without it; for so long nobody is told of it."""


@dataclass(frozen=True)
class Disagreement:
    """`key` stays the same for the same kind; `subject` is the host, or "" for the run as a whole."""

    key: str
    run: str
    subject: str
    text: str
    then: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text} (next: {self.then})"


@dataclass(frozen=True)
class StoryOfRun:
    """What is told of one run at one time. `implementing`: environment → hosts of an implement that goes on."""

    run: str
    opened_at: datetime
    driver: Driver
    dag: str = ""
    outcome: str | None = None
    closed_by: str = ""
    implementing: Mapping[str, tuple[str, ...]] | None = None
    paused_since: datetime | None = None
    """Since when its DAG is seen paused in Airflow; None where it is not."""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Host → how its environment ended, where that is proven and nobody closed it."""
    unsettled: frozenset[str] = frozenset()
    """Hosts about which the run has not proven yet what is true; none once it ended proven."""
    tokens: frozenset[str] = frozenset()
    """Of the executions that tasks of Airflow began."""


def of_run(story: StoryOfRun, now: datetime) -> tuple[Disagreement, ...]:
    """Ledger against Airflow."""
    settle = f"changeover settle {story.run}"
    if story.closed_by and story.driver is Driver.GOES_ON:
        text = f"run {story.run} was closed by {story.closed_by}, and Airflow goes on with it"
        return (Disagreement("closed-run-goes-on", story.run, "", text, "mark the run failed in Airflow"),)
    if story.outcome is not None:
        return ()
    if story.driver is Driver.GOES_ON and story.paused_since is not None:
        since = f"{story.paused_since:%Y-%m-%d %H:%MZ}"
        text = f"run {story.run} is on its way and paused in Airflow since {since}; tasks will not be scheduled"
        return (Disagreement("paused-in-airflow", story.run, "", text, f"switch {story.dag} on again in Airflow"),)
    if story.driver is Driver.ENDED:
        text = f"run {story.run} has no end in the ledger, and Airflow's run ended"
        return (Disagreement("run-without-end", story.run, "", text, settle),)
    if story.driver is Driver.NOT_KNOWN and now - story.opened_at > NOT_KNOWN_GRACE:
        text = f"run {story.run} has no end in the ledger, and Airflow does not know it"
        return (Disagreement("run-without-end", story.run, "", text, settle),)
    return ()


def of_hosts(
    stories: Mapping[str, StoryOfRun], holds: Iterable[HostHold], ended: Mapping[str, str | None]
) -> tuple[Disagreement, ...]:
    """Hosts against ledger and Airflow. `ended`: run of a lock → its outcome; runs not in the ledger are missing."""
    by_name = {hold.host: hold for hold in holds}
    away = {host for story in stories.values() for hosts in _at_work(story).values() for host in hosts}
    asked_for = {host for story in stories.values() for host in story.unsettled} - away
    found = [_not_asked(hold) for hold in by_name.values() if not hold.reached and hold.host in asked_for]
    found += [one for hold in by_name.values() if (one := _of_lock(hold, stories, ended))]
    found += [one for hold in by_name.values() if (one := _of_marker(hold, stories))]
    for story in stories.values():
        found += [_alive(story, hold) for hold in by_name.values() if _lives_on(story, hold)]
        for environment, hosts in _at_work(story).items():
            found += [one for host in hosts if (one := _unheld(story, environment, by_name.get(host)))]
    return tuple(found)


def _at_work(story: StoryOfRun) -> Mapping[str, tuple[str, ...]]:
    return (story.implementing or {}) if story.driver is Driver.GOES_ON else {}


def _not_asked(hold: HostHold) -> Disagreement:
    text = f"{hold.host} was not held against anything: {hold.error or 'it does not answer'}"
    return Disagreement("host-not-asked", "", hold.host, text, f"changeover host status; look at {hold.host}")


def _of_marker(hold: HostHold, stories: Mapping[str, StoryOfRun]) -> Disagreement | None:
    """What the host itself says of its change against how the ledger says that its environment ended."""
    marker = hold.marker
    story = stories.get(marker.run) if marker else None
    outcome = story.outcomes.get(hold.host) if story else None
    if marker is None or story is None or outcome is None or marker.phase not in _NEVER_AFTER.get(outcome, BEGUN):
        return None
    said = f"{hold.host} says {marker.phase.replace('_', ' ')} in step {marker.step} of run {marker.run}"
    text = f"{said}, and the ledger says that it ended {outcome.replace('_', ' ')}"
    return Disagreement("marker-against-outcome", marker.run, hold.host, text, f"changeover settle {marker.run}")


_NEVER_AFTER = {
    "successful": (*BEGUN, "backed_out"),
    "successful_with_issues": (*BEGUN, "backed_out"),
    "backed_out": (*BEGUN, "committed"),
    "refused": (*BEGUN, "implemented", "committed"),
    "missed": (*BEGUN, "implemented", "committed"),
}
"""Outcome of an environment → phases that no marker of its hosts can be left in."""


def _lives_on(story: StoryOfRun, hold: HostHold) -> bool:
    return story.driver is Driver.ENDED and any(process.token in story.tokens for process in hold.processes or ())


def _alive(story: StoryOfRun, hold: HostHold) -> Disagreement:
    mine = [process for process in hold.processes or () if process.token in story.tokens]
    names = ", ".join(f"process {process.pid} ({process.command})" for process in mine)
    text = f"Airflow's run {story.run} ended, and its work lives on {hold.host}: {names}"
    return Disagreement("work-of-ended-run", story.run, hold.host, text, f"changeover stop {story.run}")


def _of_lock(hold: HostHold, stories: Mapping[str, StoryOfRun], ended: Mapping[str, str | None]) -> Disagreement | None:
    lock = hold.lock
    if lock is None:
        return None
    if lock.unreadable or lock.run not in ended:
        whose = "that nobody can read" if lock.unreadable else f"of run {lock.run}, which is not in the ledger"
        return Disagreement(
            "foreign-lock", lock.run, hold.host, f"{hold.host} has a lock {whose}", "find out whose it is"
        )
    outcome, story = ended[lock.run], stories.get(lock.run)
    if outcome is None or (story is not None and story.driver is Driver.GOES_ON):
        return None
    text = f"{hold.host} is locked by run {lock.run}, which ended {outcome.replace('_', ' ')}"
    return Disagreement("lock-of-ended-run", lock.run, hold.host, text, f"changeover settle {lock.run}")


def _unheld(story: StoryOfRun, environment: str, hold: HostHold | None) -> Disagreement | None:
    where = f"in implement of {environment}"
    if hold is None or (hold.reached and hold.lock is not None and hold.lock.run == story.run):
        return None
    if not hold.reached:
        text = f"run {story.run} is {where}, and {hold.host} does not answer: {hold.error}"
        return Disagreement("host-away-in-implement", story.run, hold.host, text, "look at the host and the run")
    whose = f"held by run {hold.lock.run or 'that nobody can read'}" if hold.lock else "held by nobody"
    text = f"run {story.run} is {where}, and {hold.host} is {whose}"
    return Disagreement(
        "implement-without-lock", story.run, hold.host, text, f"changeover host status; changeover stop {story.run}"
    )
