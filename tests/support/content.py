"""A project's content in a temporary directory: a plan, its release record, its application's role and suites."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from changeover.domain.lane import ENTRY_POINTS
from changeover.settings import Settings, load

PLAN = """\
schema_version: 1
client: acme
upgrade: app-2
title: App 1 to 2 for Acme
application: app
from_version: "1.9"
to_version: "1.10"
release: app/1.10
trigger: {kind: client_request, reference: REQ-1, dated: 2026-10-01, reason: They asked}
statement_of_work:
  id: SOW-1
  signed_on: 2026-10-02
  environments: [baseline, training, production]
  valid_from: 2026-11-01
  valid_until: 2027-03-31
requested_by: jo
participants:
  - {id: jo, name: Jo Day, role: upgrade_manager, side: provider}
  - {id: ann, name: Ann Berg, role: client_approver, side: client}
approval: {by: [ann], wait: 1h}
environments:
  - name: baseline
    kind: baseline
    data_from: production
    window: {kind: any_time, reason: agreed}
  - name: training
    kind: training
    window: {kind: any_time, reason: agreed}
  - name: production
    kind: production
    window:
      kind: dated
      zone: Europe/Berlin
      on: 2026-12-05
      start: "22:00"
      end: "04:00"
    sign_off: {by: [ann]}
support:
  hypercare: {length: 1m, interval: 20s}
  accepted_by: {by: [jo]}
support_contract:
  id: SUP-1
  applications: [app]
  environments: [training, production]
  valid_from: 2025-01-01
  valid_until: 2099-12-31
"""
RELEASE = """\
schema_version: 1
product: app
release: "1.10"
version: "1.10"
version_scheme: pep440
released: 2026-09-01
supported_from: [">=1.8,<1.10"]
artefacts: {requirements: [app==1.10]}
manual_steps:
  - {id: reindex, series: "1.10", when: after, title: Rebuild the search index, source: vendor}
sources: [vendor]
"""
CHANGING = ("build", "stage", "restore_point", "quiesce", "implement", "commit", "back_out", "resume")


def meta() -> str:
    points = "".join(
        f"  {name}: {{title: Do {name}, changes_host: {str(name in CHANGING).lower()}, back_out: Undo {name}}}\n"
        for name in ENTRY_POINTS
    )
    return f"application: app\nversion_scheme: pep440\nentry_points:\n{points}"


def make(root: Path) -> Settings:
    """Everything complete and in order; a test spoils what it is about."""
    settings = dataclasses.replace(
        load({"CHANGEOVER_HOME": str(root / "home")}),
        project=root,
        plans=root / "plans",
        releases=root / "releases",
        playbooks=root / "playbooks",
        acceptance=root / "acceptance",
        expectations=root / "expectations",
    )
    put(settings.plans / "acme/app-2.yaml", PLAN)
    put(settings.releases / "app/1.10.yaml", RELEASE)
    put(settings.acceptance / "app/test_app.py", "")
    put(settings.expectations / "app/data.yaml", "")
    role = settings.playbooks / "roles/app"
    put(role / "meta/changeover.yml", meta())
    put(role / "meta/argument_specs.yml", "argument_specs:\n" + "".join(f"  {name}: {{}}\n" for name in ENTRY_POINTS))
    for name in ENTRY_POINTS:
        put(role / f"tasks/{name}.yml", "---\n")
    return settings


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def plan_with(*changes: tuple[str, str]) -> str:
    """The plan with pieces of its text replaced; each has to be there."""
    text = PLAN
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text
