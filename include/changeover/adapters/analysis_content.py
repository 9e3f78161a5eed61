"""What an analysis reads of the product's own disk: artefacts, what the role says of itself, waivers."""

from __future__ import annotations

from dataclasses import dataclass

from changeover.adapters.artefact_files import read_artefacts
from changeover.adapters.plan_files import parse_plan
from changeover.adapters.role_files import read_traits
from changeover.adapters.waiver_files import load_waivers
from changeover.domain.analysis_facts import AnalysisTraits
from changeover.domain.artefacts import ArtefactSet
from changeover.domain.check import Catalogue
from changeover.domain.plan import Plan
from changeover.domain.waiver import Waiver
from changeover.errors import PlanError
from changeover.settings import Settings


@dataclass(frozen=True)
class DiskContent:
    """Implements `ports.AnalysisContent` over the directories of `Settings`."""

    settings: Settings
    catalogue: Catalogue

    def artefacts(self, application: str, version: str) -> ArtefactSet:
        return read_artefacts(self.settings.artefacts / application / version, self.traits(application).plug_in)

    def traits(self, application: str) -> AnalysisTraits:
        return read_traits(application, roles=self.settings.playbooks / "roles")

    def plan(self, text: str) -> Plan | None:
        try:
            return parse_plan(text.encode(), name="the pinned plan")
        except PlanError:
            return None

    def waivers(self, client: str) -> tuple[Waiver, ...]:
        return load_waivers(client, waivers=self.settings.waivers, catalogue=self.catalogue)
