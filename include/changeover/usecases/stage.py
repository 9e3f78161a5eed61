"""Bring the releases of the legs after the first to hosts; the first leg's is brought with the restore point."""

from __future__ import annotations

from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.usecases.legs import hops
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade


def stage_later_legs(
    upgrade: Upgrade, tools: Tools, environment: str, hosts: tuple[Host, ...]
) -> dict[str, ExecutionResult]:
    """Release → what came of it, host by host; nothing for a way of one leg."""
    return {
        hop.to_version: run_on_hosts(
            upgrade,
            tools,
            HostWork(hop.step("stage"), "stage.yml", environment, hop.from_version, changes=True, hosts=hosts, hop=hop),
        )
        for hop in hops(upgrade, tools)
        if not hop.first
    }
