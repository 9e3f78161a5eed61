"""Mode `fix`: which findings may be cured by machine, where, and whether they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changeover.domain.finding import Action, ActionKind, Finding


@dataclass(frozen=True)
class Cure:
    """One declared remedy for one finding, on the hosts of one environment that the finding names."""

    key: str
    subject: str
    environment: str
    hosts: tuple[str, ...]
    kind: str
    run: str

    @property
    def told(self) -> str:
        return f"{self.key} ({self.subject}): {self.kind} `{self.run}` on {', '.join(self.hosts)}"

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "hosts": list(self.hosts)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Cure:
        words = {name: str(told[name]) for name in ("key", "subject", "environment", "kind", "run")}
        return cls(hosts=tuple(map(str, told["hosts"])), **words)


@dataclass(frozen=True)
class Choice:
    """What was asked for: the cures, or why there are none. One refusal refuses all of it."""

    cures: tuple[Cure, ...]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """`hosts`: environment of the run → its hosts. `tasks`: remedies of kind playbook that the role brings along."""

    hosts: Mapping[str, tuple[str, ...]]
    tasks: frozenset[str]


def choose(asked: Sequence[str], findings: Sequence[Finding], around: Around) -> Choice:
    """Each is asked for as KEY, or as KEY=SUBJECT where only one of several is meant; cured in the plan's order."""
    cures: list[Cure] = []
    refused: list[str] = []
    for text in dict.fromkeys(asked):
        key, _, subject = text.partition("=")
        meant = [finding for finding in findings if finding.key == key and subject in ("", finding.subject)]
        if not meant:
            known = ", ".join(sorted({f"{finding.key}={finding.subject}" for finding in findings})) or "none"
            refused.append(f"{text}: the analysis has no such finding; it has {known}")
        for finding in meant:
            found = tuple(_cures(finding, around))
            cures += found
            if not found:
                refused.append(_why_not(finding, around))
    order = list(around.hosts)
    cures = sorted(dict.fromkeys(cures), key=lambda cure: order.index(cure.environment))
    return Choice(() if refused else tuple(cures), tuple(refused))


def _cures(finding: Finding, around: Around) -> Iterator[Cure]:
    actions = [action for action in finding.actions if _usable(action, around)]
    for environment, hosts in _places(finding, around).items():
        for action in actions:
            yield Cure(finding.key, finding.subject, environment, hosts, str(action.kind), action.text)


def _usable(action: Action, around: Around) -> bool:
    return action.declared and (action.kind is not ActionKind.PLAYBOOK or action.text in around.tasks)


def _places(finding: Finding, around: Around) -> dict[str, tuple[str, ...]]:
    """The hosts that the finding names: as its subject, before its subject's slash, or among what is related."""
    named = {finding.subject, finding.subject.partition("/")[0], *finding.related}
    places = {
        environment: tuple(host for host in hosts if host in named)
        for environment, hosts in around.hosts.items()
        if finding.environment in ("", environment)
    }
    return {environment: hosts for environment, hosts in places.items() if hosts}


def _why_not(finding: Finding, around: Around) -> str:
    where = f"{finding.key} ({finding.subject})"
    declared = [action for action in finding.actions if action.declared]
    if not declared:
        told = "; ".join(f"{action.kind}: {action.text}" for action in finding.actions) or finding.remediation
        return (
            f"{where}: no check and no release record declares a remedy for it; what it tells is for a person: {told}"
        )
    if missing := [action.text for action in declared if not _usable(action, around)]:
        files = ", ".join(f"tasks/fix_{name}.yml" for name in missing)
        return f"{where}: the application's role does not bring {files} along"
    return f"{where}: it names no host of the environments asked for, and nothing is carried out anywhere else"


@dataclass(frozen=True)
class Cured:
    """One cure, held against the analysis that was made after it."""

    cure: Cure
    gone: bool

    @property
    def told(self) -> str:
        return f"{self.cure.key} ({self.cure.subject}): {'cured' if self.gone else 'not cured'}"


def held_against(cures: Sequence[Cure], after: Sequence[Finding]) -> tuple[Cured, ...]:
    left = {(finding.key, finding.subject) for finding in after}
    return tuple(Cured(cure, (cure.key, cure.subject) not in left) for cure in cures)


def new_inhibitors(before: Sequence[Finding], after: Sequence[Finding]) -> tuple[Finding, ...]:
    """What stands in the way now and did not before: a remedy may break something else."""
    known = {finding.identity for finding in before}
    return tuple(finding for finding in after if finding.inhibits and finding.identity not in known)
