"""What becomes of a running upgrade when its plan is edited, broken or removed, under a real scheduler."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from changeover.orchestration.airflow_client import AirflowClient, AirflowError, DagRun
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.tiny_dag import PLACE

pytestmark = pytest.mark.e2e
SOURCE = PROJECT / "include" / "plans" / "nordwind" / "tryton-8.0.yaml"


@dataclass
class Site:
    """An Airflow whose plans are copies of the demo's under other names."""

    airflow: TestAirflow
    client: AirflowClient
    plans: Path
    place: Path

    def write(self, upgrade: str, *, title: str = "One upgrade") -> str:
        """Write a plan; the digest of its text."""
        replaced = {"upgrade": upgrade, "title": title}
        lines = [(line, line.split(":")[0]) for line in SOURCE.read_text().splitlines()]
        text = "\n".join(f"{key}: {replaced[key]}" if key in replaced else line for line, key in lines).encode()
        self.path(upgrade).parent.mkdir(parents=True, exist_ok=True)
        self.path(upgrade).write_bytes(text)
        return hashlib.sha256(text).hexdigest()

    def path(self, upgrade: str) -> Path:
        return self.plans / "nordwind" / f"{upgrade}.yaml"

    def begin(self, upgrade: str) -> DagRun:
        """Start a run and wait until its first task is at work."""
        (self.place / "go").unlink(missing_ok=True)
        run = self.client.trigger(f"nordwind.{upgrade}")
        self.until((self.place / f"{run.run_id}.started").exists, "the first task did not start")
        return run

    def finish(self, run: DagRun) -> DagRun:
        (self.place / "go").touch()
        return self.client.wait(run, timeout=60)

    def digests(self, run: DagRun) -> tuple[str, str]:
        """Of the plan texts the two tasks carried."""
        first, second = (self.place / f"{run.run_id}.{task}" for task in ("first", "second"))
        return first.read_text(), second.read_text()

    def until(self, done: Callable[[], object], failure: str, *, timeout: float = 40.0) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, f"{failure} within {timeout:.0f} s\n{self.airflow.logs()}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("bundle")
    plans, place = root / "plans", root / "place"
    plans.mkdir()
    place.mkdir()
    with airflow(
        settings_at(root / "home", plans=plans),
        plan_builder="tests.support.tiny_dag.build_dag",
        environment={PLACE: str(place), "PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT)))},
        components=("api-server", "execution-api", "scheduler", "dag-processor"),
    ) as started:
        yield Site(started, started.client(), plans, place)


def test_an_edited_plan_leaves_a_running_upgrade_on_the_text_it_began_with(site: Site) -> None:
    """Every task of the run carries the old text; the next run carries the new one."""
    old = site.write("edited")
    version = site.client.wait_for_dag("nordwind.edited")
    run = site.begin("edited")
    new = site.write("edited", title="Another title")
    site.client.wait_for_dag("nordwind.edited", newer_than=version)
    assert site.finish(run).state == "success"
    assert site.digests(run) == (old, old)
    later = site.finish(site.begin("edited"))
    assert site.digests(later) == (new, new)


def test_a_plan_broken_meanwhile_is_reported_and_stops_nothing(site: Site) -> None:
    """The fault is listed under the plan's own name, its DAG is not stale, its run ends, other plans stay."""
    good = site.write("broken")
    site.write("bystander")
    site.client.wait_for_dag("nordwind.broken")
    bystander = site.client.wait_for_dag("nordwind.bystander")
    run = site.begin("broken")
    site.path("broken").write_text("title: [never closed")
    name = "nordwind/broken.yaml.py"
    site.until(lambda: name in site.client.import_errors(), "the fault was not shown")
    assert "nordwind/broken.yaml" in site.client.import_errors()[name]
    assert site.finish(run).state == "success"
    assert site.digests(run) == (good, good)
    assert site.client.dag_version("nordwind.broken") is not None
    assert site.client.dag_version("nordwind.bystander") == bystander
    site.write("broken")
    site.until(lambda: name not in site.client.import_errors(), "the fault did not go away")


def test_a_plan_that_cannot_be_built_keeps_the_last_good_one(site: Site) -> None:
    """A plan that passes every check of its text and fails in the factory must not reach Airflow either."""
    good = site.write("unbuilt")
    site.client.wait_for_dag("nordwind.unbuilt")
    run = site.begin("unbuilt")
    site.write("unbuilt", title="unbuildable upgrade")
    site.until(lambda: "nordwind/unbuilt.yaml.py" in site.client.import_errors(), "the fault was not shown")
    assert "still cannot be built" in site.client.import_errors()["nordwind/unbuilt.yaml.py"]
    assert site.finish(run).state == "success"
    assert site.digests(run) == (good, good)
    site.write("unbuilt")


def test_a_removed_plan_stays_until_its_run_has_ended(site: Site) -> None:
    """Removed meanwhile, the run ends on its text; then the DAG goes, and comes back with the file."""
    text = site.write("removed")
    site.client.wait_for_dag("nordwind.removed")
    run = site.begin("removed")
    site.path("removed").unlink()
    time.sleep(4)  # several looks at the directory
    assert site.client.dag_version("nordwind.removed") is not None
    assert site.finish(run).state == "success"
    assert site.digests(run) == (text, text)
    site.until(lambda: site.client.dag_version("nordwind.removed") is None, "the DAG did not go")
    site.write("removed")
    site.client.wait_for_dag("nordwind.removed")


def test_a_plan_moved_to_another_client_is_another_upgrade(site: Site) -> None:
    """A file in the wrong place is refused with the reason, and changes nothing for the plan it was copied from."""
    site.write("moved")
    version = site.client.wait_for_dag("nordwind.moved")
    (site.plans / "other").mkdir(exist_ok=True)
    shutil.copy(site.path("moved"), site.plans / "other" / "moved.yaml")
    site.until(lambda: "other/moved.yaml.py" in site.client.import_errors(), "the fault was not shown")
    assert site.client.dag_version("nordwind.moved") == version
    (site.plans / "other" / "moved.yaml").unlink()


def test_a_run_whose_store_is_lost_says_so_and_goes_on_when_it_is_back(site: Site) -> None:
    """Without store and cache a task fails with the reason; with the store back it can be cleared and succeeds."""
    text = site.write("stored")
    version = site.client.wait_for_dag("nordwind.stored")
    run = site.finish(site.begin("stored"))
    site.write("stored", title="Another title")  # what is presented now would come back by itself
    site.client.wait_for_dag("nordwind.stored", newer_than=version)
    store, away = site.airflow.settings.plan_store, site.airflow.settings.home / "store.away"
    versions = site.airflow.settings.airflow_home / "bundles" / "plans" / "versions"
    store.rename(away)
    shutil.rmtree(versions)
    (site.place / f"{run.run_id}.second").unlink()
    site.client.clear(run, ["second"])
    failed = site.client.wait(run, timeout=60)
    assert failed.state == "failed"
    assert "has no version" in site.client.log(
        failed, "second", try_number=site.client.task(failed, "second").try_number
    )
    shutil.rmtree(store, ignore_errors=True)
    away.rename(store)
    site.client.clear(run, ["second"])
    assert site.client.wait(run, timeout=60).state == "success"
    assert site.digests(run) == (text, text)


def test_parsing_again_makes_no_new_version(site: Site) -> None:
    """A restart of the dag-processor parses everything again; every DAG keeps its version."""
    site.write("steady")
    version = site.client.wait_for_dag("nordwind.steady")
    old = site.airflow.kill("dag-processor")
    site.airflow.wait_restarted("dag-processor", old)
    time.sleep(6)
    assert site.client.dag_version("nordwind.steady") == version


def test_a_viewer_may_not_start_an_upgrade(site: Site) -> None:
    """The client tells who was refused, with the status."""
    with pytest.raises(AirflowError, match="nobody cannot log in") as refused:
        AirflowClient(site.airflow.server.url, user="nobody", password="wrong").trigger("nordwind.steady")
    assert refused.value.status == 401
