"""Plans as files: found, bounded, and every fault told in plain words with its line and path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from changeover.adapters.plan_files import find_plans, load_plan, parse_plan, plan_digest, read_plan
from changeover.domain.plan import Plan
from changeover.errors import PlanError
from tests.support.content import PLAN, plan_with, put


def faults(text: str | bytes, name: str = "acme/app-2.yaml") -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(text if isinstance(text, bytes) else text.encode(), name=name)
    return list(caught.value.faults)


def only_fault(*changes: tuple[str, str]) -> str:
    (fault,) = faults(plan_with(*changes))
    return fault.removeprefix("acme/app-2.yaml:")


def test_a_good_plan_is_read() -> None:
    plan = parse_plan(PLAN.encode(), name="plans/acme/app-2.yaml")
    assert plan.dag_id == "acme.app-2"
    assert [lane.name for lane in plan.lanes] == ["training", "production"]


def test_a_plan_survives_its_own_json() -> None:
    """What is written as JSON is what would be written in a plan: durations and times of day too."""
    plan = parse_plan(PLAN.encode(), name="acme/app-2.yaml")
    assert Plan.model_validate_json(plan.model_dump_json(exclude_none=True)) == plan
    assert '"wait":"1h"' in plan.model_dump_json()
    assert '"start":"22:00"' in plan.model_dump_json()


PLAIN_WORDS = {
    "float-version": (
        ('"1.10"\nrelease', "1.10\nrelease"),
        "7: to_version: 1.10 without quotes is a number, 1.1, to YAML; text is meant here, write '1.10'",
    ),
    "short-version": (
        ('"1.9"', "1.9"),
        "6: from_version: 1.9 without quotes is a number to YAML; text is meant here, write '1.9'",
    ),
    "latest": (
        ('"1.9"', "latest"),
        (
            "6: from_version: 'latest' is not an exact version: it begins with a digit "
            "and has no spaces, such as '7.0.59' "
            "(not 'latest', not 'v7.0')"
        ),
    ),
    "v-version": (
        ('"1.9"', "v4.3.1"),
        (
            "6: from_version: 'v4.3.1' is not an exact version: it begins with a digit "
            "and has no spaces, such as '7.0.59' "
            "(not 'latest', not 'v7.0')"
        ),
    ),
    "spaced-version": (
        ('"1.9"', '" 4.3.1"'),
        (
            "6: from_version: ' 4.3.1' is not an exact version: it begins with a digit "
            "and has no spaces, such as '7.0.59' "
            "(not 'latest', not 'v7.0')"
        ),
    ),
    "full-width-version": (
        ('"1.9"', "\uff11.\uff19"),
        (
            "6: from_version: '\uff11.\uff19' is not an exact version: it begins with a digit "
            "and has no spaces, such as "
            "'7.0.59' (not 'latest', not 'v7.0')"
        ),
    ),
    "empty-version": (('"1.9"', ""), "6: from_version: is empty; text is wanted"),
    "date-as-text": (
        ("id: SOW-1", "id: 2026-11-28"),
        "11: statement_of_work.id: 2026-11-28 without quotes is a date to YAML; text is meant here, write '2026-11-28'",
    ),
    "number-as-text": (
        ("id: SOW-1", "id: 4711"),
        "11: statement_of_work.id: 4711 without quotes is a number to YAML; text is meant here, write '4711'",
    ),
    "boolean-as-text": (
        ("title: App 1 to 2 for Acme", "title: True"),
        "4: title: True without quotes is true or false, true, to YAML; text is meant here, write 'True'",
    ),
    "mapping-as-text": (("title: App 1 to 2 for Acme", "title: {a: b}"), "4: title: must be text, not a mapping"),
    "not-a-day": (
        ("signed_on: 2026-10-02", "signed_on: soon"),
        "12: statement_of_work.signed_on: 'soon' is not a day such as 2026-11-28",
    ),
    "day-as-number": (
        ("signed_on: 2026-10-02", "signed_on: 20261002"),
        "12: statement_of_work.signed_on: 20261002 is not a day such as 2026-11-28",
    ),
    "unknown-key": (("title: App", "titel: x\ntitle: App"), "4: titel: is not a known key; did you mean 'title'?"),
    "unknown-key-deep": (
        ("wait: 1h", "wait: 1h, wiat: 2h"),
        "20: approval.wiat: is not a known key; did you mean 'wait'?",
    ),
    "unknown-key-in-window": (
        ("      on: 2026-12-05\n", "      on: 2026-12-05\n      time_zone: x\n"),
        "35: environments.2.window.time_zone: is not a known key; did you mean 'zone'?",
    ),
    "unknown-key-far": (
        ("wait: 1h", "wait: 1h, colour: red"),
        "20: approval.colour: is not a known key; known here: by, quorum, wait",
    ),
    "missing": (("requested_by: jo\n", ""), "1: requested_by: is missing"),
    "wrong-word": (
        ("kind: training", "kind: trainin"),
        (
            "27: environments.1.kind: 'trainin' is not one of baseline, training, test, development, staging, "
            "production; "
            "did you mean 'training'?"
        ),
    ),
    "wrong-window-kind": (
        ("kind: dated", "kind: date"),
        "31: environments.2.window: kind: 'date' is not one of any_time, dated, recurring; did you mean 'dated'?",
    ),
    "no-window-kind": (
        ("      kind: dated\n", ""),
        "31: environments.2.window: kind is missing; it says which form this is",
    ),
    "no-zone": (("      zone: Europe/Berlin\n", ""), "31: environments.2.window.zone: is missing"),
    "zone-abbreviation": (
        ("Europe/Berlin", "CET"),
        (
            "33: environments.2.window.zone: 'CET' is an abbreviation or an old name, and those are not taken: "
            "name the client's zone in full, such as 'Europe/Brussels', which the zone data have for it"
        ),
    ),
    "zone-outside": (
        ("Europe/Berlin", "../../etc/localtime"),
        "33: environments.2.window.zone: '../../etc/localtime' is not an IANA time zone such as 'Europe/Berlin'",
    ),
    "zone-directory": (
        ("Europe/Berlin", "America/Indiana"),
        "33: environments.2.window.zone: 'America/Indiana' is not an IANA time zone such as 'Europe/Berlin'",
    ),
    "sixty-clock": (
        ('start: "22:00"', "start: 22:00"),
        "35: environments.2.window.start: 22:00 without quotes is the number 1320 to YAML (base 60); write '22:00'",
    ),
    "short-clock": (
        ('start: "22:00"', 'start: "7:00"'),
        "35: environments.2.window.start: '7:00' is not a time of day 'HH:MM' in quotes",
    ),
    "late-clock": (
        ('start: "22:00"', 'start: "24:00"'),
        "35: environments.2.window.start: '24:00' is not a time of day 'HH:MM' in quotes",
    ),
    "bare-duration": (
        ("wait: 1h", "wait: 60"),
        "20: approval.wait: 60 is not a duration such as '90s', '30m', '4h' or '2d'",
    ),
    "no-duration": (("interval: 20s", "interval: 0s"), "39: support.hypercare.interval: must be more than nothing"),
    "long-interval": (
        ("interval: 20s", "interval: 2m"),
        "39: support.hypercare.interval: is longer than the watch itself",
    ),
    "bad-name": (
        ("id: jo,", "id: Jo Day,"),
        (
            "18: participants.0.id: 'Jo Day' is not a name: lower-case letters, digits, '.', '-' and '_', beginning "
            "with a letter or digit, at most 63"
        ),
    ),
    "side-typo": (
        ("side: client", "side: cleint"),
        "19: participants.1.side: 'cleint' is not one of provider, client; did you mean 'client'?",
    ),
    "side-left-out": ((", side: client", ""), "19: participants.1.side: is missing"),
    "no-name": (("name: Ann Berg", 'name: ""'), "19: participants.1.name: has fewer than 1 characters"),
    "no-role": (("role: client_approver", 'role: ""'), "19: participants.1.role: has fewer than 1 characters"),
    "empty-list": (("by: [ann], wait", "by: [], wait"), "20: approval.by: needs at least 1 entries"),
    "text-for-list": (("by: [ann], wait", "by: ann, wait"), "20: approval.by: must be a list, not 'ann'"),
    "text-for-mapping": (
        ("approval: {by: [ann], wait: 1h}", "approval: ann"),
        "20: approval: must be a mapping of keys to values, not 'ann'",
    ),
    "release-form": (
        ("release: app/1.10", "release: app-1.10"),
        "8: release: 'app-1.10' is not a release record '<product>/<release>' such as 'tryton/8.0'",
    ),
    "future-format": (("schema_version: 1", "schema_version: 2"), "1: schema_version: 2 is not 1"),
    "truth-for-number": (("schema_version: 1", "schema_version: true"), "1: schema_version: true is not a number"),
    "variable-null": (
        ("    sign_off", "    variables: {a: }\n    sign_off"),
        "37: environments.2.variables.a: is empty; text is wanted",
    ),
}


@pytest.mark.parametrize(("change", "words"), PLAIN_WORDS.values(), ids=PLAIN_WORDS)
def test_a_fault_is_told_in_plain_words_with_its_line_and_path(change: tuple[str, str], words: str) -> None:
    assert words in [fault.removeprefix("acme/app-2.yaml:") for fault in faults(plan_with(change))]


def test_a_window_that_the_change_of_clocks_swallows_is_refused() -> None:
    """Berlin, 29 March 2026: from 02:30 to 03:00 there is no time at all."""
    fault = only_fault(("on: 2026-12-05", "on: 2026-03-29"), ('"22:00"', '"02:30"'), ('"04:00"', '"03:00"'))
    assert "the window closes before it opens once both are turned to UTC: start: 02:30 does not exist on " in fault
    assert fault.endswith("; say another time, or another on_skipped, in the plan")


BETWEEN_PARTS = {
    "no-baseline": (
        ("kind: baseline", "kind: staging"),
        "environments: exactly one environment of kind baseline, and it comes first",
    ),
    "data-from-nowhere": (
        ("data_from: production", "data_from: prod"),
        "environments.0.data_from: name the environment the baseline is a copy of, one of training, production",
    ),
    "data-from-elsewhere": (
        ("kind: training\n", "kind: training\n    data_from: production\n"),
        "environments.1.data_from: only the baseline takes data from another environment",
    ),
    "name-twice": (("name: training", "name: production"), "environments: 'production' is named twice"),
    "unknown-approver": (
        ("by: [ann], wait", "by: [ann, bob], wait"),
        "approval.by.1: 'bob' is not a participant of this plan",
    ),
    "unknown-requester": (
        ("requested_by: jo", "requested_by: bob"),
        "requested_by: 'bob' is not a participant of this plan",
    ),
    "own-approval": (
        ("by: [ann], wait", "by: [jo], wait"),
        "approval.by: 'jo' requested the upgrade and cannot approve it",
    ),
    "unknown-sign-off": (
        ("sign_off: {by: [ann]}", "sign_off: {by: [bob]}"),
        "environments.2.sign_off.by.0: 'bob' is not a participant of this plan",
    ),
    "one-name-in-the-dag": (
        ("name: training\n", "name: pro.duction\n  - name: pro_duction\n"),
        "environments.2.name: 'pro_duction' and 'pro.duction' are one name in the DAG; rename one",
    ),
    "person-twice": (("id: ann", "id: jo"), "participants: 'jo' is named twice"),
    "no-op": (('"1.9"', '"1.10"'), "to_version: equals from_version; there is nothing to upgrade"),
    "order-backwards": (
        ("valid_until: 2027-03-31", "valid_until: 2026-10-31"),
        "statement_of_work.valid_until: lies before valid_from",
    ),
}


@pytest.mark.parametrize(("change", "words"), BETWEEN_PARTS.values(), ids=BETWEEN_PARTS)
def test_parts_that_do_not_fit_each_other_are_told(change: tuple[str, str], words: str) -> None:
    assert any(fault.split(": ", 1)[1] == words for fault in faults(plan_with(change)))


def test_faults_between_parts_are_told_beside_faults_of_parts() -> None:
    found = faults(plan_with(('"1.9"', "1.9"), ("requested_by: jo", "requested_by: bob"), ("title: App", "titel: App")))
    assert [fault.split(": ", 2)[1] for fault in found] == ["title", "titel", "from_version", "requested_by"]


def test_a_refused_value_is_told_once() -> None:
    """`no` is refused when it is read; the schema would say more about it, and none of that would help."""
    assert len(faults(plan_with(("id: SOW-1", "id: no"), ('"22:00"', "22:00")))) == 2


def test_the_words_of_the_library_are_not_shown() -> None:
    text = "\n".join(faults("client: [1]\nenvironments: {a: 1}\nparticipants: 3\nsupport:\n"))
    for word in ("value_error", "http", "Input should", "Value error", "pydantic"):
        assert word not in text


def test_the_path_has_to_say_what_the_plan_says() -> None:
    assert faults(PLAN, "plans/other/app-3.yaml") == [
        "plans/other/app-3.yaml:2: client: is 'acme', and the file is other/app-3.yaml",
        "plans/other/app-3.yaml:3: upgrade: is 'app-2', and the file is other/app-3.yaml",
    ]


def test_the_digest_is_that_of_the_exact_bytes(tmp_path: Path) -> None:
    path = put(tmp_path / "acme/app-2.yaml", PLAN)
    assert read_plan(path).digest == plan_digest(PLAN.encode()) == hashlib.sha256(PLAN.encode()).hexdigest()
    put(path, PLAN + "\n")
    assert read_plan(path).digest != plan_digest(PLAN.encode())


def message(path: Path, root: Path | None = None) -> str:
    (fault,) = read_plan(path, root=root).faults
    return fault.message


def test_a_large_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = put(tmp_path / "p.yaml", b"#" * 5 * 1024 * 1024)
    assert message(path) == "has 5.0 MiB; a document of this kind has a few KiB, at most 1024 KiB are read"
    sparse = tmp_path / "sparse.yaml"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    assert message(sparse).startswith("has 1048576.0 MiB")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert message(tmp_path / "pipe.yaml") == "is not a regular file"
    assert message(Path("/dev/zero")) == "is not a regular file"
    assert message(tmp_path) == "is not a regular file"
    assert message(tmp_path / "absent.yaml") == "does not exist"
    assert message(tmp_path / ("x" * 300)) == "cannot be read: File name too long"


def test_a_link_may_not_leave_the_plans(tmp_path: Path) -> None:
    outside = put(tmp_path / "elsewhere/app-2.yaml", PLAN)
    plans = tmp_path / "plans"
    (plans / "acme").mkdir(parents=True)
    (plans / "acme/app-2.yaml").symlink_to(outside)
    assert (
        message(plans / "acme/app-2.yaml", plans)
        == f"leads out of {plans} to {outside}; a document lies where it is read"
    )
    (plans / "acme/broken.yaml").symlink_to(plans / "acme/nothing.yaml")
    assert message(plans / "acme/broken.yaml", plans) == "is a symbolic link to nothing"
    (plans / "acme/loop.yaml").symlink_to(plans / "acme/loop.yaml")
    assert "link" in message(plans / "acme/loop.yaml", plans).lower() or "cannot" in message(
        plans / "acme/loop.yaml", plans
    )


def test_a_link_inside_the_plans_is_followed(tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    (plans / "acme").mkdir(parents=True)
    put(plans / "shared.yaml", PLAN)
    (plans / "acme/app-2.yaml").symlink_to(plans / "shared.yaml")
    assert read_plan(plans / "acme/app-2.yaml", root=plans).document is not None


def test_directories_are_walked_and_one_bad_plan_hides_no_other(tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    put(plans / "acme/app-2.yaml", PLAN)
    put(plans / "acme/broken.yaml", "a: [")
    put(plans / "zeta/app-2.yaml", PLAN.replace("client: acme", "client: zeta"))
    put(plans / "acme/old.yml", PLAN)
    put(plans / "acme/.draft.yaml", "a: [")
    put(plans / "top.yaml", PLAN)
    put(plans / "README.md", "")
    found = {
        Path(r.file).relative_to(plans).as_posix(): r.document is not None for r in find_plans([plans], plans=plans)
    }
    assert found == {
        "top.yaml": False,
        "acme/app-2.yaml": True,
        "acme/broken.yaml": False,
        "acme/old.yml": False,
        "zeta/app-2.yaml": True,
    }


def test_a_path_without_a_plan_is_a_fault(tmp_path: Path) -> None:
    (reading,) = find_plans([tmp_path], plans=tmp_path / "plans")
    assert [fault.message for fault in reading.faults] == ["holds no plan (<client>/<upgrade>.yaml)"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "acme/app-2.yaml", PLAN)
    assert len(find_plans([path, tmp_path, path], plans=tmp_path / "plans")) == 1


def test_loading_tells_what_to_do_next(tmp_path: Path) -> None:
    path = put(tmp_path / "acme/app-2.yaml", "")
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.faults == (f"{path}:1: is empty",)
    assert caught.value.then == "correct the plan and run `changeover plan check` on it"
