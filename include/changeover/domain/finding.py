"""Findings: what a check has to say, with a key that stays the same from run to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """An inhibitor stops the upgrade; an advisory is told and recorded."""

    INHIBITOR = "inhibitor"
    ADVISORY = "advisory"


class ActionKind(StrEnum):
    """A hint is for a person to read, a command for a shell, a playbook for Ansible."""

    HINT = "hint"
    COMMAND = "command"
    PLAYBOOK = "playbook"


@dataclass(frozen=True)
class Action:
    """One thing that may be done about a finding. Nothing is done unless a person chooses to."""

    kind: ActionKind
    text: str
    declared: bool = False
    """A check or a release record declares it, so that mode `fix` may carry it out; others are for a person."""


@dataclass(frozen=True)
class Waived:
    """The waiver under which an upgrade may go on in spite of the finding."""

    waiver: str
    by: str
    reason: str
    until: str
    """Last day on which it counts."""


@dataclass(frozen=True)
class Finding:
    """`key` names the check; `subject` what it is about (a host, a module, an environment)."""

    key: str
    subject: str
    summary: str
    severity: Severity = Severity.INHIBITOR
    remediation: str = ""
    evidence: dict[str, object] = field(default_factory=dict)
    environment: str = ""
    """"" when it concerns every environment."""
    audience: str = "provider"
    """Whose it is to act on: `provider` or `client`."""
    groups: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    """Files, hosts and modules that somebody who acts on it has to look at."""
    actions: tuple[Action, ...] = ()
    waived: Waived | None = None

    @property
    def inhibits(self) -> bool:
        return self.severity is Severity.INHIBITOR and self.waived is None

    @property
    def identity(self) -> tuple[str, str, str]:
        """By which the same finding is known again in another analysis."""
        return (self.key, self.environment, self.subject)
