"""Everything that was gathered for an analysis, in one value that the checks are asked of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import Field

from changeover.domain.artefacts import ArtefactSet
from changeover.domain.estate import Document, EstateEnvironment, Host, Name
from changeover.domain.finding import Action, ActionKind
from changeover.domain.plan import Line, Plan
from changeover.domain.release import ReleaseRecord
from changeover.domain.watch import Watched
from changeover.domain.window import Occurrence

Report = Mapping[str, Any]
"""What `discover` said of one host."""


class PlugIn(Document):
    """How an application's plug-ins describe themselves inside a wheel."""

    group: Line
    """Group of entry points under which a wheel names its plug-ins."""
    descriptor: Name
    """File beside a plug-in's code that describes it (INI)."""
    section: Line
    option: Line
    """Where its version stands."""
    series_parts: int = Field(default=2, ge=1, le=4)
    """So many parts of its version have to be the release's."""


class AnalysisTraits(Document):
    """What a role says of itself for analyses (`meta/changeover.yml`, `analysis`)."""

    written_while_running: tuple[Line, ...] = ()
    """Patterns below the host's watched paths that the running application itself writes to."""
    plug_in: PlugIn | None = None
    database_programs: tuple[Line, ...] = ()
    """Names under which the application's own processes are connected to its database server, each in full."""
    retests: Mapping[Name, tuple[Line, ...]] = Field(default_factory=dict)
    """Kind of changed thing (endpoint, setting, …, customisation, integration) → acceptance tests that cover it."""


class Said(NamedTuple):
    """One thing a check has to say; the catalogue adds how grave it is."""

    key: str
    subject: str
    summary: str
    evidence: Mapping[str, object] = {}
    environment: str = ""
    actions: tuple[Action, ...] = ()
    related: tuple[str, ...] = ()


def command(text: str) -> Action:
    return Action(ActionKind.COMMAND, text)


def hint(text: str) -> Action:
    return Action(ActionKind.HINT, text)


@dataclass(frozen=True)
class Stop:
    """A release on the way, which every host runs for a while."""

    record: ReleaseRecord
    artefacts: ArtefactSet | None = None


@dataclass(frozen=True)
class AnalysisFacts:
    """`hosts` are the frozen ones of each lane that is looked at; the baseline is built anew and is none."""

    plan: Plan
    release: ReleaseRecord
    at: datetime
    hosts: Mapping[str, tuple[Host, ...]]
    records: Mapping[str, EstateEnvironment | None]
    reports: Mapping[str, Report]
    artefacts: ArtefactSet | None = None
    traits: AnalysisTraits = field(default_factory=AnalysisTraits)
    before: Mapping[str, Watched] = field(default_factory=dict)
    after: Mapping[str, Watched] = field(default_factory=dict)
    all_hosts: tuple[str, ...] = ()
    """Every host that was read, those of the baseline included."""

    stops: tuple[Stop, ...] = ()
    """Where the way has several legs: the releases that all but the last one end at."""
    nights: Mapping[str, Occurrence] = field(default_factory=dict)
    """Environment → the night it is meant for, where it has a window."""

    def at_stop(self, stop: Stop) -> AnalysisFacts:
        """The same hosts, if that release were the wanted one."""
        plan = self.plan.model_copy(update={"to_version": stop.record.version})
        return replace(self, plan=plan, release=stop.record, artefacts=stop.artefacts, stops=())

    def each(self) -> Iterator[tuple[str, str, Report]]:
        """Environment, host, report: of every host that gave one."""
        for environment, hosts in self.hosts.items():
            for host in hosts:
                if report := self.reports.get(host.name):
                    yield environment, host.name, report

    def of(self, environment: str) -> dict[str, Report]:
        return {host: report for name, host, report in self.each() if name == environment}

    @property
    def productions(self) -> tuple[str, ...]:
        return tuple(lane.name for lane in self.plan.lanes if lane.kind == "production" and lane.name in self.hosts)

    def customisations(self) -> dict[str, tuple[str, ...]]:
        """The client's own parts that run or are on plan or record → the hosts that have them."""
        found: dict[str, list[str]] = {name: [] for name in self.plan.expected.customisations}
        for record in self.records.values():
            found |= {c.name: [] for c in record.customisations if c.name not in found} if record else {}
        for _, host, report in self.each():
            for name in report.get("customisations") or {}:
                found.setdefault(name, []).append(host)
        return {name: tuple(hosts) for name, hosts in sorted(found.items())}
