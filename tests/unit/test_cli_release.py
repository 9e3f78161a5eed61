"""The commands `release check`, `release path` and `release schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters.release_schema import release_reference, release_schema_text
from tests.support.content import RELEASE, make, put


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    for name in ("plans", "releases", "home"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(tmp_path / name))
    return tmp_path


def invoke(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["release", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_records_in_order_are_told_and_exit_0(root: Path) -> None:
    code, out = invoke("check", root / "releases")
    assert (code, out.splitlines()) == (
        0,
        [f"ok {root}/releases/app/1.10.yaml  app 1.10", "1 record checked, all in order"],
    )


def test_faults_are_told_with_their_places_and_exit_1(root: Path) -> None:
    record = put(root / "releases/app/1.10.yaml", RELEASE.replace("pep440", "pep") + "extra: 1\n")
    code, out = invoke("check", record)
    assert code == 1
    assert out.splitlines()[0] == f"no {record}  2 faults"
    assert f"{record}:5: version_scheme: 'pep' is not one of debian" in out
    assert f"{record}:12: extra: is not a known key" in out
    code, out = invoke("check", "--json", record)
    assert (code, json.loads(out)["ok"]) == (1, False)


def test_the_path_is_told_leg_by_leg(root: Path) -> None:
    code, out = invoke("path", "app", "1.9", "1.10")
    assert code == 0
    assert out.splitlines()[:2] == ["app 1.9 → 1.10: 1 leg", "  leg 1 of 1: 1.9 → 1.10 (app/1.10)"]
    assert "    by hand, after: Rebuild the search index (1.10)" in out.splitlines()
    code, out = invoke("path", "app", "1.9", "1.10", "--json")
    assert [leg["to"] for leg in json.loads(out)["legs"]] == ["1.10"]


def test_what_the_installed_release_wants_and_whom_a_defect_concerns_are_told(root: Path) -> None:
    waits = "before_leaving: [{what: Its background work has ended, acceptance_test: test_idle, source: vendor}]\n"
    put(root / "releases/app/1.9.yaml", RELEASE.replace('"1.10"', '"1.9"').replace(">=1.8,<1.10", "==1.8") + waits)
    defect = (
        "known_defects: [{id: D-1, title: It leaks, affects: ['==1.10'], applies_if: mail is read, source: vendor}]\n"
    )
    put(root / "releases/app/1.10.yaml", RELEASE + defect)
    code, out = invoke("path", "app", "1.9", "1.10")
    lines = [line.strip() for line in out.splitlines()]
    assert code == 0
    assert lines.index("before it begins: Its background work has ended") < lines.index(
        "restore point: of 1.9, proven readable before anything changes"
    )
    assert "defect D-1: It leaks; no workaround is known; concerns whoever meets this: mail is read" in lines
    (leg,) = json.loads(invoke("path", "app", "1.9", "1.10", "--json")[1])["legs"]
    assert [condition["acceptance_test"] for condition in leg["before"]] == ["test_idle"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("app", "1.10.0", "1.10"), 0, "nothing to do: already on 1.10: no upgrade is needed"),
        (("app", "1.2", "1.10"), 1, "no path: the vendor supports coming from >=1.8,<1.10, not from 1.2"),
        (("app", "1.11", "1.10"), 1, "no path: 1.10 is older than 1.11: a downgrade is never an upgrade"),
        (("app", "1.11", "1.10", "--downgrade"), 1, "no path: no release record speaks for 1.11"),
        (("app", "latest", "1.10"), 1, "no path: 'latest' is not a pep440 version"),
        (("app", "1.11", "1.10"), 1, "next: ask again with --downgrade if it is wanted on purpose"),
        (("app", "1.11", "1.10", "--downgrade"), 1, "next: plan a version that the vendor offers to go back to"),
        (("app", "1.2", "1.10"), 1, "next: Bring the installation to one of these versions first."),
        (("other", "1", "2"), 1, "no path: there is no readable release record of other in "),
        (("other", "1", "2"), 1, "releases/other; there are records of app\n"),
        (("other", "1", "2"), 1, "next: Plan a version that a release record describes, or write its record."),
        (("app", "9.0", "9.0"), 1, "no path: no release record of app describes 9.0; described: 1.10"),
    ],
)
@pytest.mark.usefixtures("root")
def test_an_answer_without_a_leg_says_why(words: tuple[str, ...], code: int, told: str) -> None:
    found, out = invoke("path", *words)
    assert (found, told in out) == (code, True), out


def test_a_record_that_cannot_be_read_is_told_beside_the_path_and_exits_1(root: Path) -> None:
    put(root / "releases/app/1.9.yaml", "a: [")
    code, out = invoke("path", "app", "1.9", "1.10")
    assert code == 1
    assert f"no record: {root}/releases/app/1.9.yaml:1:" in out
    assert "leg 1 of 1" in out


@pytest.mark.usefixtures("root")
def test_the_schema_and_the_page_are_printed() -> None:
    assert invoke("schema") == (0, release_schema_text())
    assert invoke("schema", "--reference") == (0, release_reference())
