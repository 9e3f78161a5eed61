"""The probe part of an analysis in a process of its own, for the benchmark that holds it against Ansible's own command.

Usage: python -m tests.support.probing < {hosts, key} as JSON. Answers what was looked at and how long each part took.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from dataclasses import replace
from datetime import timedelta

from changeover.adapters.ssh_watch import SshWatch
from changeover.domain.analysis import analyse
from changeover.domain.check import CheckStage
from changeover.domain.estate import Host
from changeover.ports import Credentials
from tests.support.analysed import CATALOGUE, REPORT, facts

LIMIT = timedelta(seconds=60)


def main() -> None:
    about = json.load(sys.stdin)
    begun = time.perf_counter()
    import paramiko  # noqa: F401 - what a task pays that has not spoken SSH yet

    imported = time.perf_counter()
    hosts = tuple(Host.model_validate(host) for host in about["hosts"])
    credentials, watch = Credentials({"ssh_acme": about["key"]}), SshWatch()
    before, after = (watch.look(hosts, credentials, ignoring=(), timeout=LIMIT) for _ in range(2))
    looked = time.perf_counter()
    names = tuple(host.name for host in hosts)
    seen = replace(
        facts(),
        hosts={"training": hosts[:1], "production": hosts[1:]},
        reports={name: copy.deepcopy(REPORT) for name in names},
        before=before,
        after=after,
        all_hosts=names,
    )
    found = analyse(seen, CATALOGUE)
    ended = time.perf_counter()
    told = {
        "hosts": sum(not one.fault and bool(one.directories) for one in after.values()),
        "checks": len(CATALOGUE.at(CheckStage.ANALYSIS)),
        "results": len(found.results),
        "findings": [finding.key for finding in found.findings],
        "seconds": ended - begun,
        "import": imported - begun,
        "looks": looked - imported,
        "decide": ended - looked,
        "cpu": time.process_time(),
    }
    sys.stdout.write(json.dumps(told))


main()
