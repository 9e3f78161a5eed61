"""The catalogue of checks as files: every fault told at once, and a plan may leave out advisories only."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.adapters.check_files import load_catalogue
from changeover.domain.check import CheckStage
from changeover.errors import PlanError
from changeover.settings import load

ENTRY = """
  - key: {key}
    title: The host answers
    severity: {severity}
    stages: [readiness]
    measured_by: ssh_probe
    remediation: Repair it.
"""


def write(directory: Path, *entries: str, name: str = "a") -> None:
    (directory / f"{name}.yaml").write_text("schema_version: 1\nchecks:\n" + "".join(entries))


def entry(key: str, severity: str = "inhibitor") -> str:
    return ENTRY.format(key=key, severity=severity)


def test_all_files_of_the_directory_are_read(tmp_path: Path) -> None:
    write(tmp_path, entry("one"))
    write(tmp_path, entry("two", "advisory"), name="b")
    catalogue = load_catalogue(tmp_path)
    assert [check.key for check in catalogue.checks] == ["one", "two"]
    assert catalogue["two"].remediation == "Repair it."
    assert [check.key for check in catalogue.at(CheckStage.READINESS, off=["one", "two"])] == ["one"]
    assert catalogue.at(CheckStage.ANALYSIS) == ()


def test_every_fault_of_every_file_is_told(tmp_path: Path) -> None:
    write(tmp_path, entry("one", "fatal"))
    write(tmp_path, entry("two"), "    extra: 1\n", name="b")
    with pytest.raises(PlanError) as told:
        load_catalogue(tmp_path)
    assert "a.yaml" in str(told.value)
    assert "b.yaml" in str(told.value)
    assert "checks.0.extra" in str(told.value)


def test_a_key_in_two_files_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, entry("one"))
    write(tmp_path, entry("one"), name="b")
    with pytest.raises(PlanError, match="'one' is in the catalogue twice"):
        load_catalogue(tmp_path)


def test_no_files_are_a_fault(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(PlanError, match="there are no checks"):
            load_catalogue(directory)


def test_what_a_plan_may_leave_out(tmp_path: Path) -> None:
    write(tmp_path, entry("must"), entry("may", "advisory"))
    catalogue = load_catalogue(tmp_path)
    assert catalogue.faults_of({"may": "agreed"}) == ()
    assert catalogue.faults_of({"must": "x", "other": "x"}) == (
        "checks_off.must: is an inhibitor and cannot be left out",
        "checks_off.other: no check of the catalogue has this key",
    )


def test_every_shipped_check_says_what_to_do() -> None:
    for check in load_catalogue(load({}).checks).checks:
        assert check.remediation.endswith(".")
        assert check.title[0].isupper()
