"""Looks at what lies below a host's watched paths, over SSH: one command per host, nothing written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from changeover.adapters.ssh_command import ProbeResult, Question, ask
from changeover.domain.watch import Watched

if TYPE_CHECKING:
    from changeover.domain.estate import Host
    from changeover.ports import Credentials

WATCHED = ("app_root", "host_state_dir")
"""Host variables that name what is looked at: all that a role or Changeover may write to on a host."""
_PROGRAM = r"""
import fnmatch, hashlib, json, os, sys
paths, ignored, small = json.loads(sys.argv[1])
found, entries = {}, 0

def passed(path):
    return any(fnmatch.fnmatch(path, pattern) for pattern in ignored)

def told(path):
    about = os.lstat(path)
    words = [path, about.st_mode, about.st_uid, about.st_gid, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    if os.path.islink(path):
        words.append(os.readlink(path))
    elif os.path.isfile(path) and about.st_size <= small:
        with open(path, "rb") as file:
            words.append(hashlib.sha256(file.read()).hexdigest())
    return words

for top in paths:
    for parent, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not passed(os.path.join(parent, name)))
        digest = hashlib.sha256()
        for name in sorted(folders + files):
            path = os.path.join(parent, name)
            if passed(path):
                continue
            try:
                words = told(path)
            except OSError as fault:
                words = [path, fault.errno]
            if name in folders and not os.path.islink(path):
                words = words[:4]
            digest.update(json.dumps(words).encode())
            entries += 1
        found[parent] = digest.hexdigest()
print(json.dumps({"directories": found, "entries": entries}))
"""
SMALL = 16 * 1024


class SshWatch:
    """Implements `ports.Watch`. A directory's own times are left out: a file that came and went shows elsewhere."""

    def look(
        self, hosts: Sequence[Host], credentials: Credentials, *, ignoring: Sequence[str], timeout: timedelta
    ) -> Mapping[str, Watched]:
        """One answer per host, whatever the host does."""
        answers = ask([_question(host, ignoring) for host in hosts], keys=credentials.ssh_keys, timeout=timeout)
        return {host.name: _watched(answers[host.name]) for host in hosts}


def _question(host: Host, ignoring: Sequence[str]) -> Question:
    paths = list(dict.fromkeys(str(path) for name in WATCHED if (path := host.variables.get(name))))
    patterns = [f"{path}/{pattern}" for path in paths for pattern in ignoring]
    named = str(host.variables.get("ansible_python_interpreter") or "auto")
    python = "python3" if named.startswith("auto") else named
    words = [python, "-B", "-", json.dumps([paths, patterns, SMALL])]
    command = shlex.join(["sudo", "-n", *words] if host.variables.get("host_become") else words)
    return Question(host, command, _PROGRAM.encode())


def _watched(answer: ProbeResult) -> Watched:
    if not answer.ok:
        return Watched(answer.host, fault=answer.reason or "no answer")
    try:
        told = json.loads(answer.text)
        return Watched(answer.host, dict(told["directories"]), int(told["entries"]))
    except (ValueError, KeyError, TypeError):
        return Watched(answer.host, fault="the host's answer is not whole")
