"""The world in memory as an analysis meets it: hosts that report everything, artefacts, waivers, two looks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from changeover.domain.analysis_facts import AnalysisTraits
from changeover.domain.artefacts import ArtefactSet
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult, HostResult, HostState
from changeover.domain.plan import Plan
from changeover.domain.waiver import Waiver
from changeover.domain.watch import Watched
from changeover.ports import Credentials, ExecutionSpec
from changeover.usecases.client_analysis import analyse_client
from changeover.usecases.tools import Answer, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.analysed import ARTEFACTS, CATALOGUE, PLAN, RELEASE, REPORT, TRAITS
from tests.support.world import World


@dataclass
class Estate(World):
    """Hosts that answer as the analysis wants it, with what lies beside the controller, and what changes meanwhile."""

    artefact_set: ArtefactSet = ARTEFACTS
    given: tuple[Waiver, ...] = ()
    silent: set[str] = field(default_factory=set)
    differing: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Host → parts of its report that are not as everywhere."""
    looks: list[tuple[str, ...]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    """Hosts on which something is written between the two looks."""
    variables: list[Mapping[str, Any]] = field(default_factory=list)

    def run(self, spec: ExecutionSpec, credentials: Credentials, **watching: Any) -> ExecutionResult:
        self.variables.append(spec.variables)
        return super().run(spec, credentials, **watching)

    def tools(self) -> Tools:
        return replace(super().tools(), catalogue=CATALOGUE, content=self, watch=self)

    def asked(self, of: Plan = PLAN, **asked: Any) -> Upgrade:
        upgrade = replace(self.upgrade(of=of, **({"mode": "analyse"} | asked)), record=RELEASE)
        check_entry(upgrade, self.tools())
        return upgrade

    def analyse(self, upgrade: Upgrade) -> Answer:
        return analyse_client(upgrade, self.tools())

    def artefacts(self, application: str, version: str) -> ArtefactSet:
        return self.artefact_set

    def traits(self, application: str) -> AnalysisTraits:
        return TRAITS

    def plan(self, text: str) -> Plan | None:
        return PLAN

    def waivers(self, client: str) -> tuple[Waiver, ...]:
        return self.given

    def look(
        self, hosts: Sequence[Host], credentials: Credentials, *, ignoring: Sequence[str], timeout: timedelta
    ) -> Mapping[str, Watched]:
        self.looks.append(tuple(host.name for host in hosts))
        second = len(self.looks) % 2 == 0
        return {
            host.name: Watched(host.name, {"/srv": "after" if second and host.name in self.written else "before"}, 1)
            for host in hosts
        }

    def _result(self, host: str, bad: bool) -> HostResult:
        if host in self.silent:
            return HostResult(host, HostState.UNREACHABLE)
        report = copy.deepcopy(REPORT) | self.differing.get(host, {})
        return HostResult(host, HostState.FAILED if bad else HostState.OK, report=report)
