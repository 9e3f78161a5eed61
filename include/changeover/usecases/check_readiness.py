"""Readiness: facts of every host by SSH probe and by the role's discover, decided by the catalogue of checks."""

from __future__ import annotations

from datetime import timedelta

from changeover.domain.facts import ReadinessFacts, proven_restore_points
from changeover.domain.gate import GateResult
from changeover.domain.plan import Environment
from changeover.domain.readiness import readiness_gate as decide
from changeover.errors import CmdbError
from changeover.usecases.client_analysis import certificates_read
from changeover.usecases.elsewhere import learnt_since
from changeover.usecases.lane_clock import night_of
from changeover.usecases.lane_facts import lane_marks
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade, hosts_of
from changeover.usecases.waivers import with_waivers

PROBE_LIMIT = timedelta(seconds=30)


def readiness_gate(upgrade: Upgrade, tools: Tools, lane: Environment) -> GateResult:
    """Gather all the facts, then decide; nothing on the hosts is changed."""
    plan = upgrade.plan
    hosts = hosts_of(upgrade, tools, lane.name)
    names = tuple(host.name for host in hosts)
    record = tools.cmdb.environment(plan.client, plan.application, lane.name)
    if record is None:
        raise CmdbError(
            f"{lane.name} is no longer in the CMDB",
            where=plan.dag_id,
            then="put it back, then clear this task",
        )
    credentials = tools.vault.credentials(sorted({host.connection for host in hosts}))
    probes = tools.probe.host_facts(hosts, credentials, timeout=PROBE_LIMIT)
    read = run_on_hosts(
        upgrade,
        tools,
        HostWork("readiness", "readiness.yml", lane.name, plan.from_version, changes=False),
    )
    facts = ReadinessFacts(
        run=upgrade.run.key,
        at=tools.clock(),
        probes=probes,
        reports={host.host: host.report for host in read.hosts if host.report},
        restore_points=proven_restore_points(lane_marks(upgrade, tools, lane.name), names),
        first_leg=upgrade.path.legs[0].record if len(upgrade.path.legs) > 1 else None,
        legs=max(1, len(upgrade.path.legs)),
        learnt=learnt_since(upgrade, tools),
        certificates=certificates_read(upgrade, tools),
        night=night_of(upgrade, tools, lane),
    )
    gate = decide(
        "readiness",
        lane.name,
        plan=plan,
        release=upgrade.release,
        record=record,
        hosts=hosts,
        facts=facts,
        catalogue=tools.catalogue,
    )
    return with_waivers(gate, upgrade, tools)
