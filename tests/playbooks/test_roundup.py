"""The whole upgrade of a tracker, playbook by playbook, on real hosts over SSH."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from changeover.settings import PROJECT
from tests.playbooks.bench import Bench, Played

EXPECTATIONS = yaml.safe_load((PROJECT / "include/expectations/roundup/business_data.yaml").read_text(encoding="utf-8"))
DATASETS = {name: {"query": about["query"], "key": about["key"]} for name, about in EXPECTATIONS["datasets"].items()}
OLD, NEW = "2.0.0", "2.6.0"
READ: dict[str, Any] = {"datasets": DATASETS}
pytestmark = pytest.mark.lab


def done(played: Played) -> Played:
    assert played.ok, played.failures
    return played


@pytest.mark.slow
def test_an_upgrade_is_made_backed_out_and_made_again(fresh_roundup: Bench, tmp_path: Path) -> None:
    """Discover, prepare, close, implement, verify, back out, verify the old release, implement again, commit."""
    bench, host = fresh_roundup, "training"
    found = done(bench.play("discover", host)).reports[host]
    assert found["version"] == OLD
    assert found["services"] == {"roundup": "running"}
    assert set(found["customisations"]) == {"schema.py", "html/issue.item.html"}
    assert found["integrations"]["cost-sync"]["schedule"] == "running"
    assert found["lock"] is None

    prepared = done(bench.play("prepare", host, restore_point="run-preparation")).reports[host]
    assert prepared["verified"] is True
    assert prepared["readable"] is True
    before = done(bench.play("restore_point", host, **READ)).reports[host]
    assert before["restore_point"]["readable"] is True
    assert before["restore_point"]["current"] is True
    assert len(before["data"]["issues"]) == 60
    assert before["integrations"]["cost-sync"]["schedule"] == "stopped"

    done(bench.play("implement", host, target_version=NEW))
    after = done(bench.play("verify", host, target_version=NEW, **READ)).reports[host]
    assert after["version"] == NEW
    assert after["schema"]["version"] == 8
    assert after["data"] == before["data"]
    assert set(after["customisations"]) == set(found["customisations"]), "all other files are the new release's own"
    assert after["integrations"]["cost-sync"]["schedule"] == "stopped"
    assert bench.refused(NEW, host, evidence=tmp_path) == {}

    done(bench.play("back_out", host))
    old = done(bench.play("verify", host, **READ)).reports[host]
    assert old["version"] == OLD
    assert old["schema"]["version"] == 5
    assert old["data"] == before["data"]
    assert old["integrations"]["cost-sync"]["schedule"] == "running"
    assert set(old["customisations"]) == set(found["customisations"])

    again: dict[str, Any] = {"restore_point": "run-window-again"}
    done(bench.play("restore_point", host, **again))
    done(bench.play("implement", host, target_version=NEW, **again))
    committed = done(bench.play("commit", host, target_version=NEW)).reports[host]
    assert committed["version"] == NEW
    assert committed["integrations"]["cost-sync"]["schedule"] == "running"
    assert memory(bench, host, "lock") is None
    assert memory(bench, host, "marker")["phase"] == "committed"


def test_the_errors_that_services_logged_are_counted_for_the_watch_alone(fresh_roundup: Bench) -> None:
    bench, host = fresh_roundup, "training"
    assert "errors" not in done(bench.play("discover", host)).reports[host]
    before = done(bench.play("discover", host, changeover_hypercare=True)).reports[host]["errors"]
    assert set(before) == {"roundup", "cost-sync"}
    with (bench.state.host(host).log / "roundup.log").open("a", encoding="utf-8") as log:
        log.write("2026-11-28 10:00:00 ERROR the tracker lost a message\n2026-11-28 10:00:01 INFO it was found\n")
    after = done(bench.play("discover", host, changeover_hypercare=True)).reports[host]["errors"]
    assert after == before | {"roundup": before["roundup"] + 1}


@pytest.mark.slow
def test_a_migration_that_dies_half_way_is_backed_out(fresh_roundup: Bench) -> None:
    """The client's own index makes the migration fail; both hosts of the environment come back whole."""
    bench, hosts = fresh_roundup, ("prod1", "prod2")
    done(bench.play("prepare", *hosts, restore_point="run-preparation"))
    before = done(bench.play("restore_point", *hosts, **READ)).reports
    failed = bench.play("implement", *hosts, target_version=NEW, roundup_break="migrate")
    assert not failed.ok
    for host in hosts:
        assert "__fts" in failed.failures[host], failed.failures
        assert memory(bench, host, "marker")["phase"] == "implementing"
        assert memory(bench, host, "lock")["run"] == bench.run
        page = bench.state.host(host).app / "tracker/html/page.html"
        assert "<header" in page.read_text(encoding="utf-8"), "files were already brought to the new release"

    done(bench.play("back_out", *hosts))
    after = done(bench.play("verify", *hosts, **READ)).reports
    for host in hosts:
        assert after[host]["version"] == OLD
        assert after[host]["data"] == before[host]["data"]
        assert after[host]["customisations"] == before[host]["customisations"]
    create_issue(bench, "prod1", {"title": "Entered after the back-out", "cost_centre": "4711"})
    done(bench.play("back_out", "prod1"))
    assert titles(bench, "prod1")[-1] == "Entered after the back-out", "a second back-out must not lose it"


@pytest.mark.slow
def test_an_integration_left_behind_shows_in_acceptance_alone(fresh_roundup: Bench, tmp_path: Path) -> None:
    """The upgrade succeeds, the client's integration does not; after the back-out it works again."""
    bench, host = fresh_roundup, "training"
    done(bench.play("prepare", host, restore_point="run-preparation"))
    done(bench.play("restore_point", host))
    done(bench.play("implement", host, target_version=NEW, roundup_break="integration"))
    ((_, said),) = bench.refused(NEW, host, evidence=tmp_path / "broken").items()
    assert "Required Header Missing" in said
    done(bench.play("back_out", host))
    assert bench.refused(OLD, host, evidence=tmp_path / "old") == {}
    wrong = bench.refused(NEW, host, evidence=tmp_path / "wrong")
    assert len(wrong) == 2, "the suite tells the releases apart by what answers and by what was started"


@pytest.mark.slow
def test_a_baseline_is_built_from_productions_data(fresh_roundup: Bench) -> None:
    """It holds what was entered in production, answers under its own address, and production is only read."""
    bench = fresh_roundup
    create_issue(bench, "prod1", {"title": "Only in production", "cost_centre": "5100"})
    built = done(bench.play("build", "baseline", sources=("prod1",), restore_point="run-baseline", **READ))
    report = built.reports["baseline"]
    assert report["version"] == OLD
    assert [row["title"] for row in report["data"]["issues"]] == titles(bench, "prod1")
    assert report["data"]["issues"][-1]["title"] == "Only in production"
    assert report["restore_point"]["readable"] is True
    assert report["integrations"]["cost-sync"]["schedule"] == "running"
    assert not built.changed.get("prod1")
    assert not built.left_behind, "production's data must not stay on the controller"


@pytest.mark.slow
def test_a_second_run_is_refused_by_the_host(fresh_roundup: Bench) -> None:
    """Neither take nor stand down: the first run's lock and closed traffic stay as they are."""
    bench, host = fresh_roundup, "training"
    done(bench.play("restore_point", host))
    for playbook in ("restore_point", "implement"):
        refused = bench.play(playbook, host, changeover_run="another.run.2", target_version=NEW)
        assert not refused.ok
        assert f"held by run {bench.run}" in refused.failures[host]
    left = done(bench.play("stand_down", host, changeover_run="another.run.2")).reports[host]
    assert left["services"] == {"roundup": "stopped"}
    assert memory(bench, host, "lock")["run"] == bench.run
    freed = done(bench.play("stand_down", host)).reports[host]
    assert freed["services"] == {"roundup": "running"}
    assert memory(bench, host, "lock") is None
    refused = bench.play("implement", host, target_version=NEW)
    assert "the host's lock is not taken" in refused.failures[host], "nothing is begun without the lock"


@pytest.mark.slow
def test_a_restore_point_of_an_earlier_try_says_whether_data_was_entered_since(fresh_roundup: Bench) -> None:
    bench, host = fresh_roundup, "training"
    assert done(bench.play("restore_point", host)).reports[host]["restore_point"]["current"] is True
    assert done(bench.play("restore_point", host)).reports[host]["restore_point"]["current"] is True
    with contextlib.closing(sqlite3.connect(bench.state.host(host).app / "tracker/db/db")) as connection:
        connection.execute("update _issue set _title = 'entered since' where id = 1")
        connection.commit()
    assert done(bench.play("restore_point", host)).reports[host]["restore_point"]["current"] is False


@pytest.mark.slow
def test_a_later_run_opens_what_a_closed_run_left_shut(fresh_roundup: Bench) -> None:
    """A person closed the first run: its lock was given back and its traffic stayed shut."""
    bench, host = fresh_roundup, "training"
    done(bench.play("restore_point", host))
    done(bench.play("release", host))
    assert memory(bench, host, "quiesced")["run"] == bench.run
    other = "another.run.2"
    done(bench.play("restore_point", host, restore_point=f"{other}-training", changeover_run=other))
    assert memory(bench, host, "quiesced")["run"] == other
    left = done(bench.play("stand_down", host, changeover_run=other)).reports[host]
    assert left["services"] == {"roundup": "running"}
    assert memory(bench, host, "quiesced") is None


def memory(bench: Bench, host: str, name: str) -> Any:
    """The host's lock or marker, as it lies on the host."""
    path = bench.state.host(host).state / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def titles(bench: Bench, host: str) -> list[str]:
    """Titles of a tracker's issues by number, straight from its database."""
    database = bench.state.host(host).app / "tracker/db/db"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("select _title from _issue order by id")]


def create_issue(bench: Bench, name: str, values: dict[str, str]) -> None:
    """Work on a tracker as a user of the client's does, over REST."""
    known = {host["name"]: host["variables"] for env in bench.estate["environments"] for host in env["hosts"]}[name]
    url = f"http://{known['roundup_address']}:{known['roundup_port']}"
    login = base64.b64encode(f"admin:{bench.secrets()['roundup_admin']}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "X-Requested-With": "test", "Origin": url}
    body = urllib.parse.urlencode(values).encode()
    # The address is the lab's own.
    request = urllib.request.Request(f"{url}/rest/data/issue", data=body, headers=headers, method="POST")  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        assert answer.status == 201
