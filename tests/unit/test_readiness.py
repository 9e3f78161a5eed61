"""Readiness: each fact that is wrong, and each that was not read, is a "no" of the check that looks at it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from changeover.adapters.check_files import load_catalogue
from changeover.domain.analysis import KEYS as ANALYSIS_CHECKS
from changeover.domain.check import Catalogue, CheckStage
from changeover.domain.estate import EstateEnvironment
from changeover.domain.facts import HostFacts, Learnt, ReadinessFacts, RestorePoint, proven_restore_points
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Plan
from changeover.domain.readiness import readiness_gate
from changeover.domain.readiness_checks import ENVIRONMENT_CHECKS, HOST_CHECKS
from changeover.domain.record import Mark, MarkKind
from changeover.domain.release import Resources
from changeover.domain.window import Occurrence
from changeover.settings import load
from tests.support.world import estate, plan, release

GIB = 1 << 30
NOW = datetime(2026, 8, 14, 13, 0, tzinfo=UTC)
ROOT, STATE = "/srv/app", "/srv/state"
RECORD = EstateEnvironment.model_validate(
    next(e for e in estate().environments if e.name == "production").model_dump()
    | {
        "customisations": [{"name": "own"}],
        "integrations": [{"name": "feed", "kind": "rpc", "endpoint": "https://x/"}],
    }
)
PLAN = plan(expected={"customisations": ["own"], "integrations": ["feed"]})
PROBE = HostFacts(
    host="",
    reachable=True,
    python="3.11.2",
    clock_offset=timedelta(milliseconds=-40),
    writable={ROOT: True, STATE: True},
    free_bytes={ROOT: 40 * GIB, STATE: 40 * GIB, "/tmp": 4 * GIB},
    total_bytes={ROOT: 100 * GIB, STATE: 100 * GIB, "/tmp": 8 * GIB},
    free_inodes={ROOT: 900_000, STATE: 900_000, "/tmp": 100_000},
    total_inodes={ROOT: 1_000_000, STATE: 1_000_000, "/tmp": 200_000},
    memory_bytes=8 * GIB,
    memory_available_bytes=4 * GIB,
    load=0.5,
    processors=2,
)
REPORT: Mapping[str, Any] = {
    "application": "tracker",
    "version": "2.0.0",
    "services": {"web": "running"},
    "customisations": {"own": {"version": "1", "digest": "d"}},
    "integrations": {"feed": {"endpoint": "https://x/", "schedule": "running"}},
    "sizes": {"database_bytes": 2 * GIB, "copies": {"/var/lib/db": 1}},
    "free": {"/var/lib/db": {"bytes": 9 * GIB, "total_bytes": 20 * GIB, "inodes": 50_000, "total_inodes": 90_000}},
    "lock": None,
    "marker": None,
}
CATALOGUE = load_catalogue(load({}).checks)
NOTHING_MET = Learnt()


def ask(
    *,
    probe: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    points: Mapping[str, RestorePoint] | None = None,
    on: str = "prod2",
    of: Plan = PLAN,
    record: EstateEnvironment = RECORD,
    stage: CheckStage = CheckStage.READINESS,
    catalogue: Catalogue = CATALOGUE,
    learnt: Learnt | None = NOTHING_MET,
    certificates: dict[str, list[dict[str, Any]]] | None = None,
    night: Occurrence | None = None,
    **requires: Any,
) -> GateResult:
    """Both hosts are ready, except for what is changed on one of them."""
    names = [host.name for host in record.hosts]
    probes = {name: replace(PROBE, host=name) for name in names}
    reports: dict[str, Mapping[str, Any]] = dict.fromkeys(names, REPORT)
    probes[on] = replace(probes[on], **(probe or {}))
    reports[on] = {k: v for k, v in {**REPORT, **(report or {})}.items() if v != "absent"}
    proven = dict.fromkeys(names, RestorePoint("r-preparation", NOW - timedelta(hours=3)))
    facts = ReadinessFacts("run-1", NOW, probes, reports, proven if points is None else points)
    read = {name: [] for name in names} if certificates is None else certificates
    facts = replace(facts, learnt=learnt, certificates=read, night=night)
    wanted = release()
    return readiness_gate(
        "readiness",
        "production",
        plan=of,
        release=wanted.model_copy(update={"requires": wanted.requires.model_copy(update=requires)}),
        record=record,
        hosts=record.hosts,
        facts=facts,
        catalogue=catalogue,
        stage=stage,
    )


def said_no(gate: GateResult) -> dict[tuple[str, str], CheckResult]:
    return {(result.key, result.host): result for result in gate.results if result.state is not CheckState.PASSED}


def test_a_ready_environment_passes_every_check_on_every_host() -> None:
    gate = ask()
    assert gate.passed, gate.reasons()
    on_hosts = {(k, h) for k in HOST_CHECKS for h in ("prod1", "prod2")}
    assert set(gate.declared) == on_hosts | {(k, "") for k in ENVIRONMENT_CHECKS}
    assert gate.hosts_seen == ("prod1", "prod2")
    assert gate.findings == ()


def test_catalogue_and_code_have_the_same_checks() -> None:
    """A check without an implementation would never be asked; one without an entry has neither weight nor remedy.

    Those of release records: tests/unit/test_release_analysis.py.
    """
    on_hosts = {check.key for check in CATALOGUE.checks if check.stages != (CheckStage.RELEASE,)}
    assert on_hosts == {*HOST_CHECKS, *ENVIRONMENT_CHECKS, *ANALYSIS_CHECKS}
    asked = {check.key for check in CATALOGUE.checks if {CheckStage.BASELINE, CheckStage.READINESS} & {*check.stages}}
    assert asked == {*HOST_CHECKS, *ENVIRONMENT_CHECKS}
    scopes = {check.key: check.scope for check in CATALOGUE.checks if check.key in asked}
    assert scopes == dict.fromkeys(HOST_CHECKS, "host") | dict.fromkeys(ENVIRONMENT_CHECKS, "environment")


# What is changed on prod2 → the check that says no there, and what it must say.
NO: list[tuple[dict[str, Any], str, str]] = [
    ({"probe": {"writable": {ROOT: True, STATE: False}}}, "host-privilege", "/srv/state is not writable"),
    ({"probe": {"writable": {STATE: True}}}, "host-privilege", "/srv/app could not be tried"),
    ({"probe": {"python": None}}, "host-python", "could not be read"),
    ({"probe": {"python": "3.6.8"}, "python": ">=3.9"}, "host-python", "Python 3.6.8 found, >=3.9 wanted"),
    ({"probe": {"python": "three"}, "python": ">=3.9"}, "host-python", "cannot be held against"),
    ({"report": {"services": {"web": "stopped", "cron": "running"}}}, "services-running", "web is stopped"),
    ({"report": {"services": {}}}, "services-running", "no service was reported"),
    ({"report": {"services": "absent"}}, "services-running", "no service was reported"),
    ({"report": {"sizes": "absent"}}, "disk-space", "the size of the database could not be read"),
    ({"report": {"sizes": {"database_bytes": -1}}}, "disk-space", "the size of the database could not be read"),
    (
        {"report": {"sizes": {"database_bytes": 5}}},
        "disk-space",
        "the role did not say where it copies whole databases to",
    ),
    (
        {"report": {"sizes": {"database_bytes": 5, "copies": None, "copies_fault": "ask its keeper"}}},
        "disk-space",
        "ask its keeper",
    ),
    (
        {"report": {"sizes": {"database_bytes": 5, "copies": {"/data": 1}}}},
        "disk-space",
        "/data: free space could not be read",
    ),
    ({"report": {"lock": {"run": "run-0", "taken_at": "01:00Z"}}}, "host-lock", "held by run run-0 since 01:00Z"),
    ({"probe": {"lock": {"unreadable": "?"}}}, "host-lock", "held by run unknown"),
    ({"report": {"lock": "absent"}}, "host-lock", "could not be read"),
    (
        {"report": {"marker": {"run": "run-0", "phase": "implementing", "at": "01:00Z"}}},
        "host-marker",
        "run run-0 left",
    ),
    ({"report": {"marker": {"run": "run-0"}}}, "host-marker", "in an unknown phase"),
    ({"report": {"marker": "absent"}}, "host-marker", "could not be read"),
    ({"report": {"customisations": {}}}, "customisations-expected", "customisation own is missing"),
    (
        {"report": {"customisations": {"own": {}, "strange": {}}}},
        "customisations-expected",
        "customisation strange is on neither plan nor record",
    ),
    ({"report": {"customisations": "absent"}}, "customisations-expected", "could not be read"),
    ({"probe": {"free_bytes": {**PROBE.free_bytes, "/tmp": 0}}}, "disk-space", "/tmp: 0.000 GiB free"),
    (
        {"probe": {"total_bytes": {ROOT: 100 * GIB, STATE: 100 * GIB}}},
        "disk-space",
        "/tmp: free space could not be read",
    ),
    (
        {"probe": {"free_inodes": {**PROBE.free_inodes, ROOT: 99_999}}},
        "disk-inodes",
        "99999 inodes free, 100000 wanted",
    ),
    (
        {"probe": {"free_inodes": {**PROBE.free_inodes, "/tmp": 19_999}}},
        "disk-inodes",
        "/tmp: 19999 inodes free, 20000",
    ),
    ({"probe": {"total_inodes": {}}}, "disk-inodes", "/srv/app: free inodes could not be read"),
]


@pytest.mark.parametrize(("changed", "key", "message"), NO)
def test_a_wrong_or_unread_fact_is_a_no_on_that_host(changed: dict[str, Any], key: str, message: str) -> None:
    gate = ask(**changed)
    assert said_no(gate).keys() == {(key, "prod2")}
    assert message in said_no(gate)[key, "prod2"].message
    assert not gate.passed


@pytest.mark.parametrize(
    ("version", "found", "path"),
    [
        ("2.1.0", "2.1.0 found, 2.0.0 planned", ""),
        ("2.6.0", "already on 2.6.0: no upgrade is needed", "already on 2.6.0"),
        ("2.7", "2.7 found", "a downgrade is never an upgrade"),
        ("1.9", "1.9 found", "the vendor supports coming from >=2.0,<2.6"),
        ("v2.0.0", "not written as a plain pep440 version", "not written as a plain"),
        (None, "could not be read", "could not be read"),
    ],
)
def test_the_version_that_runs_decides(version: str | None, found: str, path: str) -> None:
    no = said_no(ask(report={"version": version}))
    assert found in no["version-found", "prod2"].message
    assert ("version-path", "prod2") in no if path else ("version-path", "prod2") not in no
    assert not path or path in no["version-path", "prod2"].message


def test_a_version_written_otherwise_is_the_same_version() -> None:
    assert ask(report={"version": "2.0"}).passed


@pytest.mark.parametrize("lost", [{"reachable": False, "error": "Connection refused"}, {"reachable": False}])
def test_an_unreachable_host_is_not_seen(lost: dict[str, Any]) -> None:
    """Whatever Ansible may have reported before."""
    gate = ask(probe={**lost})
    assert gate.hosts_seen == ("prod1",)
    assert lost.get("error", "could not be reached") in said_no(gate)["host-reachable", "prod2"].message
    assert "host prod2 was planned and not seen" in gate.reasons()


def test_a_host_without_facts_fails_every_inhibitor_and_not_the_others() -> None:
    facts = ReadinessFacts("run-1", NOW, {"prod1": replace(PROBE, host="prod1")}, {"prod1": REPORT}, {})
    facts = replace(facts, certificates={"prod1": []})
    gate = readiness_gate(
        "readiness", "production", plan=PLAN, release=release(), record=RECORD, hosts=RECORD.hosts, facts=facts,
        catalogue=CATALOGUE,
    )  # fmt: skip
    on_second = {key for key, host in said_no(gate) if host == "prod2"}
    assert on_second == set(HOST_CHECKS)
    assert {key for key, host in said_no(gate) if host == "prod1"} == {"restore-point-proven", "restore-point-age"}


def test_a_report_of_another_shape_is_an_error_that_blocks() -> None:
    gate = ask(report={"free": ["/srv/app"], "marker": "implementing"})
    no = said_no(gate)
    assert {key: no[key].state for key in no} == {
        ("disk-space", "prod2"): CheckState.ERROR,
        ("disk-inodes", "prod2"): CheckState.ERROR,
        ("host-marker", "prod2"): CheckState.ERROR,
    }
    assert "cannot be understood" in no["host-marker", "prod2"].message


DATA = f"{ROOT}/db"
"""Where the database lies; by its device on the file system of ROOT."""


def of_ten(free: float, database: int = GIB) -> dict[str, Any]:
    """A report of ROOT and of the database below it, both on one file system of 10 GiB."""
    space = {
        "bytes": int(free * GIB),
        "total_bytes": 10 * GIB,
        "inodes": 900_000,
        "total_inodes": 1_000_000,
        "device": 7,
    }
    return {"sizes": {"database_bytes": database, "copies": {DATA: 1}}, "free": {ROOT: space, DATA: space}}


# C13: 3 GiB are needed on a file system of 10 GiB, of which 5 % stay free.
@pytest.mark.parametrize(
    ("free", "ours", "go"),
    [
        (3.6, 0, True),
        (3.5, 0, True),
        (3.49, 0, False),
        (3.3, 0, False),
        (3.3, 0.4, True),
        (3.3, 0.19, False),
    ],
)
@pytest.mark.parametrize("told_by", ["probe", "report"])
def test_disk_edges(free: float, ours: float, go: bool, told_by: str) -> None:
    left = {f"{ROOT}/restore_points/old.part": int(ours * GIB), "/elsewhere": 5 * GIB}
    probe: dict[str, Any] = {"total_bytes": {**PROBE.total_bytes, ROOT: 10 * GIB}}
    report = of_ten(free)
    (probe if told_by == "probe" else report)["leftovers"] = left
    gate = ask(probe=probe, report=report, disk_factor=3.0)
    assert gate.passed is go
    if not go:
        assert f"{free:.3f} GiB free" in gate.reasons()[0]
        assert "3.500 GiB wanted (3.000 GiB for the upgrade, 0.500 GiB kept free)" in gate.reasons()[0]


def test_room_that_the_vendor_asks_for_beside_the_data_is_added() -> None:
    room = Resources(disk_mib=1024, source="the vendor's guide")
    for free, go in ((4 * GIB, True), (4 * GIB - 1, False)):
        probe = {"free_bytes": {**PROBE.free_bytes, ROOT: free}, "total_bytes": {**PROBE.total_bytes, ROOT: 0}}
        sizes: dict[str, Any] = {"report": {"sizes": {"database_bytes": GIB, "copies": {ROOT: 1}}}, "disk_factor": 3.0}
        gate = ask(probe=probe, resources=room, **sizes)
        assert gate.passed is go


def test_one_byte_decides() -> None:
    exact = 3 * GIB + GIB // 2
    for free, go in ((exact, True), (exact - 1, False)):
        probe = {"total_bytes": {**PROBE.total_bytes, ROOT: 10 * GIB}}
        assert ask(probe=probe, report=of_ten(free / GIB), disk_factor=3.0).passed is go


@pytest.mark.parametrize(("free", "go"), [(5.0, True), (4.99, False)])
def test_whole_databases_want_their_room_where_they_are_restored(free: float, go: bool) -> None:
    """Of 3 x 2 GiB the restore point lies below app_root, and 4 GiB (with 5 % of 20) on the database's file system."""
    space = {"bytes": int(free * GIB), "total_bytes": 20 * GIB, "inodes": 50_000, "total_inodes": 90_000, "device": 9}
    probe = {"free_bytes": {**PROBE.free_bytes, ROOT: 7 * GIB}, "devices": {ROOT: 1, STATE: 1, "/tmp": 2}}
    gate = ask(report={"free": {"/var/lib/db": space}}, probe=probe, disk_factor=3.0)
    assert gate.passed is go
    if not go:
        (reason,) = gate.reasons()
        assert (
            "/var/lib/db: 4.990 GiB free, 5.000 GiB wanted (4.000 GiB for the upgrade, 1.000 GiB kept free)" in reason
        )


def test_two_paths_of_one_file_system_add_up() -> None:
    """2 GiB below app_root and 4 GiB of the database: either alone would fit."""
    space = {"bytes": 10 * GIB, "total_bytes": 100 * GIB, "inodes": 900_000, "total_inodes": 1_000_000}
    for device, go in ((1, False), (2, True)):
        report = {"free": {ROOT: space | {"device": 1}, "/var/lib/db": space | {"device": device}}}
        gate = ask(report=report, disk_factor=3.0)
        assert gate.passed is go
    gate = ask(report={"free": {ROOT: space | {"device": 1}, "/var/lib/db": space | {"device": 1}}}, disk_factor=3.0)
    assert f"{ROOT}, /var/lib/db: 10.000 GiB free, 11.000 GiB wanted (6.000 GiB" in gate.reasons()[0]


def test_a_host_that_restores_no_database_needs_no_room_for_one() -> None:
    """The database of its environment is migrated from another host."""
    assert ask(report={"sizes": {"database_bytes": 2 * GIB, "copies": {}}}).passed


def test_leftovers_count_on_their_own_file_system_only() -> None:
    """A mount below app_root is another one."""
    left = f"{ROOT}/restore_points/old.part"
    for device, go in ((7, True), (8, False)):
        probe = {
            "total_bytes": {**PROBE.total_bytes, ROOT: 10 * GIB}, "leftovers": {left: GIB}, "devices": {left: device},
        }  # fmt: skip
        assert ask(probe=probe, report=of_ten(3.0), disk_factor=3.0).passed is go


def test_the_need_is_the_data_times_the_releases_factor_rounded_up() -> None:
    """A factor is taken as it is written: 1.1 is not a little more."""
    for free, go in ((1_100_000_000 + 5, True), (1_100_000_000 + 4, False)):
        probe = {"free_bytes": {**PROBE.free_bytes, ROOT: free}, "total_bytes": {**PROBE.total_bytes, ROOT: 100}}
        sizes = {"database_bytes": 1_000_000_000, "copies": {ROOT: 1}}
        gate = ask(probe=probe, report={"sizes": sizes}, disk_factor=1.1)
        assert gate.passed is go


def test_of_two_readings_the_smaller_counts() -> None:
    report = {"free": {ROOT: {"bytes": GIB, "total_bytes": 100 * GIB, "inodes": 900_000, "total_inodes": 1_000_000}}}
    assert said_no(ask(report=report)).keys() == {("disk-space", "prod2")}


def test_a_file_system_that_counts_no_inodes_has_enough() -> None:
    counts = dict.fromkeys(PROBE.total_inodes, 0)
    assert ask(probe={"free_inodes": counts, "total_inodes": counts}).passed


def test_a_host_whose_record_names_no_directories_is_refused() -> None:
    bare = RECORD.hosts[1].model_copy(update={"variables": {}})
    gate = ask(record=RECORD.model_copy(update={"hosts": (RECORD.hosts[0], bare)}))
    assert "the CMDB names no app_root and no host_state_dir" in said_no(gate)["host-privilege", "prod2"].message


def test_a_restore_point_must_be_on_record_and_readable() -> None:
    good, unread = RestorePoint("r", NOW), RestorePoint("r", NOW, readable=False)
    assert "no restore point" in said_no(ask(points={"prod1": good}))["restore-point-proven", "prod2"].message
    no = said_no(ask(points={"prod1": good, "prod2": unread}))
    assert "was not proven readable" in no["restore-point-proven", "prod2"].message


def test_the_baseline_is_asked_before_it_has_a_restore_point() -> None:
    gate = ask(points={}, stage=CheckStage.BASELINE)
    assert gate.passed
    assert not [key for key, _ in gate.declared if key.startswith("restore-point")]


def test_marks_of_an_environment_count_for_each_of_its_hosts_and_the_newest_counts() -> None:
    def mark(hour: int, host: str = "", **data: Any) -> Mark:
        return Mark("r", MarkKind.RESTORE_POINT_PROVEN, NOW + timedelta(hours=hour), "production", host, data)

    other = Mark("r", MarkKind.RESTORE_POINT_TAKEN, NOW, "production")
    points = proven_restore_points((mark(0, label="a"), other, mark(1, "b", label="b", readable=False)), ("a", "b"))
    assert points == {"a": RestorePoint("a", NOW), "b": RestorePoint("b", NOW + timedelta(hours=1), readable=False)}


@pytest.mark.parametrize(
    ("changed", "key", "message"),
    [
        ({"probe": {"clock_offset": timedelta(seconds=-1.001)}}, "clock-offset", "-1.001 s off, 1 s at most"),
        ({"probe": {"clock_offset": None}}, "clock-offset", "could not be read"),
        ({"probe": {"memory_available_bytes": GIB // 5}}, "host-memory", "0.200 GiB of 8.000 GiB memory available"),
        ({"probe": {"memory_bytes": None}}, "host-memory", "could not be read"),
        ({"probe": {"load": 4.01}}, "host-load", "load 4.01 on 2 processors, 200 % at most"),
        ({"probe": {"processors": 0}}, "host-load", "could not be read"),
    ],
)
def test_an_advisory_no_is_told_and_does_not_stop_the_upgrade(changed: dict[str, Any], key: str, message: str) -> None:
    gate = ask(**changed)
    assert gate.passed
    assert [(f.key, f.subject) for f in gate.findings] == [(key, "prod2")]
    assert message in gate.findings[0].summary
    assert gate.findings[0].remediation == CATALOGUE[key].remediation
    left_out = ask(**changed, of=PLAN.model_copy(update={"checks_off": {key: "agreed"}}))
    assert left_out.passed
    assert left_out.findings == ()
    assert key not in {declared for declared, _ in left_out.declared}


def test_at_the_edges_of_advisories_all_is_well() -> None:
    probe = {"clock_offset": timedelta(seconds=1), "load": 4.0, "memory_available_bytes": 8 * GIB // 20 + 1}
    assert ask(probe=probe).findings == ()


def test_a_certificate_is_held_against_the_night_that_was_agreed() -> None:
    """It was long enough when the analysis read it, and the night is three weeks later."""
    closes = NOW + timedelta(days=21)
    night = Occurrence(closes.date(), closes - timedelta(hours=4), closes, "Europe/Berlin")
    read = {"prod1": [{"path": "/a", "not_after": int((closes + timedelta(days=30)).timestamp())}]}
    read["prod2"] = [{"path": "/b", "not_after": int((closes + timedelta(days=30, seconds=-1)).timestamp())}]
    (found,) = ask(certificates=read, night=night).findings
    assert (found.key, found.subject) == ("certificate-expiry", "prod2")
    assert found.summary == (
        "/b is valid until 2026-10-04, 29 days after the window of production closes "
        "(2026-09-04 09:00Z to 2026-09-04 13:00Z); 30 days after it are wanted; as the analysis read it"
    )
    assert ask(certificates=read).findings == ()
    (unread,) = ask(certificates={"prod1": []}).findings
    assert unread.summary == "the analysis of this run read no certificates here"


def test_an_old_restore_point_is_told() -> None:
    old = RestorePoint("r", NOW - timedelta(hours=24, seconds=1))
    gate = ask(points={"prod1": old, "prod2": RestorePoint("r", NOW - timedelta(hours=24))})
    assert [(f.key, f.subject) for f in gate.findings] == [("restore-point-age", "prod1")]
    assert gate.passed


def test_an_inhibitor_cannot_be_left_out() -> None:
    of = PLAN.model_copy(update={"checks_off": {"disk-space": "no time"}})
    assert not ask(of=of, report={"sizes": "absent"}).passed


def test_our_own_lock_and_finished_work_of_others_are_no_obstacle() -> None:
    assert ask(report={"lock": {"run": "run-1"}, "marker": {"run": "run-1", "phase": "implementing"}}).passed
    for phase in ("committed", "backed_out", "stood_down"):
        assert ask(report={"marker": {"run": "run-0", "phase": phase}}).passed


def test_an_integration_belongs_to_the_environment_not_to_a_host() -> None:
    """One host runs it: enough. None does, or it is stopped, or a host cannot say: no."""
    assert ask(report={"integrations": {}}).passed
    cases: list[tuple[dict[str, Any], str]] = [
        ({"report": {"integrations": "absent"}}, "not reported by prod2"),
        ({"report": {"integrations": {"feed": {"schedule": "stopped"}}}}, "feed is stopped on prod2"),
        ({"report": {"integrations": {"other": {}}}}, "integration other is on neither plan nor record"),
        ({"of": plan(expected={"integrations": ["feed", "bank"], "customisations": ["own"]})}, "bank is missing"),
    ]
    for changed, message in cases:
        no = said_no(ask(**changed))
        assert no.keys() == {("integrations-expected", "")}
        assert message in no["integrations-expected", ""].message


def test_what_other_clients_met_meanwhile_holds_at_the_start() -> None:
    gate = ask(learnt=Learnt(holds=("test_round: failed at acceptance of tracker 2.6.0 for another client",)))
    assert gate.reasons() == (
        "release-hold: failed: test_round: failed at acceptance of tracker 2.6.0 for another client",
    )
    assert ask(learnt=Learnt(waived=("W-1",))).passed


def test_a_candidate_check_that_is_not_known_to_pass_here_is_told() -> None:
    gate = ask(learnt=Learnt(candidates=(("test_round: not asked here yet", False), ("a: passed here", True))))
    assert gate.passed
    (found,) = gate.findings
    assert found.key == "release-candidate-check"
    assert found.summary == "test_round: not asked here yet; a: passed here"
    assert ask(learnt=Learnt(candidates=(("a: passed here", True),))).findings == ()


def test_what_other_clients_met_has_to_be_known() -> None:
    gate = ask(learnt=None)
    assert [key for key, _ in said_no(gate)] == ["release-hold", "release-candidate-check"]
    assert not gate.passed


def test_a_stage_without_checks_is_not_passed() -> None:
    gate = ask(catalogue=Catalogue(checks=()))
    assert "nothing checked: the gate declares no check" in gate.reasons()


def test_a_check_nobody_implements_blocks() -> None:
    new = CATALOGUE["host-lock"].model_copy(update={"key": "moon-phase"})
    gate = ask(catalogue=Catalogue(checks=(*CATALOGUE.checks, new)))
    assert "no check 'moon-phase' is implemented" in said_no(gate)["moon-phase", "prod1"].message
