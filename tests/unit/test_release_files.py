"""Release records as files: every fault at once with its line, the shipped ones in order, and what a product's tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from changeover.adapters.release_files import find_releases, read_product, read_release
from changeover.adapters.release_schema import release_reference, release_schema, release_schema_text
from changeover.adapters.shelf import DiskShelf
from changeover.adapters.yaml_text import read_yaml
from changeover.domain.named import NOTHING_NAMED
from changeover.domain.path import Answer, plan_path
from changeover.settings import PROJECT, Settings
from changeover.usecases.check_plans import check_plans
from changeover.usecases.check_releases import ReleaseReport, check_releases
from changeover.usecases.show_path import find_path, path_json
from tests.support.content import RELEASE, make, put

RELEASES = PROJECT / "include" / "releases"
SHIPPED = sorted(RELEASES.glob("*/*.yaml"))
REFRESH = "run `./changeover release schema --write` and commit what it wrote"
OLDER = RELEASE.replace('"1.10"', '"1.8"').replace(">=1.8,<1.10", ">=1.7,<1.8").replace("app==1.10", "app==1.8")


@pytest.fixture
def content(tmp_path: Path) -> Settings:
    return make(tmp_path)


def told(content: Settings) -> list[str]:
    readings = find_releases([content.releases], releases=content.releases)
    return [str(fault).replace(f"{content.releases}/", "") for reading in readings for fault in reading.faults]


def write(content: Settings, text: str, name: str = "app/1.10") -> None:
    put(content.releases / f"{name}.yaml", text)


# ---- the shipped records


@pytest.mark.parametrize("product", ["tryton", "roundup"])
def test_the_shipped_records_are_in_order(product: str) -> None:
    found = read_product(product, releases=RELEASES)
    assert found.faults == ()
    assert {record.release for record in found.records} == {
        "tryton": {"7.0", "7.2", "7.4", "7.6", "7.8", "8.0"},
        "roundup": {"2.0.0", "2.1.0", "2.2.0", "2.3.0", "2.4.0", "2.5.0", "2.6.0"},
    }[product]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shipped_record_fits_the_schema_names_it_and_knows_its_artefacts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    jsonschema.Draft202012Validator(release_schema()).validate(as_editors_see_it(text))
    assert text.startswith("# yaml-language-server: $schema=../release.schema.json\n")
    record = read_release(f"{path.parent.name}/{path.stem}", releases=RELEASES).document
    assert record is not None
    assert any(record.version in file.name for file in record.artefacts.files)


def test_every_step_of_a_shipped_record_is_of_its_own_release() -> None:
    """The planner adds those of the releases between; a step told twice would be done twice."""
    for path in SHIPPED:
        record = read_release(f"{path.parent.name}/{path.stem}", releases=RELEASES).document
        assert record is not None
        assert {step.series for step in record.manual_steps} <= {record.release}


def test_tryton_goes_from_7_0_to_8_0_in_one_leg_that_takes_the_steps_of_every_series_between() -> None:
    path = plan_path(read_product("tryton", releases=RELEASES), from_version="7.0.59", to_version="8.0.12")
    (leg,) = path.legs
    assert [step.series for step in leg.manual_steps] == ["7.2", "7.4", *["7.6"] * 5, "7.8", "7.8", *["8.0"] * 3]
    assert leg.defects == ()


def test_tryton_from_before_7_0_stops_there_and_from_within_a_series_does_its_steps_not_again() -> None:
    product = read_product("tryton", releases=RELEASES)
    path = plan_path(product, from_version="6.8.17", to_version="8.0.12")
    assert [leg.to_version for leg in path.legs] == ["7.0.59", "8.0.12"]
    (leg,) = plan_path(product, from_version="7.6.3", to_version="8.0.12").legs
    assert {step.series for step in leg.manual_steps} == {"7.8", "8.0"}
    (update,) = plan_path(product, from_version="8.0.5", to_version="8.0.12").legs
    assert (update.manual_steps, update.changed) == ((), ())
    assert plan_path(product, from_version="6.0.1", to_version="8.0.12").answer is Answer.BLOCKED


def test_a_tryton_without_a_repair_is_told_its_defects() -> None:
    path = plan_path(read_product("tryton", releases=RELEASES), from_version="7.0.1", to_version="7.4.25")
    assert path.answer is Answer.PATH
    assert path.legs[0].defects == ()
    product = read_product("roundup", releases=RELEASES)
    path = plan_path(product, from_version="2.0.0", to_version="2.5.0")
    assert [defect.id for leg in path.legs for defect in leg.defects] == ["CVE-2026-csrf", "CVE-2026-history-prop"]


# ---- faults


def test_a_complete_record_is_in_order(content: Settings) -> None:
    assert told(content) == []


def test_every_fault_of_a_record_is_told_at_once_with_its_line(content: Settings) -> None:
    write(
        content,
        RELEASE.replace("released: 2026-09-01", "released: 1 September")
        .replace(">=1.8,<1.10", "from 1.8")
        .replace("when: after", "when: later")
        .replace("sources: [vendor]", "sauces: [vendor]")
        + "covers: ['>=2']\n"
        + "recall: {since: 2026-09-02, reason: It loses mail, may_lift: [vendor], source: mail, "
        + "lifted: {by: Jo, on: 2026-09-03, reason: Please}}\n"
        + "artefacts_: 1\n",
    )
    assert told(content) == [
        "app/1.10.yaml:1: sources: is missing",
        "app/1.10.yaml:6: released: '1 September' is not a day such as 2026-11-28",
        "app/1.10.yaml:7: supported_from.0: not a version range: Invalid specifier: 'from 1.8'",
        "app/1.10.yaml:10: manual_steps.0.when: 'later' is not one of before, after; did you mean 'after'?",
        "app/1.10.yaml:11: sauces: is not a known key; did you mean 'sources'?",
        "app/1.10.yaml:12: covers: does not hold the version itself, 1.10",
        "app/1.10.yaml:13: recall.lifted.by: 'Jo' may not lift this recall; vendor may",
        "app/1.10.yaml:14: artefacts_: is not a known key; did you mean 'artefacts'?",
    ]


def test_a_version_without_quotes_hides_no_other_fault(content: Settings) -> None:
    """YAML reads 1.1; what is held against the version is held against what was written."""
    write(
        content,
        RELEASE.replace('\nversion: "1.10"', "\nversion: 1.10").replace(">=1.8,<1.10", "from 1.8")
        + "covers: ['>=2']\n",
    )
    assert told(content) == [
        "app/1.10.yaml:4: version: 1.10 without quotes is a number, 1.1, to YAML; text is meant here, write '1.10'",
        "app/1.10.yaml:7: supported_from.0: not a version range: Invalid specifier: 'from 1.8'",
        "app/1.10.yaml:12: covers: does not hold the version itself, 1.10",
    ]


BAD = {
    "digest": (
        "artefacts: {requirements: [app==1.10]}",
        "artefacts: {files: [{name: a, sha256: abc}]}",
        "is not a sha256",
    ),
    "nothing": (
        "artefacts: {requirements: [app==1.10]}",
        "artefacts: {note: later}",
        "names nothing; give requirements",
    ),
    "scheme": ("pep440", "semantic", "'semantic' is not one of debian, rpm, pep440"),
    "number": ('version: "1.10"', "version: 1.10", "1.10 without quotes is a number, 1.1, to YAML"),
    "tab": ("product: app", "product:\tapp", "tab"),
    "anchor": ("product: app", "product: &a app", "anchor"),
    "twice": ("product: app", "product: app\nproduct: app", "twice"),
}


@pytest.mark.parametrize(("old", "new", "words"), BAD.values(), ids=BAD)
def test_a_faulty_record_is_refused(content: Settings, old: str, new: str, words: str) -> None:
    assert old in RELEASE
    write(content, RELEASE.replace(old, new))
    assert any(words in fault for fault in told(content)), told(content)


DEFECT = "known_defects:\n  - {id: D-1, title: It leaks, affects: ['<1.9'], fixed_in: ['1.9'], source: vendor}\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fixed_in: ['1.9']", "fixed_in: ['1.8']", "known_defects.0.fixed_in.0: 1.8 is among the affected versions"),
        ("fixed_in: ['1.9']", "fixed_in: [soon]", "known_defects.0.fixed_in.0: 'soon' is not a pep440 version"),
        ("'<1.9'], fixed_in: ['1.9']", "old ones]", "known_defects.0.affects.0: not a version range"),
    ],
)
def test_a_defect_whose_ranges_make_no_sense_is_told(content: Settings, old: str, new: str, words: str) -> None:
    write(content, RELEASE + DEFECT)
    assert told(content) == []
    write(content, RELEASE + DEFECT.replace(old, new))
    (fault,) = told(content)
    assert words in fault


STOPS = "mandatory_stops: [{release: '1.9', reason: a, source: b}, {release: '1.9', reason: c, source: d}]\n"
LIFTED = "lifted: {by: vendor, on: 2026-09-01, reason: Mended}"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("downgrade_to: ['>=1.8']\n", "downgrade_to.0: '>=1.8' holds 1.10 or newer ones; a downgrade goes to older"),
        (
            "downgrade_to: ['==1.9', '==1.11']\n",
            "downgrade_to.1: '==1.11' holds 1.10 or newer ones; a downgrade goes to",
        ),
        (STOPS, "mandatory_stops.1.release: '1.9' is named twice"),
        (
            "recall: {since: 2026-09-02, reason: It loses mail, may_lift: [vendor], source: mail, " + LIFTED + "}\n",
            "recall.lifted.on: 2026-09-01 lies before the recall, 2026-09-02",
        ),
        ("downgrade_to: ['>=1.9,<1.8']\n", "downgrade_to.0: '>=1.9,<1.8' contradicts itself: no version can be in it"),
        (DEFECT.replace("'<1.9'", "'>=1.9,<1.8'"), "known_defects.0.affects.0: '>=1.9,<1.8' contradicts itself"),
        ("requires: {python: ','}\n", "requires.python: not a version range: ','"),
        ("requires: {python: '>=9,<8'}\n", "requires.python: '>=9,<8' contradicts itself"),
        ("downgrade_to: [',']\n", "downgrade_to.0: not a version range: ','"),
    ],
)
def test_what_contradicts_itself_is_told(content: Settings, more: str, fault: str) -> None:
    write(content, RELEASE + more)
    assert any(f" {fault}" in one for one in told(content)), told(content)


def test_records_that_do_not_fit_each_other_are_told_at_their_lines(content: Settings) -> None:
    stop = "mandatory_stops: [{release: '1.9', reason: It migrates, source: vendor}]\n"
    write(content, RELEASE + "follows: '1.8'\n" + stop)
    assert told(content) == [
        "app/1.10.yaml:12: follows: there is no release record 'app/1.8'",
        "app/1.10.yaml:13: mandatory_stops.0.release: there is no release record 'app/1.9'",
    ]
    write(content, OLDER, "app/1.8")
    write(content, RELEASE + "follows: '1.8'\n")
    assert told(content) == []


def test_a_directory_without_records_and_a_file_in_the_wrong_place_are_faults(
    content: Settings, tmp_path: Path
) -> None:
    put(tmp_path / "empty/readme.txt", "")
    put(content.releases / "stray.yaml", RELEASE)
    put(content.releases / "app/1.9.yml", RELEASE)
    readings = find_releases([tmp_path / "empty", content.releases], releases=content.releases)
    messages = [fault.message for reading in readings for fault in reading.faults]
    assert messages[0] == "holds no release record (<product>/<release>.yaml)"
    assert any(message.startswith("lies in the wrong place; a release record is") for message in messages)
    assert "is not read as a release record; name it <release>.yaml" in messages


def test_a_record_that_was_changed_is_read_again(content: Settings) -> None:
    assert told(content) == []
    write(content, RELEASE.replace("product: app", "product: other"))
    assert told(content) == ["app/1.10.yaml:2: product: is 'other', and the file is app/1.10.yaml"]


def test_nothing_checked_is_not_in_order() -> None:
    assert not ReleaseReport(()).ok


def test_the_json_form(content: Settings) -> None:
    write(content, RELEASE.replace("product: app", "product: other"))
    document = json.loads(json.dumps(check_releases([content.releases], DiskShelf(content)).as_json()))
    assert (document["schema_version"], document["ok"]) == (1, False)
    (record,) = document["records"]
    assert set(record) == {"file", "ok", "digest", "product", "release", "version", "faults"}
    assert record["faults"][0]["line"] == 2


# ---- what a plan is told


def check(content: Settings) -> list[str]:
    (plan,) = check_plans([content.plans], DiskShelf(content), now=datetime(2026, 11, 25, tzinfo=UTC)).plans
    return [f"{fault.path}: {fault.message}".replace(f"{content.project}/", "") for fault in plan.faults]


def test_another_record_of_the_product_that_cannot_be_read_inhibits_the_plan(content: Settings) -> None:
    write(content, "product: app\n  broken", "app/1.9")
    faults = check(content)
    assert faults
    assert all(fault.startswith("release: releases/app/1.9.yaml:") for fault in faults)
    assert all(fault.endswith("Correct the record; see `release check`.") for fault in faults)


def test_a_plan_over_several_legs_is_in_order(content: Settings) -> None:
    write(content, RELEASE.replace(">=1.8,<1.10", "==1.9.5"))
    write(content, RELEASE.replace('"1.10"', '"1.9.5"').replace(">=1.8,<1.10", ">=1.8,<1.9.5"), "app/1.9.5")
    assert check(content) == []
    waits = "before_leaving: [{what: Its background work has ended, source: notes}]\n"
    write(content, RELEASE.replace('"1.10"', '"1.9.5"').replace(">=1.8,<1.10", ">=1.8,<1.9.5") + waits, "app/1.9.5")
    (fault,) = check(content)
    assert fault.startswith(
        "release: nothing proves what has to be true before 1.9.5 is left: Its background work has ended; Write an"
    )


def test_a_plan_to_a_recalled_release_is_refused(content: Settings) -> None:
    write(content, RELEASE + "recall: {since: 2026-09-02, reason: It loses mail, may_lift: [vendor], source: mail}\n")
    (fault,) = check(content)
    assert fault.startswith("release: app 1.10 was recalled on 2026-09-02: It loses mail; only vendor may lift that")


def test_a_downgrade_that_the_plan_names_and_the_vendor_offers_is_in_order(content: Settings) -> None:
    plan = content.plans / "acme/app-2.yaml"
    text = plan.read_text(encoding="utf-8").replace('from_version: "1.9"', 'from_version: "1.11"')
    put(plan, text)
    assert check(content)[0].startswith("to_version: 1.10 is older than 1.11: a downgrade is never an upgrade")
    put(plan, text + "downgrade: The client's printers need it\n")
    assert check(content)[0].startswith("to_version: no release record speaks for 1.11")
    newer = RELEASE.replace('"1.10"', '"1.11"').replace(">=1.8,<1.10", "==1.10") + "downgrade_to: ['==1.10']\n"
    write(content, newer, "app/1.11")
    assert check(content) == []


def test_a_defect_that_a_waiver_may_pass_over_is_a_note(content: Settings) -> None:
    """A plan that may go on under a waiver has to load; whether one counts is asked by every run."""
    inhibits = DEFECT.replace("'<1.9'", "'==1.10'").replace("'1.9'", "'1.11'").replace("}", ", severity: inhibitor}")
    write(content, RELEASE + inhibits)
    (plan,) = check_plans([content.plans], DiskShelf(content), now=datetime(2026, 11, 25, tzinfo=UTC)).plans
    assert plan.ok
    (note,) = (note for note in plan.notes if "D-1" in note.message)
    assert note.path == "release"
    assert note.message == (
        "1.10 has it: It leaks; fixed in 1.11; every run refuses, unless a waiver for release-defect names D-1"
    )


# ---- the path for programs


def test_the_path_as_json_names_every_leg_and_step() -> None:
    path = find_path(read_product("tryton", releases=RELEASES), from_version="7.0.59", to="8.0", named=NOTHING_NAMED)
    document = json.loads(json.dumps(path_json(path)))
    assert (document["schema_version"], document["ok"], document["to"]) == (1, True, "8.0.12")
    (leg,) = document["legs"]
    assert (leg["release"], leg["share"], leg["estimate"]) == ("tryton/8.0", 1.0, "103s")
    assert all(step["source"] for step in leg["manual_steps"])
    assert {"kind", "what", "from", "to", "source"} == set(leg["changed"][0])


# ---- schema and page


def as_editors_see_it(text: str) -> Any:
    """Editors read YAML 1.2, to which a date without quotes is text."""
    document = read_yaml(text.encode(), name="r.yaml")
    assert not document.faults
    return json.loads(json.dumps(document.data, default=str))


def test_the_schema_file_is_current() -> None:
    assert (RELEASES / "release.schema.json").read_text(encoding="utf-8") == release_schema_text(), REFRESH


def test_the_page_is_current() -> None:
    assert (PROJECT / "docs/release-records.md").read_text(encoding="utf-8") == release_reference(), REFRESH


def test_the_schema_is_one_and_describes_every_key() -> None:
    schema = release_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = {"": schema, **schema["$defs"]}
    bare = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, value in definition["properties"].items()
        if not value.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("when: after", "when: later"), ("product: app", "product: App"), ("sources: [vendor]", "sources: []")],
)
def test_editors_refuse_what_the_reader_refuses(old: str, new: str) -> None:
    validator = jsonschema.Draft202012Validator(release_schema())
    assert validator.is_valid(as_editors_see_it(RELEASE))
    assert not validator.is_valid(as_editors_see_it(RELEASE.replace(old, new)))
