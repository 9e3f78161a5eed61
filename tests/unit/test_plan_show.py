"""What a plan will do, as a tree: sub-processes, hosts, windows in both times, and the back-out of every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.adapters.memory import MemoryCmdb
from changeover.adapters.shelf import DiskShelf
from changeover.domain.estate import Estate
from changeover.settings import Settings
from changeover.usecases.show_plan import gather, show_plan
from changeover.usecases.tree import Branch
from tests.support.content import make, plan_with, put

SUB_PROCESSES = [
    "1 Transition from Sales",
    "2 Upgrade Kickoff",
    "3 Vendor Software Release Analysis",
    "4 Client-Specific Upgrade Analysis",
    "5 Baseline Upgrade Build and Testing",
    "6 Upgrade Implementation Planning",
    "7 Upgrade Preparations",
    "8, 9 Readiness Check; Implementation and Testing",
    "10 Initial Support and Transition",
    "11 Upgrade Project Closeout",
]


@pytest.fixture
def content(tmp_path: Path) -> Settings:
    return make(tmp_path)


def cmdb() -> MemoryCmdb:
    known = MemoryCmdb()
    host = {"name": "app1", "address": "10.0.0.5", "user": "ops", "connection": "ssh_acme"}
    environment = {"name": "production", "kind": "production", "application": "app", "version": "1.9", "hosts": [host]}
    estate = {
        "client": {"slug": "acme", "name": "Acme"},
        "applications": [{"slug": "app"}],
        "environments": [environment],
    }
    known.import_estate(Estate.model_validate(estate))
    return known


def shown(content: Settings, known: MemoryCmdb | str) -> Branch:
    shelf = DiskShelf(content)
    (reading,) = shelf.plans([content.plans / "acme/app-2.yaml"])
    assert reading.document is not None
    plan = reading.document
    around = gather(
        plan,
        release=shelf.release(plan.release),
        role=shelf.role(plan.application),
        cmdb=known,
        product=shelf.product("app"),
    )
    return show_plan(plan, reading.digest, around)


def find(branch: Branch, *labels: str) -> Branch:
    for label in labels:
        branch = next(child for child in branch.children if child.label == label)
    return branch


def test_the_sub_processes_are_shown_in_order(content: Settings) -> None:
    tree = shown(content, cmdb())
    assert [child.label for child in tree.children] == SUB_PROCESSES
    assert tree.label == "App 1 to 2 for Acme"


def test_hosts_come_from_the_cmdb(content: Settings) -> None:
    lane = find(shown(content, cmdb()), SUB_PROCESSES[7], "production")
    hosts = find(lane, "hosts")
    assert hosts.detail == "1 in the CMDB, 1.9 on record"
    assert [(host.label, host.detail) for host in hosts.children] == [("app1", "ops@10.0.0.5:22")]


def test_an_environment_that_is_not_in_the_cmdb_is_told(content: Settings) -> None:
    hosts = find(shown(content, cmdb()), SUB_PROCESSES[7], "training", "hosts")
    told = "'training' is not in the CMDB; a run is refused until its estate is imported"
    assert hosts.detail == f"{told} (./changeover cmdb import FILE)"


def test_a_cmdb_that_does_not_answer_is_told(content: Settings) -> None:
    known = cmdb()
    known.unavailable = True
    assert "the CMDB did not answer" in find(shown(content, known), SUB_PROCESSES[7], "training", "hosts").detail


def test_no_cmdb_is_told(content: Settings) -> None:
    assert (
        find(shown(content, "there is none"), SUB_PROCESSES[7], "training", "hosts").detail == "unknown: there is none"
    )


def test_a_window_is_shown_in_local_time_and_utc(content: Settings) -> None:
    assert find(shown(content, cmdb()), SUB_PROCESSES[7], "production", "window").detail == (
        "Sat 2026-12-05 22:00 to Sun 2026-12-06 04:00 Europe/Berlin = 2026-12-05 21:00Z to 2026-12-06 03:00Z (6 h 00); "
        "late start until 30m after opening"
    )


def test_every_step_says_how_it_is_undone(content: Settings) -> None:
    lane = find(shown(content, cmdb()), SUB_PROCESSES[7], "production")
    assert find(lane, "implement", "implement").detail == "Do implement; back-out: Undo implement"
    assert find(lane, "readiness", "discover").detail == "Do discover; changes nothing on the host"
    assert [step.label for step in find(lane, "restore point").children] == [
        "quiesce",
        "restore_point",
        "restore_drill",
    ]
    assert [branch.label for branch in find(lane, "verdict").children] == ["commit", "back out", "stand down"]


def test_approvals_are_shown_with_names(content: Settings) -> None:
    tree = shown(content, cmdb())
    assert find(tree, SUB_PROCESSES[5], "approval").detail == "Ann Berg (ann), waited for 1h; no answer is a no"
    assert find(tree, SUB_PROCESSES[7], "production", "sign-off").detail.startswith("Ann Berg (ann)")
    assert find(tree, SUB_PROCESSES[7], "training", "sign-off").detail == "passed acceptance is the sign-off"


def test_a_step_that_does_not_apply_says_why(content: Settings) -> None:
    put(
        content.plans / "acme/app-2.yaml",
        plan_with(("    sign_off:", "    not_applicable: {quiesce: It may go on}\n    sign_off:")),
    )
    lane = find(shown(content, cmdb()), SUB_PROCESSES[7], "production")
    assert find(lane, "restore point", "quiesce").detail == "does not apply: It may go on"


def test_a_missing_role_is_told_once(content: Settings) -> None:
    put(content.plans / "acme/app-2.yaml", plan_with(("application: app", "application: other")))
    tree = shown(content, "none")
    assert tree.children[0].label == "role other is not known"
    assert sum("there is no role" in line for line in tree.lines()) == 1


def test_the_vendors_steps_by_hand_are_shown(content: Settings) -> None:
    leg = find(shown(content, cmdb()), SUB_PROCESSES[2], "leg 1 of 1")
    assert leg.detail == "1.9 → 1.10 (app/1.10)"
    assert find(leg, "by hand, after").detail == "Rebuild the search index (1.10)"
    assert find(leg, "gate").detail == "1.10 accepted on every host"
    assert find(leg, "share of the window").detail == (
        "100%; no record says how long it takes; the rehearsal measures it anew"
    )


def test_batches_are_told_where_the_plan_has_them(content: Settings) -> None:
    batches = "kind: production\n    batches: {sizes: [2, 25%], soak: 5m}\n"
    put(content.plans / "acme/app-2.yaml", plan_with(("kind: production\n", batches)))
    told = find(shown(content, cmdb()), SUB_PROCESSES[7], "production", "implement").detail
    assert "in batches: the first host as canary, then 2, 25%, 5m apart" in told
    assert "batches" not in find(shown(content, cmdb()), SUB_PROCESSES[7], "training", "implement").detail


def test_the_legs_of_a_way_with_stops_are_shown_where_they_are_taken(content: Settings) -> None:
    text = (content.releases / "app/1.10.yaml").read_text(encoding="utf-8").replace(">=1.8,<1.10", "==1.9.5")
    put(content.releases / "app/1.10.yaml", text)
    put(content.releases / "app/1.9.5.yaml", text.replace('"1.10"', '"1.9.5"').replace("==1.9.5", ">=1.8,<1.9.5"))
    tree = shown(content, cmdb())
    assert find(tree, SUB_PROCESSES[2], "leg 2 of 2").detail == "1.9.5 → 1.10 (app/1.10)"
    implement = find(tree, SUB_PROCESSES[7], "production", "implement")
    assert "2 legs one after the other" in implement.detail
    assert [(leg.label, leg.detail) for leg in implement.children[1:]] == [
        ("leg 1 of 2", "1.9 → 1.9.5: implement, 1.9.5 accepted before the next leg"),
        ("leg 2 of 2", "1.9.5 → 1.10: restore point of 1.9.5, implement, acceptance below"),
        ("back-out of any leg", "to the first leg's restore point: 1.9 runs again"),
    ]
    assert find(tree, SUB_PROCESSES[6]).detail.endswith("the artefacts of 1.9.5, 1.10")
