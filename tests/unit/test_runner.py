"""The runner behind `changeover test` reports success only for tests that were run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from changeover.errors import ChangeoverError
from changeover.settings import PROJECT
from changeover.testing import results, rings, runner
from changeover.testing.results import Result

SECOND = timedelta(seconds=1)


def outcome_of(directory: Path, text: str, **environ: str) -> Result:
    """What the runner makes of a pytest run over one file."""
    (directory / "test_it.py").write_text(textwrap.dedent(text), encoding="utf-8")
    report = directory / "report.xml"
    code = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", report, directory],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "include"), **environ},
        capture_output=True,
        check=False,
    ).returncode
    return results.of_tests("it", code, SECOND, report)


def test_counts_and_reasons_come_from_pytests_report(tmp_path: Path) -> None:
    result = outcome_of(
        tmp_path,
        """
        import pytest

        def test_right(): pass
        def test_wrong(): assert False
        @pytest.fixture
        def broken(): raise OSError
        def test_broken(broken): pass
        @pytest.mark.skip(reason="no moon; get it: wait")
        def test_moon(): pass
        """,
    )
    assert (result.passed, result.failed, result.skipped, result.ok) == (1, 2, 1, False)
    assert dict(result.left_out) == {"no moon; get it: wait": 1}


def test_what_the_machine_lacks_is_left_out_with_the_way_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from changeover.testing.capabilities import pytest_collection_modifyitems\n", encoding="utf-8"
    )
    result = outcome_of(
        tmp_path,
        """
        import pytest

        @pytest.mark.redis
        def test_queue(): pass
        def test_other(): pass
        """,
        PATH="/nonexistent",
    )
    assert (result.passed, result.skipped) == (1, 1)
    assert dict(result.left_out) == {"no Redis; get it: apt-get install redis-server": 1}


def test_a_run_without_a_test_is_a_failure(tmp_path: Path) -> None:
    """Exit code 5 of pytest is not a pass."""
    result = outcome_of(tmp_path, "")
    assert (result.ok, result.failed, result.trouble) == (False, 1, "pytest found no test")


def test_a_run_that_left_no_report_is_a_failure(tmp_path: Path) -> None:
    for code in (0, 1, 2, -9, None):
        assert not results.of_tests("it", code, SECOND, tmp_path / "absent.xml").ok


def test_a_report_without_failures_does_not_hide_a_bad_exit_code(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text('<testsuites><testsuite tests="1"/></testsuites>', encoding="utf-8")
    assert results.of_tests("it", 1, SECOND, tmp_path / "r.xml").failed == 1


def test_all_left_out_is_not_success() -> None:
    skipped = [Result("it", SECOND, skipped=3)]
    assert results.verdict(skipped, tests_wanted=True) == 1
    assert results.verdict([*skipped, Result("more", SECOND, passed=1)], tests_wanted=True) == 0
    assert results.verdict([Result("lint", SECOND)], tests_wanted=False) == 0


def test_the_closing_line_sums_all_steps() -> None:
    done = [Result("a", SECOND, 2, 0, 1), Result("b", SECOND, 3, 1, 0, "1 failed"), results.of_check("c", 2, SECOND)]
    assert results.closing_line(done) == "5 passed, 2 failed, 1 skipped"
    assert results.verdict(done, tests_wanted=True) == 1


def test_a_demo_of_a_fault_must_end_with_no() -> None:
    assert results.of_check("demo", 1, SECOND, expected=1).ok
    assert not results.of_check("demo", 0, SECOND, expected=1).ok
    assert not results.of_check("demo", 3, SECOND, expected=1).ok


def test_a_step_is_ended_at_its_limit_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ("/bin/sh", "-c", f"sleep 60 & echo $! > {pid}; wait")
    assert runner.execute(command, timedelta(seconds=0.5), {"PATH": "/usr/bin:/bin"}) is None
    child, patience = int(pid.read_text(encoding="utf-8")), time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_each_ring_holds_the_one_before() -> None:
    parts = [set(rings.steps(ring)) for ring in rings.RINGS]
    assert all(smaller < larger for smaller, larger in pairwise(parts))


def test_an_unknown_ring_is_refused() -> None:
    with pytest.raises(ChangeoverError, match="no ring"):
        runner.run("everything")
