"""The command `documents`: what it writes, what it leaves alone, what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters import sql
from changeover.adapters.document_folder import LIST, objections, write_documents
from changeover.adapters.glyphs import not_printable
from changeover.adapters.ledger_sql import SqlLedger
from changeover.adapters.ledger_tables import LEDGER
from changeover.errors import ChangeoverError
from changeover.usecases.documents.catalogue import NAMES
from tests.support import papers
from tests.support.content import put
from tests.support.story import opened

ABOUT = {"plan": "a.b", "plan_digest": "d"}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path / "home"))
    for name in ("LEDGER_URL", "CMDB_URL", "DEBUG", "PLANS", "BRANDING", "DOCUMENTS"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["documents", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_one_command_writes_every_document(tmp_path: Path) -> None:
    code, told, _ = invoke(papers.NORDWIND, "--out", tmp_path / "out")
    assert code == 0
    assert "planned values" in told
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert written.pop(LIST)
    assert written == papers.sample()


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    code, _, _ = invoke(papers.NORDWIND, "--out", tmp_path, "--only", "back-out-plan", "--only", "project-plan")
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "back-out-plan.pdf", "back-out-plan.html", "project-plan.pdf", "project-plan.html", "project-plan.csv",
        "project-plan.ics", LIST,
    }  # fmt: skip


def test_a_document_that_is_not_known_is_wrong_usage(tmp_path: Path) -> None:
    code, _, told = invoke(papers.NORDWIND, "--out", tmp_path / "out", "--only", "invoice")
    assert code == 2
    assert "invoice" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "letters"),
    [("山田 太郎", "山 (U+5C71), 田 (U+7530)"), ("محمد", "م (U+0645)"), ("Anna 😀", "😀 (U+1F600)")],
)
def test_a_name_that_no_font_can_print_is_told_and_nothing_written(tmp_path: Path, name: str, letters: str) -> None:
    """A signature's name would be a row of empty boxes."""
    text = papers.NORDWIND.read_text(encoding="utf-8").replace("Anna Berg", name)
    plan = put(tmp_path / "plans/nordwind/tryton-8.0.yaml", text)
    code, _, told = invoke(plan, "--out", tmp_path / "out")
    assert code == 1
    assert letters in told
    assert f"“{name}”" in told or name in told
    assert "put a TrueType font that has them into that directory" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["Đặng Thị Hạnh", "Žofie Šťastná", "Ελένη", "Олена Ковальчук"])
def test_a_name_that_the_fonts_can_print_is_printed(tmp_path: Path, name: str) -> None:
    text = papers.NORDWIND.read_text(encoding="utf-8").replace("Anna Berg", name)
    plan = put(tmp_path / "plans/nordwind/tryton-8.0.yaml", text)
    code, _, told = invoke(plan, "--out", tmp_path / "out", "--only", "participants-raci")
    assert code == 0, told
    pages = PdfReader(tmp_path / "out/participants-raci.pdf").pages
    assert name in " ".join(" ".join(page.extract_text() for page in pages).split())


def test_a_letter_in_a_drawing_is_found_and_its_marks_are_none() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><style>.山{}</style><text id="田">Kick&amp;off 太郎</text></svg>'
    assert not_printable({"pages": [svg], "logo": [1]}, frozenset(map(ord, "Kick&of "))) == (
        "太 (U+592A), 郎 (U+90CE) in “Kick&off 太郎”",
    )


def test_every_fault_of_the_plan_is_told_and_nothing_written(tmp_path: Path) -> None:
    plan = put(tmp_path / "nordwind/tryton-8.0.yaml", "client: nordwind\nupgrade: tryton-8.0\nnonsense: 1\n")
    code, _, told = invoke(plan, "--out", tmp_path / "out")
    assert code == 1
    assert "nonsense" in told
    assert "application" in told
    assert not (tmp_path / "out").exists()


def test_a_brand_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(ChangeoverError, match="known: default"):
        invoke(papers.NORDWIND, "--out", tmp_path, "--brand", "nobody")


def test_a_providers_brand_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        tmp_path / "branding/acme.yaml",
        'schema_version: 1\nname: Acme Operations\nlogo: acme.svg\ncolours: {primary: "#5a1a6b", accent: "#aa3300"}\n'
        "roles: {upgrade_manager: Release captain}\nsystems: {cmdb: ServiceNow}\n",
    )
    put(tmp_path / "branding/acme.svg", '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
    monkeypatch.setenv("CHANGEOVER_BRANDING", str(tmp_path / "branding"))
    code, _, _ = invoke(papers.NORDWIND, "--out", tmp_path / "out", "--brand", "acme", "--only", "detail-report")
    assert code == 0
    page = (tmp_path / "out/detail-report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("Acme Operations", "Release captain", "ServiceNow", "#5a1a6b"))
    assert "Upgrade manager" not in page


def test_a_run_in_the_ledger_gives_actual_values_unless_planned_ones_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("CHANGEOVER_LEDGER_URL", url)
    sql.migrate(url, LEDGER)
    run = SqlLedger(url).open_run(opened(tmp_path / "story").run)
    only = ("--only", "upgrade-passport", "--out", tmp_path / "out")
    assert f"actual values of {run.key}" in invoke(papers.NORDWIND, *only)[1]
    assert "In progress." in (tmp_path / "out/upgrade-passport.html").read_text(encoding="utf-8")
    assert "planned values" in invoke(papers.NORDWIND, *only, "--planned")[1]
    code, _, told = invoke(papers.LINDGREN, *only, "--run", run.key)
    assert code == 1
    assert "not of lindgren" in told


def test_a_run_that_is_not_there_is_a_no(tmp_path: Path) -> None:
    code, _, told = invoke(papers.NORDWIND, "--out", tmp_path / "out", "--run", "r1")
    assert code == 1
    assert "no run in the ledger" in told


# ---- the directory


def test_what_is_not_ours_is_left_alone_and_all_of_it_is_named(tmp_path: Path) -> None:
    mine = put(tmp_path / "project-plan.csv", "mine")
    (tmp_path / "process-map.svg").mkdir()
    code, _, told = invoke(papers.NORDWIND, "--out", tmp_path, "--replace")
    assert code == 1
    assert "project-plan.csv was not written by this command" in told
    assert "process-map.svg is not a plain file" in told
    assert mine.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"project-plan.csv", "process-map.svg"}


def test_an_edited_source_is_kept_until_it_is_given_up(tmp_path: Path) -> None:
    write_documents(tmp_path, {"a.bpmn": b"1", "b.svg": b"1"}, about=ABOUT)
    put(tmp_path / "a.bpmn", "edited")
    assert objections(tmp_path, {"a.bpmn": b"2", "b.svg": b"2"}, replace=False) == (
        f"{tmp_path / 'a.bpmn'} was edited since it was written (--replace gives it up)",
    )
    assert objections(tmp_path, {"a.bpmn": b"2", "b.svg": b"2"}, replace=True) == ()


def test_files_beside_ours_and_earlier_ones_of_ours_stay(tmp_path: Path) -> None:
    put(tmp_path / "notes.txt", "keep")
    write_documents(tmp_path, {"a.svg": b"1"}, about=ABOUT)
    write_documents(tmp_path, {"b.svg": b"1"}, about=ABOUT)
    assert set(json.loads((tmp_path / LIST).read_text())["files"]) == {"a.svg", "b.svg"}
    assert (tmp_path / "notes.txt").read_text() == "keep"
    assert objections(tmp_path, {"a.svg": b"2"}, replace=False) == ()


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside.txt", "keep")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.svg").symlink_to(outside)
    assert objections(folder, {"a.svg": b"1"}, replace=True)
    (folder / LIST).symlink_to(outside)
    assert "not a list" in objections(folder, {"b.svg": b"1"}, replace=True)[0]


def test_somebody_elses_list_is_not_ours(tmp_path: Path) -> None:
    put(tmp_path / LIST, '{"files": []}')
    assert "not a list that this command wrote" in objections(tmp_path, {"a.svg": b"1"}, replace=True)[0]


def test_a_directory_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    below_a_file = put(tmp_path / "file", "") / "out"
    with pytest.raises(ChangeoverError, match="make the directory writable"):
        write_documents(below_a_file, {"a.svg": b"1"}, about=ABOUT)


def test_the_directory_is_a_directory(tmp_path: Path) -> None:
    code, _, told = invoke(papers.NORDWIND, "--out", put(tmp_path / "file", ""), "--only", NAMES[0])
    assert code == 1
    assert "is not a directory" in told
