"""A plan against its surroundings: release record, role, suites, statement of work, calendar."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from changeover.adapters.release_files import load_release
from changeover.adapters.role_files import load_role
from changeover.adapters.shelf import DiskShelf
from changeover.domain.lane import ENTRY_POINTS
from changeover.errors import PlanError
from changeover.settings import Settings, load
from changeover.usecases.check_plans import CheckedPlan, CheckReport, check_plans, content_faults
from tests.support.content import RELEASE, make, meta, plan_with, put

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
def content(tmp_path: Path) -> Settings:
    return make(tmp_path)


def check(content: Settings, now: datetime = NOW) -> CheckReport:
    return check_plans([content.plans], DiskShelf(content), now=now)


def told(content: Settings, now: datetime = NOW) -> list[str]:
    """`line: path: message` of the one plan, places made short."""
    (plan,) = check(content, now).plans
    return [f"{f.line}: {f.path}: {f.message}".replace(f"{content.project}/", "") for f in plan.faults]


def spoil(content: Settings, *changes: tuple[str, str]) -> None:
    put(content.plans / "acme/app-2.yaml", plan_with(*changes))


def test_a_complete_plan_is_in_order(content: Settings) -> None:
    report = check(content)
    assert told(content) == []
    assert report.ok
    assert len(report.plans[0].digest) == 64


@pytest.mark.parametrize("name", ["nordwind/tryton-8.0", "lindgren/roundup-2.6"])
def test_the_shipped_plans_are_in_order(name: str) -> None:
    settings = load({})
    (plan,) = check_plans([settings.plans / f"{name}.yaml"], DiskShelf(settings), now=datetime.now(UTC)).plans
    assert [str(fault) for fault in plan.faults] == []


def test_two_plans_of_one_name_in_airflow_are_told_of_each_other(content: Settings) -> None:
    """Airflow would show one of them; which is no matter of the file names alone, for both names may hold dots."""
    one = plan_with(("upgrade: app-2", "upgrade: app.2"))
    two = plan_with(("client: acme", "client: acme.app"), ("upgrade: app-2", 'upgrade: "2"'))
    (content.plans / "acme/app-2.yaml").unlink()
    put(content.plans / "acme/app.2.yaml", one)
    put(content.plans / "acme.app/2.yaml", two)
    plans = check(content).plans
    told = {
        Path(plan.file).name: [f"{f.path}: {f.message}" for f in plan.faults if f.path == "upgrade"] for plan in plans
    }
    assert told == {
        "2.yaml": [f"upgrade: {content.plans}/acme/app.2.yaml is acme.app.2 in Airflow too; rename one upgrade"],
        "app.2.yaml": [f"upgrade: {content.plans}/acme.app/2.yaml is acme.app.2 in Airflow too; rename one upgrade"],
    }


def test_one_bad_plan_hides_no_other(content: Settings) -> None:
    put(content.plans / "acme/bad.yaml", "a: [")
    put(content.plans / "acme/worse.yaml", b"\xff\xfe")
    report = check(content)
    assert {Path(plan.file).name: plan.ok for plan in report.plans} == {
        "app-2.yaml": True,
        "bad.yaml": False,
        "worse.yaml": False,
    }
    assert not report.ok


def test_nothing_checked_is_not_in_order() -> None:
    assert not CheckReport(()).ok


def test_the_json_form(content: Settings) -> None:
    spoil(content, ("name: training", "name: trainin"))
    document = json.loads(json.dumps(check(content).as_json()))
    assert document["schema_version"] == 1
    assert document["ok"] is False
    (plan,) = document["plans"]
    assert set(plan) == {"file", "ok", "digest", "client", "upgrade", "faults", "notes"}
    assert (plan["client"], plan["upgrade"]) == ("acme", "app-2")
    assert plan["faults"] == [
        {
            "file": str(content.plans / "acme/app-2.yaml"),
            "line": 26,
            "path": "environments.1.name",
            "message": "'trainin' is not covered by SOW-1, which covers baseline, training, production; "
            "did you mean 'training'?",
        },
        {
            "file": str(content.plans / "acme/app-2.yaml"),
            "line": 44,
            "path": "support_contract.environments",
            "message": "SUP-1 does not cover trainin; it covers training, production",
        },
    ]


# ---- release record


def test_a_missing_release_record_is_told_with_those_that_exist(content: Settings) -> None:
    spoil(content, ("release: app/1.10", "release: app/1.11"))
    assert told(content) == [
        "8: release: releases/app/1.11.yaml: there is no release record 'app/1.11'; known: app/1.10"
    ]


def test_faults_of_the_release_record_are_told_at_the_line_that_names_it(content: Settings) -> None:
    put(content.releases / "app/1.10.yaml", RELEASE.replace('version: "1.10"', "version: 1.10"))
    assert told(content) == [
        (
            "8: release: releases/app/1.10.yaml:4: version: 1.10 without quotes is a number, 1.1, to YAML; "
            "text is meant here, write '1.10'"
        )
    ]


def test_a_release_record_says_what_its_path_says(content: Settings) -> None:
    put(content.releases / "app/1.10.yaml", RELEASE.replace('release: "1.10"', 'release: "1.9"'))
    assert told(content) == ["8: release: releases/app/1.10.yaml:3: release: is '1.9', and the file is app/1.10.yaml"]


def test_a_range_that_is_none_is_told(content: Settings) -> None:
    put(content.releases / "app/1.10.yaml", RELEASE.replace(">=1.8,<1.10", "from 1.8"))
    (fault,) = told(content)
    assert fault.startswith("8: release: releases/app/1.10.yaml:7: supported_from.0: not a version range: ")


DOWNGRADE = (
    "7: to_version: 1.10 is older than 1.11: a downgrade is never an upgrade; "
    "Say under `downgrade` in the plan why it is wanted, if the vendor supports it."
)
FAR = (
    "6: from_version: the vendor supports coming from >=1.8,<1.10, not from 1.2; "
    "Bring the installation to one of these versions first."
)
VERSIONS = {
    "downgrade": ('"1.9"', '"1.11"', DOWNGRADE),
    "far-away": (
        '"1.9"',
        '"1.2"',
        FAR,
    ),
    "other-target": (
        '"1.10"\nrel',
        '"1.10.1"\nrel',
        "7: to_version: the plan wants 1.10.1, the release record describes 1.10",
    ),
    "no-scheme": (
        '"1.9"',
        '"4.3.1-SNAPSHOT"',
        (
            "6: from_version: '4.3.1-SNAPSHOT' is not a pep440 version: it is numbers, then aN, bN or rcN, .postN, "
            ".devN, +local; Write the exact version as the vendor does."
        ),
    ),
    "same": ('"1.9"', '"1.10.0"', "7: to_version: already on 1.10: no upgrade is needed"),
}


@pytest.mark.parametrize(("old", "new", "words"), VERSIONS.values(), ids=VERSIONS)
def test_versions_are_judged_by_the_release_record(content: Settings, old: str, new: str, words: str) -> None:
    spoil(content, (old, new))
    assert words in told(content)


def test_loading_a_release_record(content: Settings) -> None:
    assert load_release("app/1.10", releases=content.releases).manual_steps[0].id == "reindex"
    with pytest.raises(PlanError, match=r"there is no release record 'app/3'"):
        load_release("app/3", releases=content.releases)


# ---- role


def role(content: Settings) -> Path:
    return content.playbooks / "roles/app"


def test_a_missing_role_is_told_with_those_that_exist(content: Settings) -> None:
    spoil(content, ("application: app", "application: ap"))
    assert told(content)[0] == "5: application: playbooks/roles/ap: there is no role for 'ap'; applications: app"


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_a_role_that_lacks_an_entry_point_is_told(content: Settings, name: str) -> None:
    (role(content) / f"tasks/{name}.yml").unlink()
    who = "baseline" if name == "build" else "baseline, training, production"
    assert told(content) == [
        (
            f"5: application: the role 'app' does not offer '{name}' (tasks/{name}.yml is missing), needed by {who}; "
            "complete the role, or say under not_applicable why it does not apply"
        )
    ]


def test_an_entry_point_without_specified_arguments_is_told(content: Settings) -> None:
    put(role(content) / "meta/argument_specs.yml", "argument_specs:\n  discover: {}\n")
    assert len(told(content)) == len(ENTRY_POINTS) - 1
    assert "meta/argument_specs.yml does not specify 'back_out'" in told(content)[0]


def test_an_entry_point_that_is_not_described_is_told(content: Settings) -> None:
    lines = [line for line in meta().splitlines() if not line.startswith("  stage:")]
    put(role(content) / "meta/changeover.yml", "\n".join(lines))
    assert "meta/changeover.yml does not describe 'stage'" in told(content)[0]


def test_an_entry_point_may_be_left_out_where_the_plan_says_why(content: Settings) -> None:
    (role(content) / "tasks/quiesce.yml").unlink()
    reason = "    not_applicable: {quiesce: The service may go on}\n"
    every = [("kind: any_time, reason: agreed}\n", "kind: any_time, reason: agreed}\n" + reason)]
    spoil(content, *every, ("    sign_off: {by: [ann]}\n", "    sign_off: {by: [ann]}\n" + reason))
    assert told(content) == []


def test_one_environment_without_the_reason_still_needs_it(content: Settings) -> None:
    (role(content) / "tasks/quiesce.yml").unlink()
    reason = "    not_applicable: {quiesce: The service may go on}\n"
    spoil(content, ("    sign_off: {by: [ann]}\n", "    sign_off: {by: [ann]}\n" + reason))
    assert "needed by baseline, training;" in told(content)[0]


def test_what_proves_and_undoes_always_applies(content: Settings) -> None:
    spoil(content, ("    sign_off:", "    not_applicable: {back_out: No way back, qiesce: x}\n    sign_off:"))
    assert told(content) == [
        "37: environments.2.not_applicable.back_out: always applies: without it nothing can be proven or undone",
        "37: environments.2.not_applicable.qiesce: is not an entry point; did you mean 'quiesce'?",
    ]


META = {
    "other-application": (
        "application: app",
        "application: other",
        "1: application: is 'other', and the role is 'app'",
    ),
    "no-back-out": (
        ", back_out: Undo implement",
        "",
        "10: entry_points.implement: changes hosts and does not say how that is backed out",
    ),
    "unknown-entry": ("  verify:", "  verfy:", "11: entry_points.verfy: is not an entry point; known: "),
    "unquoted-yes": (
        "back_out: Undo stage}",
        "back_out: Undo stage, reversible: yes}",
        "6: entry_points.stage.reversible: yes without quotes is true to YAML",
    ),
    "scheme": ("version_scheme: pep440", "version_scheme: calver", "2: version_scheme: 'calver' is not "),
}


def test_batches_are_refused_where_the_role_says_that_hosts_are_changed_together(content: Settings) -> None:
    spoil(content, ("kind: production\n", "kind: production\n    batches: {sizes: [1]}\n"))
    assert check(content).ok
    put(role(content) / "meta/changeover.yml", meta() + "together: They share one database\n")
    (fault,) = told(content)
    assert "hosts of app are changed together: They share one database" in fault


def test_a_release_of_another_product_is_no_release_of_the_role(content: Settings) -> None:
    """The role would install its own application whatever the record says."""
    other = RELEASE.replace("product: app", "product: other")
    put(content.releases / "other/1.10.yaml", other)
    spoil(content, ("release: app/1.10", "release: other/1.10"))
    assert told(content) == ["8: release: the role 'app' brings releases of app alone"]
    put(role(content) / "meta/changeover.yml", meta() + "products: [app, other]\n")
    assert told(content) == []
    put(role(content) / "meta/changeover.yml", meta() + "products: any\n")
    assert told(content) == []


def test_the_role_and_the_record_read_versions_alike(content: Settings) -> None:
    put(content.releases / "app/1.10.yaml", RELEASE.replace("pep440", "debian"))
    assert "8: release: app/1.10 counts versions as debian, the role 'app' reads versions as pep440" in told(content)


@pytest.mark.parametrize(("old", "new", "words"), META.values(), ids=META)
def test_faults_of_the_roles_description_are_told(content: Settings, old: str, new: str, words: str) -> None:
    assert old in meta()
    put(role(content) / "meta/changeover.yml", meta().replace(old, new))
    assert any(
        fault.startswith(f"5: application: playbooks/roles/app/meta/changeover.yml:{words}") for fault in told(content)
    )


def test_a_role_without_description_is_told(content: Settings) -> None:
    (role(content) / "meta/changeover.yml").unlink()
    assert told(content) == ["5: application: playbooks/roles/app/meta/changeover.yml: does not exist"]


def test_loading_a_role(content: Settings) -> None:
    description = load_role("app", roles=content.playbooks / "roles")
    assert description.entry_points["implement"].back_out == "Undo implement"
    with pytest.raises(PlanError, match="there is no role for 'other'"):
        load_role("other", roles=content.playbooks / "roles")


def test_what_keeps_a_plan_from_being_presented_does_not_depend_on_the_day(content: Settings) -> None:
    """A window in the past is no reason to lose the DAG of a run; a role without its entry point is."""
    shelf = DiskShelf(content)
    (reading,) = shelf.plans([content.plans])
    assert reading.document is not None
    assert content_faults(reading.document, shelf) == ()
    (role(content) / "tasks/back_out.yml").unlink()
    (fault,) = content_faults(reading.document, shelf)
    assert fault.startswith("application: the role 'app' does not offer 'back_out'")
    (content.releases / "app/1.10.yaml").unlink()
    assert len(content_faults(reading.document, shelf)) == 2


# ---- suites, order, calendar


def test_missing_suites_are_told(content: Settings) -> None:
    (content.acceptance / "app/test_app.py").unlink()
    (content.expectations / "app/data.yaml").unlink()
    assert told(content) == [
        "5: application: there is no acceptance suite: include/acceptance/app/test_*.py",
        "5: application: there is no expectation suite: include/expectations/app/*.yaml",
    ]


DATES = {
    "signed-later": (
        "signed_on: 2026-10-02",
        "signed_on: 2026-12-01",
        "12: statement_of_work.signed_on: 2026-12-01 lies in the future; today is 2026-11-25",
    ),
    "asked-later": (
        "dated: 2026-10-01",
        "dated: 2026-12-01",
        "9: trigger.dated: 2026-12-01 lies in the future; today is 2026-11-25",
    ),
    "window-after-order": (
        "valid_until: 2027-03-31",
        "valid_until: 2026-12-05",
        "34: environments.2.window.on: 2026-12-05 to 2026-12-06 is not within SOW-1 (2026-11-01 to 2026-12-05)",
    ),
    "window-before-order": (
        "valid_from: 2026-11-01",
        "valid_from: 2026-12-06",
        "34: environments.2.window.on: 2026-12-05 to 2026-12-06 is not within SOW-1 (2026-12-06 to 2027-03-31)",
    ),
}


@pytest.mark.parametrize(("old", "new", "words"), DATES.values(), ids=DATES)
def test_dates_are_held_against_the_order_and_today(content: Settings, old: str, new: str, words: str) -> None:
    spoil(content, (old, new))
    assert told(content) == [words]


def test_a_window_is_over_at_its_closing_not_before(content: Settings) -> None:
    """It closes at 04:00 in Berlin, which is 03:00 in UTC."""
    assert told(content, datetime(2026, 12, 6, 2, 59, tzinfo=UTC)) == []
    assert told(content, datetime(2026, 12, 6, 3, 0, tzinfo=UTC)) == [
        "34: environments.2.window.on: lies in the past: the window closed at 2026-12-06 03:00Z"
    ]


def test_an_order_that_ended_is_told(content: Settings) -> None:
    assert "15: statement_of_work.valid_until: SOW-1 ended on 2027-03-31; today is 2027-04-01" in told(
        content, datetime(2027, 4, 1, tzinfo=UTC)
    )


CONTRACT = {
    "another-application": (
        "applications: [app]",
        "applications: [crm]",
        "43: support_contract.applications: SUP-1 does not cover app; it covers crm",
    ),
    "ends-before-the-night": (
        "valid_until: 2099-12-31",
        "valid_until: 2026-12-04",
        "34: environments.2.window.on: 2026-12-05 is not within support contract SUP-1 (2025-01-01 to 2026-12-04)",
    ),
    "over": (
        "valid_until: 2099-12-31",
        "valid_until: 2026-11-24",
        "46: support_contract.valid_until: SUP-1 ended on 2026-11-24; today is 2026-11-25",
    ),
    "begins-after-the-night": (
        "valid_from: 2025-01-01",
        "valid_from: 2026-12-06",
        "34: environments.2.window.on: 2026-12-05 is not within support contract SUP-1 (2026-12-06 to 2099-12-31)",
    ),
    "ends-before-it-begins": (
        "valid_from: 2025-01-01",
        "valid_from: 2100-01-01",
        "support_contract.valid_until: lies before valid_from",
    ),
}


@pytest.mark.parametrize(("old", "new", "words"), CONTRACT.values(), ids=CONTRACT)
def test_the_support_contract_has_to_cover_application_and_night(
    content: Settings, old: str, new: str, words: str
) -> None:
    spoil(content, (old, new))
    assert any(words in line for line in told(content)), told(content)


def test_an_environment_that_the_support_contract_leaves_out_is_told(content: Settings) -> None:
    spoil(content, ("applications: [app]\n  environments: [training, production]",
                    "applications: [app]\n  environments: [training]"))  # fmt: skip
    assert told(content) == ["44: support_contract.environments: SUP-1 does not cover production; it covers training"]


def test_a_contract_is_judged_beside_other_faults_and_not_where_it_is_faulty_itself(content: Settings) -> None:
    spoil(content, ("title: App 1 to 2 for Acme", "title: 5"), ("applications: [app]", "applications: [crm]"))
    lines = told(content)
    assert any("title" in line for line in lines), lines
    assert "43: support_contract.applications: SUP-1 does not cover app; it covers crm" in lines
    spoil(content, ("applications: [app]", "applications: []"))
    assert [line.split(": ")[1] for line in told(content)] == ["support_contract.applications"]


def test_a_contract_that_begins_later_is_worth_a_look(content: Settings) -> None:
    spoil(content, ("valid_from: 2025-01-01", "valid_from: 2026-11-30"))
    assert told(content) == []
    told_note = "SUP-1 begins on 2026-11-30; today is 2026-11-25: a run before that day is refused"
    assert any(told_note in str(note) for note in check(content).as_json()["plans"][0]["notes"])


def test_a_plan_without_a_support_contract_is_no_plan(content: Settings) -> None:
    text = (content.plans / "acme/app-2.yaml").read_text()
    spoil(content, (text[text.index("support_contract:") :], ""))
    assert any("support_contract" in line for line in told(content)), told(content)


def test_windows_follow_the_order_of_the_environments(content: Settings) -> None:
    later = 'window: {kind: dated, zone: Europe/Berlin, on: 2026-12-12, start: "22:00", end: "23:00"}'
    spoil(content, ("kind: training\n    window: {kind: any_time, reason: agreed}", f"kind: training\n    {later}"))
    assert told(content) == [
        (
            "34: environments.2.window.on: production comes after training in this plan, "
            "and its window is over before that one opens"
        )
    ]


def test_a_doubled_hour_is_noted_and_is_no_fault(content: Settings) -> None:
    spoil(
        content,
        ("on: 2026-12-05", "on: 2027-10-31"),
        ('"22:00"', '"02:30"'),
        ("valid_until: 2027-03-31", "valid_until: 2027-12-31"),
    )
    (plan,) = check(content).plans
    assert plan.ok
    assert [(note.line, note.path, note.message) for note in plan.notes] == [
        (
            35,
            "environments.2.window.start",
            (
                "02:30 happens twice on 2027-10-31 in Europe/Berlin; "
                "the first, 2027-10-31 00:30Z, is taken, not 2027-10-31 01:30Z; "
                "decide before the approval: on_doubled: first, second or leave_out, or another time"
            ),
        )
    ]


def test_an_order_that_begins_later_is_noted(content: Settings) -> None:
    """The plan is in order; whoever starts it today learns it here, and not from the run's first task."""
    (plan,) = check(content, datetime(2026, 10, 20, tzinfo=UTC)).plans
    assert plan.ok
    assert [(note.path, note.message) for note in plan.notes] == [
        (
            "statement_of_work.valid_from",
            "SOW-1 begins on 2026-11-01; today is 2026-10-20: a run before that day is refused",
        )
    ]


def test_a_checked_plan_without_faults_is_ok() -> None:
    assert CheckedPlan("p.yaml", "", None, ()).ok


# ---- every fault at once: a faulty part hides nothing that is wrong elsewhere


def test_faults_of_every_stage_are_told_together(content: Settings) -> None:
    """Of its form, its file's name, its role, its release record, its order and its windows."""
    spoil(
        content,
        ('from_version: "1.9"', "from_version: 1.10"),
        ("upgrade: app-2", "upgrade: app-3"),
        ("application: app", "application: ap"),
        ("release: app/1.10", "release: app/1.11"),
        ("environments: [baseline, training, production]", "environments: [baseline, training]"),
        ("on: 2026-12-05", "on: 2026-10-05"),
    )
    paths = {
        "upgrade": "is 'app-3', and the file is acme/app-2.yaml",
        "application": "there is no role for 'ap'; applications: app",
        "from_version": "1.10 without quotes is a number",
        "release": "there is no release record 'app/1.11'",
        "environments.2.name": "'production' is not covered by SOW-1",
        "environments.2.window.on": "lies in the past",
    }
    found = told(content)
    for path, message in paths.items():
        assert any(f": {path}: " in fault and message in fault for fault in found), (path, found)


def test_an_environment_with_a_fault_hides_no_fault_of_another(content: Settings) -> None:
    """And what is judged of the others keeps its place in the plan."""
    spoil(content, ("kind: training\n", "kind: trainin\n"), ("on: 2026-12-05", "on: 2026-11-05"))
    assert [fault.partition(" ")[2].partition(": ")[0] for fault in told(content)] == [
        "environments.1.kind",
        "environments.2.window.on",
    ]


def test_a_faulty_part_is_not_judged_as_if_it_were_left_out(content: Settings) -> None:
    """Entry points that do not apply are written faultily: nobody knows which ones the environments need."""
    (role(content) / "tasks/quiesce.yml").unlink()
    (role(content) / "tasks/stage.yml").unlink()
    wrong = "    not_applicable: [quiesce]\n"
    spoil(content, ("    sign_off: {by: [ann]}\n", "    sign_off: {by: [ann]}\n" + wrong))
    first, *lacking = sorted(told(content), key=lambda fault: "application" in fault)
    assert "not_applicable: must be a mapping" in first
    assert [fault.partition("needed by ")[2].partition(";")[0] for fault in lacking] == ["baseline, training"] * 2


BOTH_ENDS = {
    "out-of-range": ('"1.9"', '"1.2"', "6: from_version: the vendor supports coming from >=1.8,<1.10, not from 1.2"),
    "no-version": ('"1.9"', '"1.9-x"', "6: from_version: '1.9-x' is not a pep440 version"),
}


@pytest.mark.parametrize(("old", "new", "words"), BOTH_ENDS.values(), ids=BOTH_ENDS)
def test_both_ends_of_the_way_are_judged(content: Settings, old: str, new: str, words: str) -> None:
    spoil(content, (old, new), ('to_version: "1.10"', 'to_version: "1.12"'))
    first, second = told(content)
    assert first.startswith(words)
    assert second == ("7: to_version: the plan wants 1.12, the release record describes 1.10")


def test_no_fault_anywhere_keeps_the_rest_from_being_judged(content: Settings) -> None:
    """Each line of the plan broken in turn, in three ways: no exception, and the missing record is always told."""
    lines = plan_with(("release: app/1.10", "release: app/9")).splitlines()
    for number, line in enumerate(lines):
        key, colon, _ = line.partition(":")
        if not colon or key.strip() == "release":
            continue
        for value in (" 12", " [1, {a: b}]", " ", " {a: 1}"):
            text = "\n".join((*lines[:number], f"{key}:{value}", *lines[number + 1 :]))
            put(content.plans / "acme/app-2.yaml", text)
            found = told(content)
            readable = not any("cannot be read as YAML" in fault for fault in found)
            assert any("there is no release record 'app/9'" in fault for fault in found) or not readable, (text, found)
