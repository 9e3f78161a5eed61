"""The plan store keeps texts and versions for good, and says so when it cannot give one back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from changeover.errors import PlanError
from changeover.orchestration.plan_store import Manifest, PlanStore, StoredPlan, write_whole
from changeover.settings import PROJECT


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path / "store")


def test_a_version_can_be_had_again(store: PlanStore) -> None:
    """Also when another one is current meanwhile."""
    first = Manifest({"nordwind.a": StoredPlan("d1", "nordwind/a.yaml")})
    second = Manifest({"nordwind.a": StoredPlan("d2", "nordwind/a.yaml")}, {"nordwind/b.yaml": "broken"})
    store.keep(first)
    store.keep(second)
    assert store.current() == second
    assert store.manifest(first.version()) == first


def test_the_version_does_not_depend_on_the_order_of_plans() -> None:
    """Directories are listed in any order."""
    a, b = StoredPlan("d1", "a.yaml"), StoredPlan("d2", "b.yaml")
    assert Manifest({"a": a, "b": b}).version() == Manifest({"b": b, "a": a}).version()


def test_a_lost_text_is_told_with_who_acts_next(store: PlanStore) -> None:
    """A task that cannot have its plan fails with a reason a person can act on."""
    with pytest.raises(PlanError, match="restore it from backup"):
        store.text("0" * 64)
    with pytest.raises(PlanError, match="has no version"):
        store.manifest("0" * 40)


def test_a_text_changed_in_the_store_is_refused(store: PlanStore) -> None:
    """A run must not go on with another text than the one that was approved."""
    digest = store.add(b"title: one")
    (store.root / "texts" / f"{digest}.yaml").write_bytes(b"title: two")
    with pytest.raises(PlanError, match="was changed after it was kept"):
        store.text(digest)


def test_a_plan_comes_with_the_text_it_was_read_from(store: PlanStore) -> None:
    """The run's record keeps exactly that text."""
    text = (PROJECT / "include/plans/nordwind/tryton-8.0.yaml").read_bytes()
    plan, kept = store.plan(store.add(text), name="nordwind/tryton-8.0.yaml")
    assert plan.dag_id == "nordwind.tryton-8.0"
    assert kept.encode() == text


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Written beside and renamed; nothing is left behind."""
    path = tmp_path / "file"
    texts = {b"a" * 100_000, b"b" * 100_000}
    write_whole(path, b"a" * 100_000)
    seen: set[bytes] = set()

    def write() -> None:
        for text in sorted(texts) * 20:
            write_whole(path, text)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """No rubbish either."""
    target = tmp_path / "taken"
    (target / "by-a-directory").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(target, b"text")
    assert list(tmp_path.iterdir()) == [target]
