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
import fnmatch, hashlib, json, os, stat, sys
paths, ignored, small = json.loads(sys.argv[1])
found, entries = {}, 0

def passed(path):
    return any(fnmatch.fnmatch(path, pattern) for pattern in ignored)

def told(path):
    # One call for what is known of a file; a directory's own times are left out.
    about = os.lstat(path)
    mode = about.st_mode
    words = "%s %o %d %d" % (path, mode, about.st_uid, about.st_gid)
    if stat.S_ISDIR(mode):
        return os.fsencode(words)
    words = os.fsencode("%s %d %d %d " % (words, about.st_size, about.st_mtime_ns, about.st_ctime_ns))
    if stat.S_ISLNK(mode):
        return words + os.fsencode(os.readlink(path))
    if stat.S_ISREG(mode) and about.st_size <= small:
        with open(path, "rb", buffering=0) as file:
            return words + file.read()
    return words

for top in paths:
    for parent, folders, files in os.walk(top):
        if ignored:
            folders[:] = [name for name in folders if not passed(os.path.join(parent, name))]
            files = [name for name in files if not passed(os.path.join(parent, name))]
        folders.sort()
        digest = hashlib.sha256()
        for name in sorted(folders + files):
            path = os.path.join(parent, name)
            try:
                words = told(path)
            except OSError as fault:
                words = os.fsencode("%s error %d" % (path, fault.errno))
            digest.update(b"%d " % len(words))
            digest.update(words)
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
    words = [python, "-ISB", "-", json.dumps([paths, patterns, SMALL])]
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
