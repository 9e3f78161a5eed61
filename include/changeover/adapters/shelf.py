"""The product's content on disk: plans, release records, roles, suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from changeover.adapters.freeze_files import read_freezes
from changeover.adapters.plan_files import find_plans
from changeover.adapters.release_files import find_releases, read_product, read_release
from changeover.adapters.role_files import read_role
from changeover.domain.fault import Reading
from changeover.domain.freeze import FreezeCalendar
from changeover.domain.path import Product
from changeover.domain.plan import Plan
from changeover.domain.release import ReleaseRecord
from changeover.domain.role import RoleOffer
from changeover.settings import Settings


@dataclass(frozen=True)
class DiskShelf:
    """Implements the shelves that use cases ask for over the directories of `Settings`."""

    settings: Settings

    def plans(self, paths: Sequence[Path]) -> tuple[Reading[Plan], ...]:
        return find_plans(paths, plans=self.settings.plans)

    def release(self, name: str) -> Reading[ReleaseRecord]:
        return read_release(name, releases=self.settings.releases)

    def releases(self, paths: Sequence[Path]) -> tuple[Reading[ReleaseRecord], ...]:
        return find_releases(paths, releases=self.settings.releases)

    def product(self, name: str) -> Product:
        return read_product(name, releases=self.settings.releases)

    def role(self, application: str) -> Reading[RoleOffer]:
        return read_role(application, roles=self.settings.playbooks / "roles")

    def freezes(self, client: str) -> Reading[FreezeCalendar]:
        return read_freezes(client, freezes=self.settings.freezes)

    def acceptance_tests(self, application: str) -> tuple[str, ...]:
        return _names(self.settings.acceptance / application, "test_*.py")

    def expectation_suites(self, application: str) -> tuple[str, ...]:
        return _names(self.settings.expectations / application, "*.yaml")


def _names(directory: Path, pattern: str) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.glob(pattern) if path.is_file()))
