"""Which plans are presented, and which faults are shown, as files come, change, break and go."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from changeover.adapters.plan_files import find_plans
from changeover.adapters.yaml_text import MAX_BYTES
from changeover.errors import PlanError
from changeover.orchestration.plan_collection import PlanCollection
from changeover.orchestration.plan_store import Manifest, PlanStore


@dataclass
class WordChecker:
    """A text passes when it begins with "plan "; the next word is its DAG id."""

    version: str = "v1"
    strict: bool = False
    judged: list[str] = field(default_factory=list)

    def check(self, text: bytes, *, file: str) -> str:
        self.judged.append(file)
        words = text.decode().split()
        if words[:1] != ["plan"] or (self.strict and "lax" in words):
            raise PlanError(f"{file} is no plan")
        return words[1]


@dataclass
class Desk:
    """A directory of plans, a store, and what was presented last."""

    root: Path
    checker: WordChecker = field(default_factory=WordChecker)
    running: set[str] = field(default_factory=set)
    asked: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plans.mkdir()
        self.store = PlanStore(self.root / "store")
        self.last = Manifest()
        self.collection = self._collection()

    @property
    def plans(self) -> Path:
        return self.root / "plans"

    def _collection(self) -> PlanCollection:
        return PlanCollection(self.plans, self.store, self.checker, self._unfinished)

    def _unfinished(self, dag_ids: Iterable[str]) -> set[str]:
        self.asked.append(set(dag_ids))
        return set(dag_ids) & self.running

    def put(self, name: str, text: str) -> str:
        path = self.plans / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return hashlib.sha256(text.encode()).hexdigest()

    def look(self) -> Manifest:
        self.last = self.collection.collect(self.last)
        self.store.keep(self.last)
        return self.last

    def restart(self, checker: WordChecker | None = None) -> None:
        """A new process: it knows what the store knows."""
        self.checker = checker or self.checker
        self.last = self.store.current()
        self.collection = self._collection()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_plan_is_presented_by_the_digest_of_its_text(desk: Desk) -> None:
    """And the text can be had from the store."""
    digest = desk.put("nordwind/a.yaml", "plan nordwind.a")
    presented = desk.look().plans["nordwind.a"]
    assert (presented.digest, presented.file) == (digest, "nordwind/a.yaml")
    assert desk.store.text(digest) == b"plan nordwind.a"


def test_one_bad_plan_never_hides_another(desk: Desk) -> None:
    """Each fault stands under its own file; the good plans are presented."""
    desk.put("nordwind/good.yaml", "plan nordwind.good")
    desk.put("nordwind/bad.yaml", "nonsense")
    (desk.plans / "nordwind" / "torn.yaml").symlink_to("/nowhere/at/all")
    found = desk.look()
    assert list(found.plans) == ["nordwind.good"]
    assert list(found.faults) == ["nordwind/bad.yaml", "nordwind/torn.yaml"]


def test_a_broken_plan_keeps_its_last_good_text(desk: Desk) -> None:
    """Run or no run: what is presented goes on, and the fault is shown beside it."""
    good = desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.look()
    desk.put("nordwind/a.yaml", "nonsense")
    found = desk.look()
    assert found.plans["nordwind.a"].digest == good
    assert "nordwind/a.yaml" in found.faults


def test_a_plan_broken_and_then_removed_is_gone(desk: Desk) -> None:
    """Only an unfinished run keeps a removed plan."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.look()
    desk.put("nordwind/a.yaml", "nonsense")
    desk.look()
    (desk.plans / "nordwind/a.yaml").unlink()
    assert desk.look() == Manifest()


def test_a_removed_plan_stays_while_a_run_of_it_is_unfinished(desk: Desk) -> None:
    """And goes with the first look after the run's end."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.look()
    desk.running = {"nordwind.a"}
    (desk.plans / "nordwind/a.yaml").unlink()
    assert "nordwind.a" in desk.look().plans
    desk.running = set()
    assert desk.look().plans == {}


def test_runs_are_asked_about_only_when_a_plan_is_gone(desk: Desk) -> None:
    """A look every few seconds must not query the database for nothing."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.look()
    desk.look()
    assert all(not asked for asked in desk.asked)


def test_a_copy_does_not_take_a_dag_over(desk: Desk) -> None:
    """The file that presented the DAG before keeps it, even when the copy's name sorts first."""
    desk.put("b/plan.yaml", "plan nordwind.a original")
    original = desk.look().plans["nordwind.a"]
    desk.put("a/plan.yaml", "plan nordwind.a copy")
    found = desk.look()
    assert found.plans["nordwind.a"] == original
    assert "already is the plan" in found.faults["a/plan.yaml"]


def test_a_renamed_file_goes_on_presenting_its_dag(desk: Desk) -> None:
    """The DAG is what counts, not the file's name."""
    digest = desk.put("nordwind/old.yaml", "plan nordwind.a")
    desk.look()
    (desk.plans / "nordwind/old.yaml").rename(desk.plans / "nordwind/new.yaml")
    found = desk.look()
    assert (found.plans["nordwind.a"].digest, found.plans["nordwind.a"].file) == (digest, "nordwind/new.yaml")


def test_an_unchanged_text_is_judged_once(desk: Desk) -> None:
    """Good or bad, also after a restart when it was good."""
    desk.put("nordwind/good.yaml", "plan nordwind.good")
    desk.put("nordwind/bad.yaml", "nonsense")
    desk.look()
    desk.look()
    assert sorted(desk.checker.judged) == ["nordwind/bad.yaml", "nordwind/good.yaml"]
    desk.restart()
    desk.look()
    assert desk.checker.judged.count("nordwind/good.yaml") == 1


def test_a_stricter_checker_looks_at_old_texts_again(desk: Desk) -> None:
    """A text that is refused now is shown as a fault, and not presented: its DAG file would only fail."""
    desk.put("nordwind/a.yaml", "plan nordwind.a lax")
    desk.look()
    desk.restart(WordChecker(version="v2", strict=True))
    found = desk.look()
    assert found.plans == {}
    assert "nordwind/a.yaml" in found.faults


def test_a_text_that_is_in_the_store_still_has_to_pass(desk: Desk) -> None:
    """Being kept is not being good."""
    desk.store.add(b"nonsense")
    desk.put("nordwind/a.yaml", "nonsense")
    assert desk.look().plans == {}


def test_the_same_text_under_another_name_is_judged_for_itself(desk: Desk) -> None:
    """A plan says the same as its path: the verdict on one file is none on its copy."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.put("other/a.yaml", "plan nordwind.a")
    desk.look()
    assert sorted(desk.checker.judged) == ["nordwind/a.yaml", "other/a.yaml"]


def test_the_other_ending_is_refused_with_the_reason(desk: Desk) -> None:
    """A plan named .yml would otherwise be missing without a word; hidden files are an editor's own."""
    desk.put("nordwind/a.yml", "plan nordwind.a")
    desk.put("nordwind/.a.yaml.swp.yaml", "half a pl")
    desk.put(".git/b.yaml", "plan nordwind.b")
    found = desk.look()
    assert list(found.faults) == ["nordwind/a.yml"]
    assert ".yaml" in found.faults["nordwind/a.yml"]


def test_a_directory_that_is_not_there_is_not_an_empty_one(desk: Desk) -> None:
    """A volume that is not mounted must not take every plan away."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    desk.look()
    desk.plans.rename(desk.root / "unmounted")
    with pytest.raises(PlanError, match="not there"):
        desk.look()


def test_a_fault_alone_makes_another_version(desk: Desk) -> None:
    """Airflow looks at the files again only when the version is another one."""
    desk.put("nordwind/a.yaml", "plan nordwind.a")
    before = desk.look().version()
    assert desk.look().version() == before
    desk.put("nordwind/b.yaml", "nonsense")
    assert desk.look().version() != before


# ---- files that are none, and files in the wrong place


def test_a_name_that_is_no_text_stops_no_other_plan(desk: Desk) -> None:
    """Linux takes any bytes for a name; Airflow, the ledger and a terminal take text alone."""
    desk.put("lindgren/good.yaml", "plan lindgren.good")
    Path(os.fsdecode(os.fsencode(desk.plans / "lindgren") + b"/caf\xe9.yaml")).write_text("plan lindgren.cafe")
    found = desk.look()
    assert list(found.plans) == ["lindgren.good"]
    assert list(found.faults) == ["lindgren/caf\\xe9.yaml"]
    assert "not UTF-8" in found.faults["lindgren/caf\\xe9.yaml"]


def test_what_is_no_file_is_not_opened(desk: Desk) -> None:
    """Opening a FIFO would wait for a writer for ever, with the store's lock held."""
    desk.put("lindgren/good.yaml", "plan lindgren.good")
    os.mkfifo(desk.plans / "lindgren" / "f.yaml")
    (desk.plans / "lindgren" / "endless.yaml").symlink_to("/dev/zero")
    found = desk.look()
    assert list(found.plans) == ["lindgren.good"]
    assert "not a regular file" in found.faults["lindgren/f.yaml"]
    assert "leads out of" in found.faults["lindgren/endless.yaml"]


def test_a_link_that_leads_out_of_the_plans_is_refused(desk: Desk) -> None:
    """What `plan check` refuses is not presented; a link within the plans is (a mounted volume has such)."""
    (desk.root / "elsewhere.yaml").write_text("plan nordwind.out")
    desk.put("nordwind/.versions/1.yaml", "plan nordwind.in")
    (desk.plans / "nordwind" / "out.yaml").symlink_to(desk.root / "elsewhere.yaml")
    (desk.plans / "nordwind" / "in.yaml").symlink_to(".versions/1.yaml")
    found = desk.look()
    assert list(found.plans) == ["nordwind.in"]
    assert "leads out of" in found.faults["nordwind/out.yaml"]


def test_a_plan_larger_than_a_document_is_refused(desk: Desk) -> None:
    """The same bound as everywhere else."""
    desk.put("nordwind/big.yaml", "plan nordwind.big" + " " * MAX_BYTES)
    assert "MiB" in desk.look().faults["nordwind/big.yaml"]


@pytest.mark.parametrize("file", ["x.yaml", "x/lindgren/y.yaml"])
def test_a_plan_in_the_wrong_place_is_refused_as_plan_check_does(desk: Desk, file: str) -> None:
    """A plan lies exactly at <client>/<upgrade>.yaml."""
    desk.put(file, "plan lindgren.y")
    found = desk.look()
    assert found.plans == {}
    checked = {
        str(Path(reading.file).relative_to(desk.plans)): reading.faults[0].message
        for reading in find_plans([desk.plans], plans=desk.plans)
    }
    assert checked[file] in found.faults[file]
    assert "wrong place" in found.faults[file]
