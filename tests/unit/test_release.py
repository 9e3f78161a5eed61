"""Release records: whether the vendor supports going from here to there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from changeover.domain.finding import Finding, Severity
from changeover.domain.path import product_of
from changeover.domain.path_findings import release_findings
from changeover.domain.release import ReleaseRecord, Requirements, path_findings
from tests.support.world import release

RECORD = release()  # 2.6.0, supported from >=2.0,<2.6


def found(record: ReleaseRecord = RECORD, *, from_version: str = "2.0.0", to_version: str = "2.6.0") -> list[Finding]:
    return list(path_findings(record, from_version=from_version, to_version=to_version))


def test_a_supported_path_has_no_finding() -> None:
    assert found() == []
    assert found(from_version="2.5.9", to_version="2.6") == []


@pytest.mark.parametrize(
    ("path", "keys", "text"),
    [
        ({"from_version": "1.9"}, ["release-path"], "the vendor supports coming from >=2.0,<2.6, not from 1.9"),
        ({"from_version": "2.6"}, ["release-no-op"], "already on 2.6.0: no upgrade is needed"),
        ({"from_version": "2.7"}, ["release-downgrade"], "a downgrade is never an upgrade"),
        ({"to_version": "2.6.1"}, ["release-target"], "the plan wants 2.6.1, the release record describes 2.6.0"),
        (
            {"from_version": "3.0", "to_version": "2.9"},
            ["release-target", "release-downgrade"],
            "2.9 is older than 3.0",
        ),
        ({"from_version": "latest"}, ["release-version"], "'latest' is not a pep440 version"),
        ({"from_version": "2.6.0rc1", "to_version": "2.6.0"}, ["release-path"], "not from 2.6.0rc1"),
    ],
)
def test_each_fault_of_a_path_is_told(path: dict[str, Any], keys: list[str], text: str) -> None:
    findings = found(**path)
    assert [finding.key for finding in findings] == keys
    assert all(finding.inhibits for finding in findings)
    assert any(text in finding.summary for finding in findings)


def test_manual_steps_and_changes_are_told_and_do_not_inhibit() -> None:
    record = ReleaseRecord.model_validate(
        RECORD.model_dump(by_alias=True)
        | {
            "manual_steps": [{"id": "a", "series": "2.6", "when": "before", "title": "Rename", "source": "notes"}],
            "changed": [{"kind": "endpoint", "what": "rpc", "from": "/", "to": "/rpc/", "source": "notes"}],
        }
    )
    findings = release_findings(record, product_of(record), from_version="2.0.0", to_version="2.6.0")
    assert [finding.severity for finding in findings] == [Severity.ADVISORY] * 3
    assert [finding.summary for finding in findings[1:]] == [
        "the vendor asks for 1 manual steps: Rename",
        "/ becomes /rpc/",
    ]


def test_a_range_that_cannot_be_read_supports_nothing() -> None:
    """A record that reached us by another way than its file."""
    record = RECORD.model_copy(update={"supported_from": ("anything",)})
    assert [finding.key for finding in found(record)] == ["release-path"]


@pytest.mark.parametrize(
    ("requires", "text"),
    [
        ({"python": "3"}, "python: not a version range"),
        ({"python": ""}, "python: an empty version range"),
        ({"database": {"postgresql": "twelve"}}, "database.postgresql: not a version range"),
        ({"disk_factor": 0}, "greater than 0"),
        ({"disk_factor": float("inf")}, "finite"),
    ],
)
def test_requirements_that_cannot_be_read_are_refused_at_the_door(requires: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Requirements.model_validate(requires)
