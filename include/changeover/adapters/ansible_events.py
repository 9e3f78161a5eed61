"""Counts Ansible's events host by host, and keeps a short, bounded, secret-free record of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from changeover.adapters.redaction import Redactor
from changeover.domain.execution import Failure, HostSummary, HostTally

REPORT = "changeover_report"
_NOT_WORK = {
    "include_role",
    "include_tasks",
    "import_role",
    "import_tasks",
    "include_vars",
    "meta",
    "setup",
    "gather_facts",
}
_ONLY_THINKS = {
    "add_host",
    "assert",
    "debug",
    "fail",
    "group_by",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
}
_EVENT_LIMIT = 300
_MESSAGE_LIMIT = 2000
_ERROR_LIMIT = 1200


class EventTally:
    """Takes runner's events in order. Everything it keeps has passed the redactor."""

    def __init__(self, redactor: Redactor, log: EventLog) -> None:
        self._redactor, self._log = redactor, log
        self._tallies: dict[str, HostTally] = {}
        self._item_failures: dict[str, str] = {}
        self._errors: list[str] = []
        self.summary: dict[str, HostSummary] | None = None
        self._damaged = 0

    @property
    def tallies(self) -> Mapping[str, HostTally]:
        return self._tallies

    @property
    def damaged(self) -> int:
        return self._damaged + self._log.lost

    @property
    def errors(self) -> str:
        """What Ansible itself complained about (a syntax error, a group that matched nothing)."""
        return " ".join(" ".join(self._errors).split())[:_ERROR_LIMIT]

    def take(self, event: Mapping[str, Any]) -> None:
        """An event that cannot be understood is counted as damaged: it may have been the failure."""
        try:
            self._take(event)
        except (KeyError, TypeError, AttributeError, ValueError):
            self._damaged += 1

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind in ("error", "verbose") and event.get("stdout"):
            text = self._redactor.text(event["stdout"])
            if kind == "error" or text.startswith(("ERROR", "[ERROR]")):
                self._errors.append(text)
        elif kind == "playbook_on_stats":
            self.summary = _summary(event["event_data"])
        elif kind.startswith(("runner_on_", "runner_item_on_")):
            data = event["event_data"]
            self._host_event(kind, str(data["host"]), data)
        if stdout := event.get("stdout"):
            self._log.output(self._redactor.text(stdout))

    def _host_event(self, kind: str, host: str, data: Mapping[str, Any]) -> None:
        tally = self._tallies.setdefault(host, HostTally(host))
        task = self._redactor.text(str(data.get("task") or data.get("task_action") or "a task"))
        result: Mapping[str, Any] = data.get("res") or {}
        match kind:
            case "runner_on_start":
                self._item_failures.pop(host, None)
                tally = replace(tally, started=tally.started + 1, last_task=task)
            case "runner_item_on_failed":
                self._item_failures[host] = self._message(result)
            case "runner_on_ok":
                tally = self._ok(tally, task, data, result)
            case "runner_on_skipped":
                tally = replace(tally, skipped=tally.skipped + 1)
                self._log.event(host, task, "skipped")
            case "runner_on_failed":
                tally = self._failed(tally, task, data, result)
            case "runner_on_unreachable":
                message = self._message(result)
                tally = replace(tally, unreachable=Failure(task, message))
                self._log.event(host, task, "unreachable", message)
        self._tallies[host] = tally

    def _ok(self, tally: HostTally, task: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> HostTally:
        changed = bool(result.get("changed"))
        works, reaches = _kind(data)
        if works:
            self._log.event(tally.host, task, "changed" if changed else "ok")
        report = next(_reports(result), None)
        return replace(
            tally,
            ran=tally.ran + works,
            reached=tally.reached + reaches,
            changed=tally.changed + changed,
            report=tally.report if report is None else self._redactor.value(report),
        )

    def _failed(self, tally: HostTally, task: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> HostTally:
        failure = Failure(task, self._item_failures.pop(tally.host, "") or self._message(result))
        ignored = bool(data.get("ignore_errors"))
        self._log.event(tally.host, task, "ignored" if ignored else "failed", failure.message)
        _, reaches = _kind(data)
        tally = replace(tally, ran=tally.ran + 1, reached=tally.reached + reaches)
        if ignored:
            return replace(tally, ignored=(*tally.ignored, failure))
        return replace(tally, failures=(*tally.failures, failure))

    def _message(self, result: Mapping[str, Any]) -> str:
        """Ansible's message, and what the command said on stderr (or, for want of it, on stdout)."""
        if "censored" in result:
            return "hidden: the task is marked no_log"
        parts = [str(result[key]).strip() for key in ("msg", "reason") if result.get(key)]
        if parts and result.get("rc"):
            parts[0] += f" (rc {result['rc']})"
        said = next((str(result[key]).strip() for key in ("stderr", "module_stderr", "stdout") if result.get(key)), "")
        if said and said not in parts:
            parts.append(said[-_MESSAGE_LIMIT // 2 :])
        return self._redactor.text(": ".join(parts))[:_MESSAGE_LIMIT]


def _kind(data: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the task does something at all, and whether it does it on the host."""
    action = str(data.get("task_action", "")).removeprefix("ansible.builtin.")
    return action not in _NOT_WORK, action not in _ONLY_THINKS | _NOT_WORK


def _reports(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The last first: a looped `set_fact` reports once per item."""
    for single in (*reversed(result.get("results") or ()), result):
        report = (single.get("ansible_facts") or {}).get(REPORT) if isinstance(single, Mapping) else None
        if isinstance(report, Mapping):
            yield report


def _summary(data: Mapping[str, Any]) -> dict[str, HostSummary]:
    columns = {
        "ok": "ok", "failures": "failures", "dark": "unreachable", "rescued": "rescued", "ignored": "ignored",
    }  # fmt: skip
    hosts = {host for column in (*columns, "processed", "skipped", "changed") for host in data.get(column) or {}}
    return {
        host: HostSummary(**{name: int((data.get(column) or {}).get(host, 0)) for column, name in columns.items()})
        for host in hosts
    }


class EventLog:
    """`events.jsonl` (one compact line per task and host) and Ansible's own output, both bounded.

    A line that cannot be written (a full disk) is counted in `lost`: the record of this execution is not whole then.
    """

    def __init__(self, events: Path, output: Path, *, max_events: int = 20_000, max_output: int = 8 << 20) -> None:
        self._events, self._output = _append(events), _append(output)
        self._events_left, self._output_left = max_events, max_output
        self.lost = 0

    def event(self, host: str, task: str, result: str, message: str = "") -> None:
        """Past the bound only what went wrong is still written."""
        self._events_left -= 1
        if self._events_left < 0 and result in ("ok", "changed", "skipped"):
            return
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "host": host,
            "task": task,
            "result": result,
        }
        if message:
            line["message"] = message[:_EVENT_LIMIT]
        self._write(self._events, json.dumps(line, separators=(",", ":")))

    def say(self, text: str) -> None:
        """Something that concerns the execution as a whole."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": text}
        self._write(self._events, json.dumps(line, separators=(",", ":")))

    def output(self, text: str) -> None:
        if self._output_left > 0:
            self._output_left -= len(text) + 1
            self._write(
                self._output, text if self._output_left > 0 else f"{text}\n(cut: the output is longer than kept)"
            )

    def close(self) -> None:
        for handle in (self._events, self._output):
            with contextlib.suppress(OSError):
                handle.close()

    def _write(self, handle: TextIO, text: str) -> None:
        try:
            handle.write(text + "\n")
            handle.flush()
        except OSError:
            self.lost += 1


def _append(path: Path) -> TextIO:
    path.touch(mode=0o600)
    return path.open("a", encoding="utf-8")


def told(line: Mapping[str, Any]) -> str:
    """A line of `events.jsonl` as a person reads it in a log."""
    if "text" in line:
        return str(line["text"])
    message = f": {line['message']}" if line.get("message") else ""
    return f"{line.get('host')} | {line.get('result')} | {line.get('task')}{message}"
