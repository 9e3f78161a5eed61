"""What a run is refused for before anything else happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from changeover.adapters.plan_files import parse_plan, plan_digest
from changeover.orchestration.pinned import PinnedPlan
from changeover.orchestration.plan_store import Manifest, PlanStore, StoredPlan
from changeover.orchestration.run_context import faults_of_request
from changeover.settings import load

PLAN = load({}).plans / "nordwind" / "tryton-8.0.yaml"
ASKED = {"mode": "implement", "environments": ["production"], "reason": "it is time", "change_reference": ""}


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinnedPlan:
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path / "home"))
    text = PLAN.read_bytes()
    return PinnedPlan(parse_plan(text, name=str(PLAN)), plan_digest(text), text.decode())


def _context() -> Any:
    return {"params": ASKED, "dag_run": SimpleNamespace(conf={})}


def _store(pinned: PinnedPlan, tmp_path: Path, fault: str = "") -> None:
    store = PlanStore(load({"CHANGEOVER_HOME": str(tmp_path / "home")}).plan_store)
    file = "nordwind/tryton-8.0.yaml"
    store.add(pinned.text.encode())
    faults = {file: fault} if fault else {}
    store.keep(Manifest({pinned.plan.dag_id: StoredPlan(pinned.digest, file)}, faults))


def test_a_whole_plan_with_its_content_may_begin(pinned: PinnedPlan, tmp_path: Path) -> None:
    _store(pinned, tmp_path)
    assert faults_of_request(pinned, _context()) == ()


def test_an_empty_list_of_environments_is_not_all_of_them(pinned: PinnedPlan, tmp_path: Path) -> None:
    """Whoever takes the last name off the list wants none upgraded, not every one."""
    _store(pinned, tmp_path)
    context = {"params": ASKED, "dag_run": SimpleNamespace(conf={"environments": []})}
    assert faults_of_request(pinned, context) == ("environments: names none; name one or more of training, production",)


def test_the_forms_preset_names_no_environments_to_a_back_out(pinned: PinnedPlan, tmp_path: Path) -> None:
    """A back-out asked for without environments would have been one of every lane."""
    _store(pinned, tmp_path)
    context = {"params": {**ASKED, "mode": "back-out"}, "dag_run": SimpleNamespace(conf={"mode": "back-out"})}
    assert faults_of_request(pinned, context) == ("environments: a back-out names the environments it is for",)
    context["dag_run"] = SimpleNamespace(conf={"mode": "back-out", "environments": ["production"]})
    assert faults_of_request(pinned, context) == ()


def test_a_run_does_not_begin_on_the_last_good_text_of_a_broken_plan(pinned: PinnedPlan, tmp_path: Path) -> None:
    _store(pinned, tmp_path, "line 3: title: never closed")
    assert faults_of_request(pinned, _context()) == (
        "the plan's file was broken since this text was read; correct it first: line 3: title: never closed",
    )


def test_a_run_does_not_begin_when_the_content_no_longer_carries_it(
    pinned: PinnedPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbooks = tmp_path / "playbooks"
    shutil.copytree(load({}).playbooks, playbooks)
    (playbooks / "roles/tryton/tasks/back_out.yml").unlink()
    monkeypatch.setenv("CHANGEOVER_PLAYBOOKS", str(playbooks))
    faults = faults_of_request(pinned, _context())
    assert [fault for fault in faults if "back_out" in fault]
