"""Discovery: what runs, held against plan and CMDB; each difference is one finding with a key that stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from changeover.adapters.check_files import load_catalogue
from changeover.domain.analysis_facts import Said
from changeover.domain.check import CheckStage
from changeover.domain.discovery import FINDINGS, differences
from changeover.domain.estate import EstateEnvironment
from changeover.domain.finding import Severity
from changeover.domain.plan import Plan
from changeover.settings import load
from tests.support.world import estate, plan

CATALOGUE = load_catalogue(load({}).checks)
EXPECTED = {
    "modules": ["sale", "party"],
    "customisations": ["own"],
    "integrations": ["feed"],
    "settings": {"web.listen": "0.0.0.0:80"},
}
PLAN = plan(expected=EXPECTED)
RECORDS: dict[str, EstateEnvironment | None] = {
    e.name: EstateEnvironment.model_validate(
        e.model_dump()
        | {
            "customisations": [{"name": "own"}],
            "integrations": [{"name": "feed", "kind": "rpc", "endpoint": "https://x/rpc/"}],
        }
    )
    for e in estate().environments
}
REPORT: Mapping[str, Any] = {
    "version": "2.0.0",
    "modules": {"sale": "2.0", "party": "2.0", "own": "1.0"},
    "customisations": {"own": {"version": "1.0", "digest": "aa"}},
    "settings": {
        "/srv/app/app.conf": {"digest": "s", "values": {"web.listen": "0.0.0.0:80", "db.uri": "pg://u:pw@h/d"}}
    },
    "integrations": {"feed": {"endpoint": "https://x/rpc/", "schedule": "running"}},
}
HOSTS = ("base1", "train1", "prod1", "prod2")


def compare(
    *on: str,
    of: Plan = PLAN,
    records: Mapping[str, EstateEnvironment | None] = RECORDS,
    **changed: Any,
) -> list[tuple[str, str]]:
    """Keys and subjects of what is found when the report of these hosts is changed."""
    return [(finding.key, finding.subject) for finding in found(*on, of=of, records=records, **changed)]


def found(
    *on: str,
    of: Plan = PLAN,
    records: Mapping[str, EstateEnvironment | None] = RECORDS,
    **changed: Any,
) -> list[Said]:
    reports: dict[str, Mapping[str, Any]] = {host: {**REPORT, **(changed if host in on else {})} for host in HOSTS}
    return differences(of, records=records, reports=reports)


def inhibits(said: Said) -> bool:
    return CATALOGUE[said.key].severity is Severity.INHIBITOR


def test_the_catalogue_knows_every_difference() -> None:
    """How grave each is, and what to do about it."""
    assert set(FINDINGS) <= {check.key for check in CATALOGUE.at(CheckStage.ANALYSIS)}
    assert all(CATALOGUE[key].remediation for key in FINDINGS)


def test_what_is_as_expected_is_no_finding() -> None:
    assert compare() == []


def test_the_baseline_is_built_anew_so_what_runs_there_is_not_compared() -> None:
    assert compare("base1", version="1.0", modules={}, customisations={}) == []


@pytest.mark.parametrize(
    ("changed", "keys", "text"),
    [
        (
            {"version": "2.0.1"},
            {"version-planned": "prod2", "version-recorded": "prod2", "version-mixed": "production"},
            "2.0.1 runs, the plan starts from 2.0.0",
        ),
        (
            {"version": None},
            {"unread": "prod2", "version-mixed": "production"},
            "the running version could not be read",
        ),
        (
            {"version": "two"},
            {"version-planned": "prod2", "version-recorded": "prod2", "version-mixed": "production"},
            "two",
        ),
        (
            {"modules": {"party": "2.0", "stock": "2.0"}},
            {"module-missing": "prod2/sale", "module-unknown": "prod2/stock"},
            "the plan expects module sale, it is not active",
        ),
        (
            {"customisations": {}},
            {"customisation-missing": "prod2/own"},
            "own is expected and not there",
        ),
        (
            {"customisations": {"own": {"digest": "aa"}, "odd": {"digest": "b"}}},
            {"customisation-unknown": "prod2/odd"},
            "odd is on neither plan nor record",
        ),
        (
            {"customisations": {"own": {"digest": "bb"}}},
            {"customisation-mixed": "production/own"},
            "own is not the same on every host (prod1: aa, prod2: bb)",
        ),
        (
            {"settings": {"f": {"values": {"web.listen": "0.0.0.0:81", "db.uri": "pg://u:pw@h/d"}}}},
            {"setting-differs": "prod2/web.listen"},
            "web.listen is '0.0.0.0:81', the plan expects '0.0.0.0:80'",
        ),
        (
            {"settings": {"f": {"values": {"web.listen": "0.0.0.0:80", "db.uri": "pg://u:pw@other/d"}}}},
            {"setting-mixed": "production/db.uri"},
            "db.uri differs between hosts (prod1: 'pg://(hidden)@h/d', prod2: 'pg://(hidden)@other/d')",
        ),
        (
            {"integrations": {"feed": {"endpoint": "https://x/", "schedule": "running"}}},
            {"integration-endpoint": "prod2/feed"},
            "feed speaks to https://x/, the CMDB records https://x/rpc/",
        ),
        (
            {"integrations": {"feed": {"endpoint": "https://x/rpc/", "schedule": "stopped"}}},
            {"integration-stopped": "prod2/feed"},
            "the schedule of feed is stopped",
        ),
        (
            {"integrations": {**REPORT["integrations"], "odd": {"endpoint": "y"}}},
            {"integration-unknown": "prod2/odd"},
            "odd is on neither plan nor record",
        ),
    ],
)
def test_each_difference_is_a_finding(changed: dict[str, Any], keys: dict[str, str], text: str) -> None:
    """On one of production's two hosts. What then differs from training is told beside it."""
    findings = [f for f in found("prod2", **changed) if f.key != "discovery-differs-from-production"]
    assert {f.key.removeprefix("discovery-"): f.subject for f in findings} == keys
    assert any(text in finding.summary for finding in findings), [f.summary for f in findings]
    assert {f.key for f in findings} <= set(FINDINGS)


def test_a_version_written_otherwise_is_no_difference() -> None:
    assert compare("prod1", "prod2", version="2.0") == []


def test_a_host_without_a_report_is_told() -> None:
    findings = differences(PLAN, records=RECORDS, reports=dict.fromkeys(HOSTS[:3], REPORT))
    assert [(f.key, f.subject) for f in findings] == [("discovery-unread", "prod2")]
    assert inhibits(findings[0])


def test_an_environment_the_cmdb_does_not_have_is_told() -> None:
    assert compare(records={**RECORDS, "training": None}) == [("discovery-record-missing", "training")]


def test_an_integration_that_runs_on_one_host_is_there() -> None:
    assert compare("prod2", integrations={}) == []


def test_an_integration_that_runs_nowhere_is_missing() -> None:
    assert ("discovery-integration-missing", "production/feed") in compare("prod1", "prod2", integrations={})


def test_a_test_environment_that_is_not_like_production_is_told() -> None:
    """The old integration in production alone: training's acceptance proves nothing about it."""
    old = {"feed": {"endpoint": "https://prod.example/", "schedule": "running"}}
    findings = found("prod1", "prod2", integrations=old)
    told = [f for f in findings if f.key == "discovery-differs-from-production"]
    assert [(f.subject, f.summary) for f in told] == [
        ("training/integration feed", "integration feed: calls /rpc/ here, calls / in production")
    ]
    assert not any(map(inhibits, findings))


def test_hosts_by_another_name_are_alike_when_they_call_the_same() -> None:
    other = {"feed": {"endpoint": "https://other.example/rpc/", "schedule": "running"}}
    assert [key for key, _ in compare("train1", integrations=other)] == ["discovery-integration-endpoint"]


@pytest.mark.parametrize("key", ["db.password", "api_token", "session.secret", "private_key"])
def test_the_value_of_a_secret_setting_is_not_told(key: str) -> None:
    of = plan(expected=EXPECTED | {"settings": {key: "right"}})
    findings = found("prod2", of=of, settings={"f": {"values": {key: "wrong"}}})
    assert not [f for f in findings if "wrong" in f.summary or "right" in f.summary]
    assert f"{key} is (hidden), the plan expects (hidden)" in [f.summary for f in findings]


def test_advisories_the_plan_leaves_out_are_not_told_and_inhibitors_are() -> None:
    off = {"discovery-module-unknown": "known", "discovery-module-missing": "no matter"}
    keys = {check.key for check in CATALOGUE.at(CheckStage.ANALYSIS, off=off)}
    assert "discovery-module-missing" in keys
    assert "discovery-module-unknown" not in keys


def test_a_plan_that_names_no_modules_compares_none() -> None:
    of = plan(expected={k: v for k, v in EXPECTED.items() if k != "modules"})
    assert [k for k, _ in compare("prod1", "prod2", "train1", of=of, modules={"else": "1"})] == []


def test_keys_and_subjects_stay_the_same_from_run_to_run() -> None:
    changed: dict[str, Any] = {"version": "2.0.1", "modules": {}, "integrations": {"b": {}, "a": {}}}
    assert compare("prod2", **changed) == compare("prod2", **changed)
    assert len(set(compare("prod2", **changed))) == len(compare("prod2", **changed))
