"""What one execution of Ansible did, host by host, counted by ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from changeover.domain.record import StepStatus


class HostState(StrEnum):
    """How a host came out. Only `ok` is a success; `rescued` hides a failure and counts as one."""

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    RESCUED = "rescued"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True)
class HostResult:
    host: str
    state: HostState
    failed_task: str | None = None
    message: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The last `changeover_report` fact the role set on this host."""
    changed: int = 0


@dataclass(frozen=True)
class ExecutionResult:
    """`unknown` means nobody can say what is true on the hosts until they are asked."""

    status: StepStatus
    hosts: tuple[HostResult, ...]
    reasons: tuple[str, ...]
    token: str
    started_at: datetime | None
    ended_at: datetime | None
    directory: str

    @property
    def successful(self) -> bool:
        return self.status is StepStatus.SUCCESSFUL

    def report(self, host: str) -> Mapping[str, Any]:
        return next((result.report for result in self.hosts if result.host == host), {})
