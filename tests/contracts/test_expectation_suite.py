"""What Great Expectations would wave through is a "no" here, and what it says is told in plain words (C17)."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from changeover.adapters.expectation_files import load_expectations
from changeover.adapters.expectation_suite import GreatExpectationsSuite
from changeover.domain.acceptance import SuiteRun
from changeover.domain.gate import CheckState
from changeover.errors import GateError, PlanError
from changeover.ports import Comparison
from changeover.settings import load
from tests.support.execution import our_children, wait_until

LIMIT = timedelta(minutes=2)

EXPECTATIONS = """
schema_version: 1
datasets:
  sales: {query: "select id, cost_centre, total, state from sale", key: [id]}
  parties: {query: "select id, name from party", key: [id]}
  notes: {query: "select id, body from note", key: [id], may_be_empty: "the client writes none"}
expectations:
  - {dataset: sales, type: expect_table_row_count_to_equal_before}
  - {dataset: sales, type: expect_column_to_exist, column: cost_centre}
  - {dataset: sales, type: expect_column_values_to_equal_before, column: cost_centre}
  - {dataset: sales, type: expect_column_sum_to_equal_before, column: total}
  - {dataset: sales, type: expect_column_values_to_be_in_set, column: state, value_set: [draft, done]}
  - {dataset: sales, type: expect_column_values_to_be_between, column: total, min_value: 0, read_as: number}
  - {dataset: parties, type: expect_column_values_to_not_be_null, column: name}
  - {dataset: notes, type: expect_table_row_count_to_equal_before}
"""

SALES: list[dict[str, Any]] = [
    {"id": 1, "cost_centre": "4711", "total": "1800.10", "state": "done"},
    {"id": 2, "cost_centre": None, "total": "43.50", "state": "draft"},
    {"id": 3, "cost_centre": "0815", "total": "0.00", "state": "done"},
]
PARTIES: list[dict[str, Any]] = [{"id": 1, "name": "Nordwind"}, {"id": 2, "name": "Ostwind"}]
WHOLE: dict[str, list[dict[str, Any]]] = {"sales": SALES, "parties": PARTIES, "notes": []}


def changed(**datasets: Any) -> dict[str, Any]:
    return WHOLE | datasets


def sales(index: int, **values: Any) -> dict[str, Any]:
    """All datasets, with values of one sale replaced."""
    return changed(sales=[row | values if i == index else row for i, row in enumerate(SALES)])


# Case → the data before, the data after, and the checks that must say no. All are asked of one process.
CASES: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "whole": (WHOLE, WHOLE, {}),
    "written-otherwise": (
        WHOLE,
        changed(sales=[row | {"total": row["total"] + "0"} for row in reversed(SALES)]),
        {},
    ),
    "value-lost": (
        WHOLE,
        sales(0, cost_centre=""),
        {"sales.expect_column_values_to_equal_before.cost_centre": "1 of 3 rows differ: id=1: '4711' before, '' after"},
    ),
    "null-became-empty": (
        WHOLE,
        sales(1, cost_centre=""),
        {"sales.expect_column_values_to_equal_before.cost_centre": "id=2: null before, '' after"},
    ),
    "leading-zero-lost": (
        WHOLE,
        sales(2, cost_centre="815"),
        {"sales.expect_column_values_to_equal_before.cost_centre": "'0815' before, '815' after"},
    ),
    "row-with-null-swapped": (
        WHOLE,
        sales(1, id=9),
        {"sales.expect_column_values_to_equal_before.cost_centre": "id=2: null before, (row lost) after"},
    ),
    "row-lost": (
        WHOLE,
        changed(sales=SALES[:2]),
        {
            "sales.expect_table_row_count_to_equal_before": "3 rows before, 2 after",
            "sales.expect_column_values_to_equal_before.cost_centre": "(row lost)",
        },
    ),
    "a-cent-lost": (
        WHOLE,
        sales(0, total="1800.09"),
        {"sales.expect_column_sum_to_equal_before.total": "1843.6 before (0 nulls), 1843.59 after (0 nulls)"},
    ),
    "a-nought-became-null": (
        WHOLE,
        sales(2, total=None),
        {
            "sales.expect_column_sum_to_equal_before.total": "1 nulls",
            "sales.expect_column_values_to_be_between.total": "1 of 3 rows null",
        },
    ),
    "a-number-is-no-number": (
        WHOLE,
        sales(2, total="much"),
        {
            "sales.expect_column_sum_to_equal_before.total": "'much' is not a number",
            "sales.expect_column_values_to_be_between.total": "'much' is not a number",
        },
    ),
    "no-rows-after": (
        WHOLE,
        changed(parties=[]),
        {"parties.expect_column_values_to_not_be_null.name": "parties has 0 rows after the change: nothing checked"},
    ),
    "no-rows-before": (
        changed(parties=[]),
        WHOLE,
        {"parties.expect_column_values_to_not_be_null.name": "parties has 0 rows before the change: nothing checked"},
    ),
    "rows-where-none-were": (
        WHOLE,
        changed(notes=[{"id": 1, "body": "x"}]),
        {"notes.expect_table_row_count_to_equal_before": "0 rows before, 1 after"},
    ),
    "not-read": (
        WHOLE,
        {"sales": SALES, "notes": []},
        {"parties.expect_column_values_to_not_be_null.name": "parties was not read after the change"},
    ),
    "one-null": (
        WHOLE,
        changed(parties=[PARTIES[0], {"id": 2, "name": None}]),
        {"parties.expect_column_values_to_not_be_null.name": "name 1 of 2 rows null"},
    ),
    "one-null-of-a-set": (
        WHOLE,
        sales(0, state=None),
        {"sales.expect_column_values_to_be_in_set.state": "state 1 of 3 rows null"},
    ),
    "all-null-of-a-set": (
        WHOLE,
        changed(sales=[row | {"state": None} for row in SALES]),
        {"sales.expect_column_values_to_be_in_set.state": "column state is null in every row: nothing checked"},
    ),
    "unwanted-value": (
        WHOLE,
        sales(0, state="lost"),
        {"sales.expect_column_values_to_be_in_set.state": "unexpected: 'lost'"},
    ),
    "all-null-before-and-after": (
        changed(sales=[row | {"cost_centre": None} for row in SALES]),
        changed(sales=[row | {"cost_centre": None} for row in SALES]),
        {"sales.expect_column_values_to_equal_before.cost_centre": "null in every row, before and after"},
    ),
    "column-gone": (
        WHOLE,
        changed(sales=[{k: v for k, v in row.items() if k != "cost_centre"} for row in SALES]),
        {
            "sales.expect_column_to_exist.cost_centre": "column cost_centre is missing",
            "sales.expect_column_values_to_equal_before.cost_centre": "column cost_centre is missing after in 3 of 3",
        },
    ),
    "key-is-no-key": (
        WHOLE,
        sales(1, id=1),
        {"sales.expect_column_values_to_equal_before.cost_centre": "1 keys name more than one row after: id=1"},
    ),
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GreatExpectationsSuite]:
    root = tmp_path_factory.mktemp("expectations")
    write(root, EXPECTATIONS)
    datasets, _, _ = EXPECTATIONS.partition("expectations:")
    write(root, f"{datasets}expectations: []\n", "empty")
    suite = GreatExpectationsSuite(root)
    yield suite
    suite.close()


def write(root: Path, text: str, application: str = "shop") -> None:
    (root / application).mkdir()
    (root / application / "business.yaml").write_text(text)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def run(suite: GreatExpectationsSuite, evidence: Path) -> SuiteRun:
    """All cases at once: one process."""
    comparisons = [Comparison(name, before, after) for name, (before, after, _) in CASES.items()]
    return suite.run_many("shop", comparisons, environment="production", evidence=evidence, timeout=LIMIT)


@pytest.mark.parametrize("case", CASES)
def test_exactly_these_checks_say_no(run: SuiteRun, case: str) -> None:
    """Each kind of loss is seen by the checks that look at it, and by no other."""
    expected = CASES[case][2]
    said_no = {r.key: r.message for r in run.results if r.host == case and r.state is not CheckState.PASSED}
    assert said_no.keys() == expected.keys()
    assert all(text in said_no[key] for key, text in expected.items()), said_no


def test_every_declared_check_ran_for_every_host(run: SuiteRun) -> None:
    assert len(run.declared) == 8 * len(CASES)
    assert {(r.key, r.host) for r in run.results} == set(run.declared)
    assert set(run.hosts_seen) == set(CASES)
    assert all(r.state in (CheckState.PASSED, CheckState.FAILED) for r in run.results)


def test_evidence_tells_the_numbers_in_words(run: SuiteRun) -> None:
    words = run.evidence["expectations.txt"].read_text()
    assert "sales: 3 rows before, 3 after" in words
    assert "sales: sum(total) 1843.6 = 1843.6" in words
    assert "sales: sum(total) 1843.6 ≠ 1843.59" in words
    assert "sales: cost_centre equal in 3 of 3 rows" in words
    validations = json.loads(run.evidence["expectations.json"].read_text())["whole"]["validations"]
    assert all(validation["success"] for validation in validations)
    assert "refused" not in run.evidence["expectations-console.txt"].read_text(), "it tried to reach the network"


def test_a_suite_without_expectations_declares_nothing(suite: GreatExpectationsSuite, tmp_path: Path) -> None:
    """The library calls it a success; the gate calls it "nothing checked"."""
    run = suite.run("empty", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path, timeout=LIMIT)
    assert run.declared == ()
    assert run.results == ()


def test_an_expectation_the_library_does_not_have_is_an_error(tmp_path: Path) -> None:
    """Neither a misspelt type nor wrong arguments end as passed, and the others are still asked."""
    write(
        tmp_path,
        """
schema_version: 1
datasets:
  sales: {query: "select id from sale", key: [id]}
expectations:
  - {dataset: sales, type: expect_columm_to_exist, column: id}
  - {dataset: sales, type: expect_table_row_count_to_be_between, min_value: many}
  - {dataset: sales, type: expect_column_values_to_match_regex, column: state, regex: "("}
  - {dataset: sales, type: expect_column_to_exist, column: id}
""",
    )
    run = GreatExpectationsSuite(tmp_path).run(
        "shop", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path / "evidence", timeout=LIMIT, host="h"
    )
    states = [(r.key.split(".")[1], r.state, r.message) for r in run.results]
    assert len(run.declared) == 4
    assert [s for s in states if s[1] is CheckState.PASSED] == [("expect_column_to_exist", CheckState.PASSED, "")]
    assert [s[1] for s in states].count(CheckState.ERROR) == 3, states
    assert "no such expectation" in next(s[2] for s in states if s[0] == "expect_columm_to_exist")


def test_a_suite_over_its_limit_is_no_answer(suite: GreatExpectationsSuite, tmp_path: Path) -> None:
    """Time is up while the library is still being imported: unknown, and nothing is left running."""
    with pytest.raises(GateError, match="did not end within"):
        suite.run("shop", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path, timeout=timedelta(seconds=0.5))
    assert not children()


def test_a_killed_process_is_no_answer(suite: GreatExpectationsSuite, tmp_path: Path) -> None:
    """SIGKILL in the middle is told as such."""
    killer = threading.Thread(target=_kill_one)
    killer.start()
    with pytest.raises(GateError, match="signal 9"):
        suite.run("shop", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path, timeout=LIMIT)
    killer.join()


def test_a_warmed_process_is_used_once_and_ended_when_not_used(suite: GreatExpectationsSuite, tmp_path: Path) -> None:
    suite.warm()
    suite.warm()
    wait_until(lambda: bool(children()))
    (waiting,) = children()
    run = suite.run("shop", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path, timeout=LIMIT)
    assert all(r.state is CheckState.PASSED for r in run.results)
    assert not children()
    suite.warm()
    wait_until(lambda: bool(children()))
    assert children() != [waiting]
    suite.close()
    assert not children()


def test_a_warmed_process_ends_with_whoever_started_it(suite: GreatExpectationsSuite) -> None:
    """The pipe to it closes when its owner dies; it then takes its directory along."""
    suite.warm()
    child = suite._warm.pop()
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(60) == 0
    assert not child.directory.exists()


def test_it_asks_nobody_on_the_network(suite: GreatExpectationsSuite, tmp_path: Path) -> None:
    """The settings of a proxy, which would show an attempt, are not even handed down."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)
        os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            run = suite.run("shop", before=WHOLE, after=WHOLE, environment="e", evidence=tmp_path, timeout=LIMIT)
        finally:
            del os.environ["HTTPS_PROXY"]
        with pytest.raises(TimeoutError):
            server.accept()
    assert "refused" not in run.evidence["expectations-console.txt"].read_text()


def test_queries_are_those_of_the_version(tmp_path: Path) -> None:
    """The newest query that is not newer than the version; versions are ordered as versions, not as text."""
    write(
        tmp_path,
        """
schema_version: 1
datasets:
  sales:
    query: "select old"
    key: [id]
    query_from: {"7.8": "select middle", "8.0.2": "select two", "8.0.12": "select new"}
""",
    )
    suite = GreatExpectationsSuite(tmp_path)
    asked = {v: suite.queries("shop", v)["sales"]["query"] for v in ("7.0.59", "7.8.0", "8.0.3", "8.0.12", "9.0")}
    assert asked == {
        "7.0.59": "select old",
        "7.8.0": "select middle",
        "8.0.3": "select two",
        "8.0.12": "select new",
        "9.0": "select new",
    }
    assert suite.queries("shop", "7.0")["sales"]["key"] == ["id"]


def test_faults_of_the_files_are_told_all_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
schema_version: 1
datasets:
  sales: {query: "select id from sale", query_from: {"8.0.x": "select id from sale"}}
expectations:
  - {dataset: sales, type: expect_column_sum_to_equal_before}
  - {dataset: sales, type: expect_column_mean_to_equal_before, column: total}
  - {dataset: sales, type: expect_table_row_count_to_equal_before, tolerance: 3}
""",
    )
    with pytest.raises(PlanError) as told:
        GreatExpectationsSuite(tmp_path).queries("shop", "8.0")
    text = str(told.value)
    assert "business.yaml" in text
    for part in ("'8.0.x' is not a pep440 version", "needs a column", "known comparisons with before", "tolerance"):
        assert part in text


def test_faults_between_files_are_told_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
schema_version: 1
datasets:
  sales: {query: "select id from sale"}
expectations:
  - {dataset: sales, type: expect_column_values_to_equal_before, column: total}
  - {dataset: sails, type: expect_table_row_count_to_equal_before}
""",
    )
    (tmp_path / "shop" / "more.yaml").write_text(
        'schema_version: 1\ndatasets:\n  sales: {query: "select id from sale"}\n'
        "expectations:\n  - {dataset: sails, type: expect_table_row_count_to_equal_before}\n"
    )
    with pytest.raises(PlanError) as told:
        GreatExpectationsSuite(tmp_path).queries("shop", "8.0")
    for part in ("described twice", "expected twice", "no dataset is called sails", "dataset sales has none"):
        assert part in str(told.value)


def test_an_application_without_expectations_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there are no expectations"):
        GreatExpectationsSuite(tmp_path).queries("shop", "8.0")


def _kill_one() -> None:
    wait_until(children)
    children()[0].kill()


def children() -> list[psutil.Process]:
    """One that was only just started does not have its own name yet."""
    return [child for child, line in our_children() if "expectation_process" in line]


@pytest.mark.parametrize("directory", sorted(path for path in load({}).expectations.iterdir() if path.is_dir()))
def test_shipped_expectations_can_be_used(directory: Path) -> None:
    """Each file is sound, and something is expected of each dataset: what nobody looks at need not be read."""
    found = load_expectations(directory)
    assert found.datasets.keys() == {expectation.dataset for expectation in found.expectations}
