"""Facts of hosts for readiness, read over SSH: one command per host, all hosts at once, within a hard limit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from changeover.adapters.ssh_command import ProbeOutcome, ProbeResult, Question, ask
from changeover.domain.facts import HostFacts

if TYPE_CHECKING:
    from changeover.domain.estate import Host
    from changeover.ports import Credentials

_WRITTEN_TO = ("app_root", "host_state_dir", "ansible_remote_tmp")
_ALWAYS = ("/tmp",)  # noqa: S108  # looked at, not written to
# What a killed copy leaves behind counts as free, since the next one clears it first (`alone` of the roles). While
# `.copying` is locked a copy is being made, and nothing there is a left-over.
_SCRIPT = r"""
t='	'
echo "clock$t$(date +%s.%N 2>/dev/null || date +%s)"
near() { near=$1; while [ ! -e "$near" ] && [ "$near" != / ] && [ "$near" != . ]; do near=$(dirname "$near"); done; }
fields() { awk 'NR > 1 { for (i = NF; i > 4; i--) if ($i ~ /^([0-9]+%|-)$/) { print $(i-3), $(i-1); exit } }'; }
space() {
  near "$1"
  echo "device$t$1$t$(stat -c %d "$near" 2>/dev/null)"
  echo "bytes$t$1$t$(df -Pk "$near" 2>/dev/null | fields)"
  echo "inodes$t$1$t$(df -Pi "$near" 2>/dev/null | fields)"
}
left() {
  [ ! -e "$1/.copying" ] || flock -n "$1/.copying" true 2>/dev/null || return 0
  for place in "$1"/restore_points/*.part "$1/imported.part" "$1/.drill"; do
    [ ! -d "$place" ] || echo "left$t$place$t$(du -sk "$place" 2>/dev/null | cut -f1)"
    [ ! -d "$place" ] || echo "device$t$place$t$(stat -c %d "$place" 2>/dev/null)"
  done
}
writable() {
  near "$1"
  if [ -d "$near" ] && [ -w "$near" ]; then echo "writable$t$1${t}yes"; else echo "writable$t$1${t}no"; fi
}
lock() {
  [ -e "$1" ] || { [ -d "$(dirname "$1")" ] && [ ! -x "$(dirname "$1")" ]; } || return 0
  echo "lock$t$(tr -d '\n' 2>/dev/null <"$1")"
}
python() {
  "$1" -V 2>/dev/null | { read -r name number rest; [ "$name" != Python ] || echo "python$t${number%%[!0-9.]*}"; }
}
echo "memory$t$(awk '/^MemTotal:/ { a = $2 } /^MemAvailable:/ { b = $2 } END { print a, b }' /proc/meminfo 2>/dev/null)"
echo "load$t$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)"
echo "processors$t$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
"""


class SshProbe:
    """The probe on real hosts. Directories that do not exist yet are judged by the nearest one that does."""

    def host_facts(
        self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta
    ) -> Mapping[str, HostFacts]:
        """One answer per host, whatever the host does; what could not be read is missing in it."""
        answers = ask([_question(host) for host in hosts], keys=credentials.ssh_keys, timeout=timeout)
        return {host.name: _facts(answers[host.name]) for host in hosts}


def _question(host: Host) -> Question:
    """The script goes in by stdin: whatever the login shell is, it does not get to read it."""
    command = "sudo -n /bin/sh -s" if host.variables.get("host_become") else "/bin/sh -s"
    return Question(host, command, _script(host).encode())


def _script(host: Host) -> str:
    written = [str(path) for name in _WRITTEN_TO if (path := host.variables.get(name))]
    lines = [f"space {shlex.quote(path)}" for path in dict.fromkeys((*written, *_ALWAYS))]
    lines += [f"writable {shlex.quote(path)}" for path in dict.fromkeys(written)]
    if app_root := host.variables.get("app_root"):
        lines.append(f"left {shlex.quote(str(app_root))}")
    if state := host.variables.get("host_state_dir"):
        lines.append(f"lock {shlex.quote(f'{state}/lock.json')}")
    lines += [f"python {shlex.quote(_interpreter(host))}", "echo finished"]
    return _SCRIPT + "\n".join(lines) + "\n"


def _interpreter(host: Host) -> str:
    named = str(host.variables.get("ansible_python_interpreter") or "auto")
    return "python3" if named.startswith("auto") else named


def _facts(answer: ProbeResult) -> HostFacts:
    reached = answer.outcome in (ProbeOutcome.OK, ProbeOutcome.FAILED)
    lines = [line.split("\t") for line in answer.text.splitlines()]
    if not answer.ok or lines[-1:] != [["finished"]]:
        return HostFacts(answer.host, reached, answer.reason or "the host's answer is not whole")
    single = {line[0]: line[1] for line in lines if len(line) == 2}
    by_path = {(line[0], line[1]): line[2] for line in lines if len(line) == 3}
    memory = _numbers(single.get("memory", ""), 2)
    return HostFacts(
        host=answer.host,
        reachable=True,
        python=single.get("python") or None,
        clock_offset=_offset(single.get("clock", ""), answer),
        writable={path: text == "yes" for (kind, path), text in by_path.items() if kind == "writable"},
        total_bytes=_column(by_path, "bytes", 0, 1024),
        free_bytes=_column(by_path, "bytes", 1, 1024),
        total_inodes=_column(by_path, "inodes", 0, 1),
        free_inodes=_column(by_path, "inodes", 1, 1),
        lock=_lock(single.get("lock")),
        memory_bytes=memory[0] * 1024 if memory else None,
        memory_available_bytes=memory[1] * 1024 if memory else None,
        load=_decimal(single.get("load", "")),
        leftovers={
            path: int(text) * 1024 for (kind, path), text in by_path.items() if kind == "left" and text.isdecimal()
        },
        devices={path: int(text) for (kind, path), text in by_path.items() if kind == "device" and text.isdecimal()},
        processors=next(iter(_numbers(single.get("processors", ""), 1)), None),
    )


def _column(by_path: Mapping[tuple[str, str], str], kind: str, index: int, unit: int) -> dict[str, int]:
    measured = {path: _numbers(text, 2) for (found, path), text in by_path.items() if found == kind}
    return {path: numbers[index] * unit for path, numbers in measured.items() if numbers}


def _numbers(text: str, count: int) -> tuple[int, ...]:
    """Exactly `count` whole numbers, or none at all."""
    words = text.split()
    return tuple(map(int, words)) if len(words) == count and all(word.isdecimal() for word in words) else ()


def _decimal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _offset(text: str, answer: ProbeResult) -> timedelta | None:
    """Against the middle of the time between asking and the first answer: right to half a round trip."""
    told = _decimal(text.removesuffix(".N").removesuffix(".%N"))
    if told is None or not answer.first_output_at:
        return None
    return timedelta(seconds=told - (answer.sent_at + answer.first_output_at) / 2)


def _lock(text: str | None) -> Mapping[str, Any] | None:
    """A lock that cannot be read is held by somebody, as far as anybody can tell."""
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    return content if isinstance(content, dict) and content else {"unreadable": text[:200]}
