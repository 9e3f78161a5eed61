"""An application's role on disk: its task files, its argument specifications, its `meta/changeover.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from changeover.adapters.document_files import UnusableFileError, demand, read_bytes, read_document, unusable
from changeover.adapters.yaml_text import YamlText, read_yaml
from changeover.domain.analysis_facts import AnalysisTraits
from changeover.domain.estate import Document, Name
from changeover.domain.fault import Fault, Reading
from changeover.domain.lane import ENTRY_POINTS, EntryPoint, RoleDescription
from changeover.domain.plan import Line
from changeover.domain.role import RoleOffer
from changeover.domain.version import SchemeName
from changeover.domain.window import Span

ProductName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]


def _reversible(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


class EntryPointMeta(Document):
    """What `meta/changeover.yml` says of one entry point."""

    title: Line
    changes_host: bool = False
    back_out: str = ""
    reversible: Annotated[Literal["yes", "until_commit", "no"], BeforeValidator(_reversible)] = "yes"
    timeout: Span | None = None


class RoleMeta(Document):
    """`playbooks/roles/<application>/meta/changeover.yml`."""

    schema_version: Literal[1] = 1
    application: Name
    version_scheme: SchemeName
    entry_points: Mapping[str, EntryPointMeta] = Field(min_length=1)
    products: Literal["any"] | tuple[ProductName, ...] = ()
    """Products whose releases it brings, as their records name them; left out, the one of the application's name."""
    together: Line = ""
    """Why the hosts of an environment cannot be changed in batches, such as a database they share."""
    analysis: AnalysisTraits = AnalysisTraits()
    """What analyses of the application have to know."""


def load_role(application: str, *, roles: Path) -> RoleDescription:
    """Raise `DocumentFaults` (a `PlanError`)."""
    then = f"complete the role {application!r}: every entry point in tasks, argument_specs.yml and changeover.yml"
    return demand(read_role(application, roles=roles), then=then).description


def read_role(application: str, *, roles: Path) -> Reading[RoleOffer]:
    """What the role offers, complete or not; never raises for what is on the disk."""
    role = roles / application
    if not (role / "tasks").is_dir():
        known = sorted(found.parents[1].name for found in roles.glob("*/meta/changeover.yml"))
        return unusable(role, f"there is no role for {application!r}; applications: {', '.join(known) or 'none'}")

    def also(document: YamlText, meta: RoleMeta) -> None:
        if meta.application != application:
            line = document.line(("application",))
            document.fault(line, ("application",), f"is {meta.application!r}, and the role is {application!r}")
        for name, entry in meta.entry_points.items():
            path = ("entry_points", name)
            if name not in ENTRY_POINTS:
                document.fault(document.line(path), path, f"is not an entry point; known: {', '.join(ENTRY_POINTS)}")
            if entry.changes_host and not entry.back_out:
                document.fault(document.line(path), path, "changes hosts and does not say how that is backed out")

    meta = read_document(role / "meta" / "changeover.yml", RoleMeta, also=also)
    specified, faults = _specified(role / "meta" / "argument_specs.yml")
    if meta.document is None or faults:
        return Reading(str(role), None, (*meta.faults, *faults))
    offered = frozenset(name for name in ENTRY_POINTS if (role / "tasks" / f"{name}.yml").is_file())
    fixes = frozenset(path.stem.removeprefix("fix_") for path in (role / "tasks").glob("fix_*.yml"))
    return Reading(str(role), RoleOffer(_description(meta.document), offered, specified, fixes))


def read_traits(application: str, *, roles: Path) -> AnalysisTraits:
    """What the role says of itself for analyses; raise `DocumentFaults` (a `PlanError`)."""
    meta = read_document(roles / application / "meta" / "changeover.yml", RoleMeta)
    return demand(meta, then=f"correct meta/changeover.yml of the role {application!r}").analysis


def _description(meta: RoleMeta) -> RoleDescription:
    points = {
        name: EntryPoint(name, entry.title, entry.changes_host, entry.back_out, entry.reversible)
        for name, entry in meta.entry_points.items()
    }
    products = () if meta.products == "any" else meta.products or (meta.application,)
    return RoleDescription(meta.application, meta.version_scheme, points, meta.together, products)


def _specified(path: Path) -> tuple[frozenset[str], tuple[Fault, ...]]:
    """Names of the entry points in the role's argument specification."""
    try:
        document = read_yaml(read_bytes(path), name=str(path))
    except UnusableFileError as exc:
        return frozenset(), (Fault(str(path), 0, "", str(exc)),)
    specs = document.data.get("argument_specs") if isinstance(document.data, dict) else None
    if not isinstance(specs, dict) and not document.faults:
        document.fault(1, ("argument_specs",), "is missing")
    return frozenset(specs if isinstance(specs, dict) else ()), tuple(document.faults)
