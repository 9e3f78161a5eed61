"""Lock, marker and living executions of hosts, over fresh SSH connections: one command a host, all hosts at once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from changeover.adapters.ansible_inventory import TOKEN_VARIABLE
from changeover.adapters.ssh_command import ProbeOutcome, ProbeResult, Question, ask
from changeover.domain.host_lock import HostHold, LiveProcess, read_lock, read_marker

if TYPE_CHECKING:
    from changeover.domain.estate import Host
    from changeover.ports import Credentials

_SCRIPT = r"""
t='	'
told() {
  [ -e "$2" ] || { [ -d "$(dirname "$2")" ] && [ ! -x "$(dirname "$2")" ]; } || return 0
  printf '%s\t%s\n' "$1" "$(tr -d '\n' 2>/dev/null <"$2")"
}
if [ -r /proc/self/environ ]; then
  echo "processes${t}told"
  for file in $(grep -lsaF -e "$variable=" /proc/[0-9]*/environ); do
    token=$(tr '\0' '\n' 2>/dev/null <"$file" | sed -n "s/^$variable=//p" | head -n 1)
    pid=${file#/proc/}
    pid=${pid%/environ}
    [ -n "$token" ] || continue
    command=$(tr '\0\n\t' '   ' 2>/dev/null </proc/"$pid"/cmdline | cut -c1-200)
    printf 'process\t%s\t%s\t%s\n' "$pid" "$token" "$command"
  done
fi
"""


class SshHolds:
    """Reads and changes nothing. A file that is there and cannot be read counts as a lock that is held."""

    def holds(self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta) -> Mapping[str, HostHold]:
        answers = ask([_question(host) for host in hosts], keys=credentials.ssh_keys, timeout=timeout)
        return {host.name: _hold(answers[host.name], str(host.variables.get("host_state_dir") or "")) for host in hosts}


def _question(host: Host) -> Question:
    state = str(host.variables.get("host_state_dir") or "")
    lines = [f"variable={TOKEN_VARIABLE}", _SCRIPT]
    if state:
        lines += [f"told {name} {shlex.quote(f'{state}/{name}.json')}" for name in ("lock", "marker")]
    command = "sudo -n /bin/sh -s" if host.variables.get("host_become") else "/bin/sh -s"
    return Question(host, command, ("\n".join((*lines, "echo finished")) + "\n").encode())


def _hold(answer: ProbeResult, state: str) -> HostHold:
    lines = [line.split("\t") for line in answer.text.splitlines()]
    if not answer.ok or lines[-1:] != [["finished"]]:
        reached = answer.outcome in (ProbeOutcome.OK, ProbeOutcome.FAILED)
        why = answer.reason or "the host's answer is not whole"
        return HostHold(answer.host, False, f"it answers, but {why}" if reached else why, processes=None)
    if not state:
        why = "its record has no host_state_dir: nobody knows where its lock would be"
        return HostHold(answer.host, False, why, processes=None)
    files = {line[0]: line[1] for line in lines if line[0] in ("lock", "marker") and len(line) == 2}
    processes = tuple(
        LiveProcess(int(line[1]), line[2], line[3].strip() or "no command line")
        for line in lines
        if line[0] == "process" and len(line) == 4
    )
    can_tell = ["processes", "told"] in lines
    return HostHold(
        answer.host,
        True,
        lock=read_lock(_content(files.get("lock"))),
        marker=read_marker(_content(files.get("marker"))),
        processes=processes if can_tell else None,
    )


def _content(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    return content if isinstance(content, dict) and content else {"unreadable": text[:200] or "an empty file"}
