"""Ends an execution's processes on its hosts over fresh connections, and says what was confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from changeover.adapters.ansible_inventory import TOKEN_VARIABLE
from changeover.adapters.execution_directory import Target
from changeover.adapters.ssh_command import ProbeResult, Question, ask
from changeover.domain.execution import HostQuiet

LIMIT = timedelta(seconds=12)
_SCRIPT = """\
mark='{variable}={token}'
[ -r /proc/self/environ ] || {{ echo unsupported; exit 0; }}
marked() {{ grep -lsaF -e "$mark" /proc/[0-9]*/environ | sed -n 's,^/proc/\\([0-9]*\\)/environ$,\\1,p'; }}
for signal in {signals}; do
  pids=$(marked)
  [ -n "$pids" ] || break
  for pid in $pids; do
    printf 'ended\\t%s\\t%s\\n' "$pid" "$(tr '\\0' ' ' 2>/dev/null </proc/$pid/cmdline | cut -c1-200)"
  done
  kill -"$signal" $pids 2>/dev/null
  tries=0
  while [ "$tries" -lt 20 ] && [ -n "$(marked)" ]; do
    sleep 0.1 2>/dev/null || sleep 1
    tries=$((tries + 1))
  done
done
for pid in $(marked); do
  printf 'left\\t%s\\t%s\\n' "$pid" "$(tr '\\0' ' ' 2>/dev/null </proc/$pid/cmdline | cut -c1-200)"
done
echo finished
"""


def end_on_hosts(
    targets: Sequence[Target], token: str, keys: Mapping[str, str], *, limit: timedelta = LIMIT
) -> Mapping[str, HostQuiet]:
    """SIGTERM, then SIGKILL, to every process that carries the token; confirmed when none is left.

    The script goes in by stdin: no login shell's quoting rules, and nothing in the host's process list.
    """
    script = _SCRIPT.format(variable=TOKEN_VARIABLE, token=token, signals="TERM KILL KILL").encode()
    questions = [
        Question(target, "sudo -n /bin/sh -s" if target.variables.get("host_become") else "/bin/sh -s", script)
        for target in targets
    ]
    answers = ask(questions, keys=keys, timeout=limit)
    return {host: _quiet(answer) for host, answer in answers.items()}


def _quiet(answer: ProbeResult) -> HostQuiet:
    if not answer.ok:
        return HostQuiet(answer.host, False, answer.reason)
    lines = answer.text.splitlines()
    if not lines or lines[-1] != "finished":
        return HostQuiet(answer.host, False, "the host cannot tell which processes belong to the execution")
    left = [line.split("\t", 2) for line in lines if line.startswith("left\t")]
    if left:
        names = "; ".join(f"process {pid} ({command.strip() or 'no command line'})" for _, pid, command in left)
        return HostQuiet(answer.host, False, f"still running: {names}")
    ended = dict.fromkeys(line.split("\t", 2)[1] for line in lines if line.startswith("ended\t"))
    return HostQuiet(answer.host, True, f"no process left ({len(ended)} ended)" if ended else "no process left")
