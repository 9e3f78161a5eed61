"""How an execution ended, read from its directory; and its end by order, here and on its hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime

from changeover.adapters.execution_directory import (
    ExecutionDirectory,
    ExecutionState,
    Order,
    Target,
    read_json,
    write_refusal,
)
from changeover.domain.execution import ExecutionResult, HostResult, HostState
from changeover.domain.record import StepStatus

LOST = "the controller process that ran it is gone; ask the hosts"


def read_result(directory: ExecutionDirectory, names: Sequence[str], token: str) -> ExecutionResult:
    """A result that is missing or cannot be read is `unknown`, never a guess."""
    started = directory.started_facts().get("started_at")
    started_at = datetime.fromisoformat(started) if isinstance(started, str) else None

    def unknown(reason: str) -> ExecutionResult:
        hosts = tuple(HostResult(name, HostState.NOT_ATTEMPTED, message="nothing is recorded") for name in names)
        return ExecutionResult(StepStatus.UNKNOWN, hosts, (reason,), token, started_at, None, str(directory.path))

    if not directory.result.exists():
        return unknown(LOST)
    content = read_json(directory.result)
    try:
        if content is None:
            raise ValueError("it holds no JSON object")
        return ExecutionResult(
            status=StepStatus(content["status"]),
            hosts=tuple(HostResult(**{**host, "state": HostState(host["state"])}) for host in content["hosts"]),
            reasons=tuple(content["reasons"]),
            token=content["token"],
            started_at=datetime.fromisoformat(content["started_at"]),
            ended_at=datetime.fromisoformat(content["ended_at"]),
            directory=str(directory.path),
        )
    except (KeyError, TypeError, ValueError) as exc:
        return unknown(f"its result cannot be read ({exc}); ask the hosts")


def what_is_left(directory: ExecutionDirectory, token: str) -> ExecutionResult | None:
    """None while it runs, and where nothing of it is here."""
    if directory.state() not in (ExecutionState.ENDED, ExecutionState.LOST):
        return None
    return read_result(directory, [target.name for target in recorded_targets(directory)], token)


def recorded_targets(directory: ExecutionDirectory) -> tuple[Target, ...]:
    """The hosts that were ordered, sources among them; none where the order cannot be read."""
    try:
        return Order.from_json(directory.spec.read_text()).everyone
    except (OSError, ValueError, TypeError, KeyError):
        return ()


def refuse_what_did_not_begin(directory: ExecutionDirectory, names: Sequence[str], token: str) -> None:
    """Nobody is to begin it any more: under the owner's lock, its result is that it was stopped before."""
    with directory.own() as owned:
        if owned and not directory.started.exists() and not directory.result.exists():
            write_refusal(directory, names, token)


def end_controller(directory: ExecutionDirectory) -> None:
    """For one that does not react; what it ran locally ends with it. Of another machine, the number says nothing."""
    facts = directory.started_facts()
    pid = facts.get("pid")
    if facts.get("controller") != socket.gethostname() or not isinstance(pid, int):
        return
    if directory.state() is ExecutionState.RUNNING:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_everywhere(targets: Sequence[Target], token: str, keys: Mapping[str, str]) -> tuple[bool, str]:
    """Every process with the token, here and on the hosts; (none is left anywhere, what was seen)."""
    from changeover.adapters.host_processes import end_on_hosts
    from changeover.adapters.local_processes import end_marked_processes

    left = end_marked_processes(token)
    answers = end_on_hosts(targets, token, keys).values()
    here = (f"controller: still running: {', '.join(map(str, left))}",) if left else ()
    seen = "; ".join((*here, *(f"{answer.host}: {answer.seen}" for answer in answers)))
    return not left and all(answer.confirmed for answer in answers), seen
