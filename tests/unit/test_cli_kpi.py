"""The commands `kpi` and `effort`: forms, exit codes, and the words of the documents."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters import ledger_sql
from changeover.domain.blueprint_table import KPIS
from changeover.domain.kpi import By
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind
from changeover.domain.survey import Survey, SurveyAnswer
from changeover.orchestration.console_page import LedgerSurvey
from changeover.settings import PROJECT
from tests.support.kpi_ledger import Seeded
from tests.support.records import KEY, NOW, a_run
from tests.unit.test_cli import in_a_process


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a ledger."""
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path))
    for name in ("LEDGER_URL", "CMDB_URL", "RATES"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)
    return tmp_path


@pytest.fixture
def seeded(home: Path) -> Seeded:
    made = Seeded(30)
    made.copy_to(f"sqlite:///{home / 'ledger.db'}")
    return made


@pytest.mark.parametrize("form", ["table", "json", "csv", "png"])
def test_without_a_ledger_there_is_no_data(home: Path, form: str) -> None:
    code, out, err = invoke("kpi", "--format", form)
    assert code == 1
    assert "no data: there is no ledger yet" in out + err
    assert not (home / "ledger.db").exists()
    if form == "json":
        assert (json.loads(out)["schema_version"], {f["value"] for f in json.loads(out)["figures"]}) == (1, {None})


def test_a_time_in_which_nothing_ended_has_no_data(seeded: Seeded) -> None:
    code, _, err = invoke("kpi", "--from", "2020-01-01", "--to", "2020-12-31")
    assert (code, err) == (1, "no data: the ledger holds nothing to count in this time\n")
    assert invoke("kpi", "--from", "2026-02-01", "--to", "2026-01-01")[0] == 2


def test_json_and_csv_hold_the_same_figures(seeded: Seeded) -> None:
    code, out, _ = invoke("kpi", "--format", "json", "--by", "month")
    told = json.loads(out)
    assert (code, told["schema_version"], told["by"]) == (0, 1, "month")
    rows = list(csv.DictReader(io.StringIO(invoke("kpi", "--format", "csv", "--by", "month")[1])))
    assert [(row["kpi"], row["bucket"], row["numerator"]) for row in rows] == [
        (figure["kpi"], figure["bucket"] or "", str(figure["numerator"])) for figure in told["figures"]
    ]
    assert {figure["kpi"] for figure in told["figures"]} == set(KPIS)


def test_the_table_tells_every_kpi_of_every_client(seeded: Seeded) -> None:
    code, out, _ = invoke("kpi", "--by", "client")
    assert code == 0
    for word in ("All", "acme", "lindgren", "nordwind", *(name for name, _ in KPIS.values())):
        assert word in out


def test_the_picture_is_a_png(seeded: Seeded, tmp_path: Path) -> None:
    code, out, _ = invoke("kpi", "--format", "png", "--by", "client", "--out", tmp_path / "new" / "kpi.png")
    picture = (tmp_path / "new" / "kpi.png").read_bytes()
    assert (code, out.strip()) == (0, str(tmp_path / "new" / "kpi.png"))
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


def test_only_the_picture_loads_what_draws_it(seeded: Seeded) -> None:
    ran = in_a_process("kpi", "--format", "csv", modules=True)
    assert ran.returncode == 0, ran.stderr
    assert not {"matplotlib", "numpy", "airflow", "pandas"} & set(ran.stderr.split())


def test_a_time_sheet_is_imported_once_and_counted(seeded: Seeded, tmp_path: Path) -> None:
    run = next(told.run.key for told in seeded.told if all(sheet.run != told.run.key for sheet in seeded.sheets))
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        f"who,role,date,hours,run,plan,billable,why\nanna,upgrade_manager,2026-09-30,2,{run},,no,out_of_scope\n"
    )

    def hours() -> float:
        figures = json.loads(invoke("kpi", "--format", "json")[1])["figures"]
        return sum(float(f["hours"]) for f in figures if (f["part"], f["role"]) == ("out_of_scope", "upgrade_manager"))

    before = hours()
    assert invoke("effort", "import", sheet)[:2] == (0, "1 lines, 2 hours: 1 new, 0 on record before\n")
    assert invoke("effort", "import", sheet)[:2] == (0, "1 lines, 2 hours: 0 new, 1 on record before\n")
    assert round(hours() - before, 2) == 2


def test_a_faulty_time_sheet_is_refused_with_all_its_faults(seeded: Seeded, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("who,role,date,hours,run,plan,billable\nanna,ghost,today,many,,,\n")
    code, _, err = invoke("effort", "import", sheet)
    assert code == 1
    assert all(f"sheet.csv:2: {column}: " in err for column in ("date", "hours", "billable", "run"))
    assert invoke("effort", "import", tmp_path / "none.csv")[0] == 1


def test_rates_are_recorded_for_one_provider(home: Path, seeded: Seeded) -> None:
    assert invoke("effort", "rates", "--provider", "nobody")[0] == 1
    ran = in_a_process("effort", "rates")
    assert ran.returncode == 3
    assert "one provider and one currency" in ran.stderr


@pytest.mark.parametrize("command", [("effort", "rates"), ("effort", "import", "sheet.csv")])
def test_without_a_ledger_nothing_is_recorded(home: Path, command: tuple[str, ...]) -> None:
    assert invoke(*command)[0] == 1
    assert not (home / "ledger.db").exists()


def test_the_page_says_of_each_kpi_what_the_blueprint_says() -> None:
    page = (PROJECT / "docs" / "kpis.md").read_text(encoding="utf-8")
    for name, measured in KPIS.values():
        assert f"| {name} | {measured} |" in page


def test_the_command_line_offers_what_the_domain_knows() -> None:
    assert {str(by) for by in cli.KpiBy} == {str(by) for by in By}


def test_the_link_of_a_survey_is_told_while_it_is_open(home: Path) -> None:
    """The demonstration's story, told to a real ledger: asked at closeout, answered once, then closed."""
    url = f"sqlite:///{home / 'ledger.db'}"
    ledger_sql.migrate(url)
    ledger = ledger_sql.SqlLedger(url)
    ledger.open_run(a_run())
    assert invoke("survey", KEY)[0] == 1
    ledger.mark(Mark(KEY, MarkKind.SURVEY_ASKED, NOW, data={"title": "Tryton"}, key="survey-asked"))
    code, out, err = invoke("survey", "--url", "https://changeover.example.com/")
    prefix = "https://changeover.example.com/changeover/survey/"
    assert (code, out.startswith(prefix)) == (0, True)
    assert "until" in err
    desk = LedgerSurvey()
    token = out.removeprefix(prefix).strip()
    assert desk.open(token) == Survey("Tryton", "nordwind", answered=False)
    assert [desk.answer(token, SurveyAnswer({"overall": n})) for n in (5, 1)] == [True, False]
    assert "was answered" in invoke("survey", KEY)[2]
    ledger.record_outcome(KEY, "", Verdict(Outcome.SUCCESSFUL), NOW)
    figures = json.loads(invoke("kpi", "--format", "json")[1])["figures"]
    assert [(f["value"], f["denominator"]) for f in figures if f["kpi"] == "satisfaction"] == [(5.0, 1)]
