"""The documents: whole, in the client's words where they are the client's, the same from the same plan, and current."""

from __future__ import annotations

import html
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from pypdf import PdfReader

from changeover.adapters.paper_data import breakable
from changeover.adapters.project_plan_files import plan_csv
from changeover.domain.paper import Audience, Paper, Section, Table, Text
from changeover.domain.record import MarkKind
from changeover.settings import PROJECT
from changeover.usecases.documents.catalogue import PAPERS
from changeover.usecases.documents.planning import entries
from changeover.usecases.documents.subject import Subject
from tests.support import papers
from tests.support.story import upgraded

SAMPLES = PROJECT / "docs" / "samples"
TEXTUAL = (".html", ".svg", ".bpmn", ".drawio", ".csv", ".ics")
NAMES = sorted(path.name for path in SAMPLES.iterdir())
PDFS = [name for name in NAMES if name.endswith(".pdf")]
TEXTS = [name for name in NAMES if name.endswith(TEXTUAL)]
MM = 72 / 25.4
SIZES = {"a3": (420 * MM, 297 * MM), "11x17": (17 * 72, 11 * 72), "legal": (14 * 72, 8.5 * 72)}
UPDATE = "run ./changeover documents include/plans/nordwind/tryton-8.0.yaml --out docs/samples --planned"


@pytest.fixture(scope="module")
def backed_out(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """With a run in the ledger, whose production was backed out."""
    story = upgraded(tmp_path_factory.mktemp("run"), failed="order-feed-reads-orders")
    return papers.subject(ledger=story.ledger, run=story.run)


@pytest.fixture(params=["planned", "backed out", "one window"])
def subject(request: pytest.FixtureRequest, backed_out: Subject) -> Subject:
    if request.param == "backed out":
        return backed_out
    return papers.subject(papers.with_window() if request.param == "one window" else None)


@cache
def text_of(name: str) -> str:
    """All the text of a sample PDF, without spaces."""
    return squeezed("".join(page.extract_text() for page in PdfReader(io.BytesIO(papers.sample()[name])).pages))


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


# ---- what stands in them


@pytest.mark.parametrize("name", PAPERS)
def test_no_section_is_empty(subject: Subject, name: str) -> None:
    paper = PAPERS[name](subject)
    assert paper.name == name
    assert paper.empty() == ()
    assert all(section.blocks for section in paper.sections)


def test_a_section_in_which_nothing_stands_is_noticed() -> None:
    sections = (Section("A", ()), Section("B", (Text(" "),)), Section("C", (Table(("x",), (), (1,)),)),
                Section("D", (Text("here"),)))  # fmt: skip
    assert Paper("p", "P", Audience.CLIENT, "", sections).empty() == ("A", "B", "C")


@pytest.mark.parametrize("name", PAPERS)
def test_every_row_of_a_table_is_as_long_as_its_head(subject: Subject, name: str) -> None:
    blocks = [block for section in PAPERS[name](subject).sections for block in section.blocks]
    for table in (block for block in blocks if isinstance(block, Table)):
        assert {len(row) for row in table.rows} == {len(table.head)} == {len(table.widths)}


def test_every_task_stands_once_in_the_task_report(subject: Subject) -> None:
    tables = [block for section in PAPERS["task-report"](subject).sections for block in section.blocks]
    named = Counter(row[0].split("\n")[1] for table in tables if isinstance(table, Table) for row in table.rows)
    assert named == Counter(task.id for task in subject.tasks)


def test_the_task_report_shows_every_task_on_paper_and_on_screen() -> None:
    page = html.unescape(papers.sample()["task-report.html"].decode())
    printed = text_of("task-report.pdf")
    for task in papers.subject().tasks:
        assert page.count(f"\n{task.id}</td>") == 1, task.id
        assert squeezed(task.title + task.id) in printed, task.id


def test_the_detail_report_has_roles_systems_documents_and_kpis() -> None:
    titles = [section.title for section in PAPERS["detail-report"](papers.subject()).sections]
    assert titles == ["Sub-processes", "Roles", "Systems", "Documents", "KPIs"]


def test_a_run_shows_its_actual_values(backed_out: Subject) -> None:
    told = "\n".join(PAPERS["implementation-plan"](backed_out).texts())
    assert "approved by Anna Berg" in told
    assert "prod-app1, prod-app2" in told
    assert "not passed" in told
    closing = list(PAPERS["closing-report"](backed_out).texts())
    assert "Not upgraded: the release from before runs again, and was accepted." in closing
    assert "7.0.59" in list(PAPERS["hand-over-pack"](backed_out).texts())


def test_the_hand_over_pack_tells_how_the_watch_went_and_until_when_the_way_back_is_kept(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    label = f"{story.run.key}-production"
    story.mark(MarkKind.HYPERCARE_CHECKED, passed=True)
    story.mark(MarkKind.HYPERCARE_ENDED, reason="3 clean looks in a row")
    for severity in (3, 2):
        story.mark(MarkKind.INCIDENT_SEEN, number="INC7", severity=severity, opened_at="then", summary="slow search")
    closed = {"state": "closed", "closed_at": "2026-12-01T09:30:00+00:00"}
    story.mark(MarkKind.INCIDENT_SEEN, number="INC8", severity=3, opened_at="then", summary="no print", **closed)
    story.mark(MarkKind.HYPERCARE_CHECKED, passed=True, before=["INC1 (severity 3): of old"])

    def told() -> list[str]:
        pack = PAPERS["hand-over-pack"](papers.subject(ledger=story.ledger, run=story.run))
        assert pack.empty() == ()
        return list(pack.texts())

    assert label in told()
    assert "30 days after the run has ended" in told()
    assert tuple(told()[told().index("INC7") :][:4]) == ("INC7", "2", "open", "slow search")
    assert tuple(told()[told().index("INC8") :][:4]) == ("INC8", "3", "closed 2026-12-01 09:30Z", "no print")
    assert "INC1 (severity 3): of old" in told()
    assert any("ended (3 clean looks in a row)" in text for text in told())
    story.mark(MarkKind.CHANGE_CLOSED, outcome="successful")
    assert f"until {story.clock + timedelta(days=30):%Y-%m-%d %H:%MZ}" in told()


def test_the_run_sheet_says_until_when() -> None:
    told = "\n".join(PAPERS["implementation-plan"](papers.subject(papers.with_window())).texts())
    assert "Sat 22:30 Europe/Berlin, 2026-12-05 21:30Z" in told
    assert "Sun 03:10 Europe/Berlin, 2026-12-06 02:10Z" in told


# ---- what the client may read


CLIENT = [name for name in PAPERS if PAPERS[name](papers.subject()).audience is Audience.CLIENT]


def test_these_documents_are_for_the_client() -> None:
    assert CLIENT == ["kickoff-agenda", "kickoff-pack", "project-plan", "upgrade-passport", "closing-report"]


@pytest.mark.parametrize("name", CLIENT)
def test_the_client_sees_what_is_onstage_only(subject: Subject, name: str) -> None:
    texts = list(PAPERS[name](subject).texts())
    for task in subject.tasks:
        if not task.lane.is_seen:
            assert f"{task.title} · {task.environment}" not in texts
            assert task.title not in texts
        assert task.id not in " ".join(texts)
        assert task.effect not in texts


@pytest.mark.parametrize("name", CLIENT)
def test_the_client_sees_no_host_no_reason_and_no_other_client(backed_out: Subject, name: str) -> None:
    told = " ".join(PAPERS[name](backed_out).texts())
    for secret in ("prod-app", "127.0.77", "HTTP 404", "order-feed-reads-orders", "lindgren", "./changeover", "sha256"):
        assert secret not in told


def test_the_passport_has_every_step_that_is_seen() -> None:
    of = papers.subject()
    (steps,) = [section.blocks[0] for section in PAPERS["upgrade-passport"](of).sections
                if section.title == "What you see, in order"]  # fmt: skip
    assert isinstance(steps, Table)
    assert len(steps.rows) == len(of.seen)


def test_the_calendar_and_the_table_have_what_is_seen_only() -> None:
    of = papers.subject(papers.with_window())
    seen = {task.id for task in of.seen}
    keys = {entry.key for entry in entries(of) if entry.kind == "milestone"}
    assert keys
    assert keys <= seen


# ---- how they are made


def test_the_same_plan_gives_the_same_bytes() -> None:
    again = papers.files(papers.subject())
    assert {name for name, content in again.items() if content != papers.sample()[name]} == set()


@pytest.mark.parametrize(("paper", "size"), SIZES.items())
def test_the_maps_have_exactly_the_papers_size(paper: str, size: tuple[float, float]) -> None:
    for page in PdfReader(io.BytesIO(papers.sample()[f"process-map-{paper}.pdf"])).pages:
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(size, abs=0.2)


@pytest.mark.parametrize("name", PDFS)
def test_every_font_is_embedded(name: str) -> None:
    fonts: dict[str, bool] = {}
    for page in PdfReader(io.BytesIO(papers.sample()[name])).pages:
        _fonts(page["/Resources"], fonts)
    assert fonts
    assert [font for font, embedded in fonts.items() if not embedded] == []


def _fonts(resources: Any, found: dict[str, bool]) -> None:
    """Fonts of a page and of what is drawn on it: name → whether it is embedded."""
    resources = resources.get_object()
    for font in (reference.get_object() for reference in resources.get("/Font", {}).values()):
        inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        descriptor = inner["/FontDescriptor"].get_object()
        found[str(font["/BaseFont"])] = any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3"))
    for drawn in (reference.get_object() for reference in resources.get("/XObject", {}).values()):
        if "/Resources" in drawn:
            _fonts(drawn["/Resources"], found)


@pytest.mark.parametrize("paper", SIZES)
def test_the_printed_map_has_every_title_as_text(paper: str) -> None:
    printed = text_of(f"process-map-{paper}.pdf")
    for title, count in Counter(squeezed(task.title) for task in papers.subject().tasks).items():
        assert printed.count(title) >= count, title


def test_text_from_a_plan_is_data() -> None:
    """Typst's marks, HTML and a formula come out as they were written."""
    nasty = """#panic("x") *b* $y$ <script>alert(1)</script> &amp; {{ 7*7 }} \\ `z`"""
    text = papers.NORDWIND.read_text(encoding="utf-8").replace("name: Anna Berg", f"name: '=1+1 {nasty}'")
    made = papers.files(papers.subject(text), "kickoff-pack", "project-plan")
    page = made["kickoff-pack.html"].decode()
    assert "<script>" not in page
    assert nasty in html.unescape(page)
    printed = "".join(p.extract_text() for p in PdfReader(io.BytesIO(made["kickoff-pack.pdf"])).pages)
    assert squeezed(nasty) in squeezed(printed)
    assert ",'=1+1" not in made["project-plan.csv"].decode()
    assert "\"'=1+1" in made["project-plan.csv"].decode()


def test_a_long_word_may_break_and_says_the_same() -> None:
    word = "a" * 50 + ".b_c/" + "d" * 40
    soft = breakable(f"see {word} there")
    assert soft.replace("\u200b", "") == f"see {word} there"
    assert max(map(len, re.split(r"[\s\u200b]", soft))) <= 17
    assert breakable("in short words") == "in short words"


def test_html_loads_nothing_and_runs_nothing() -> None:
    for name, content in papers.sample().items():
        if name.endswith(".html"):
            page = content.decode()
            assert "default-src 'none'" in page
            assert not re.search(r"<script|<link|<iframe|\b(?:src|href)=\"(?!data:)", page), name


def test_the_calendar_can_be_read_and_has_the_window() -> None:
    made = papers.files(papers.subject(papers.with_window()), "project-plan")
    events = {str(event["uid"]): event for event in Calendar.from_ical(made["project-plan.ics"]).walk("VEVENT")}
    assert len(events) == len(entries(papers.subject(papers.with_window())))
    window = events["nordwind.tryton-8.0.09-production-window@changeover"]
    assert window.decoded("dtstart") == datetime(2026, 12, 5, 21, tzinfo=UTC)
    assert window.decoded("dtend") == datetime(2026, 12, 6, 3, tzinfo=UTC)


def test_the_table_has_a_line_for_each_entry() -> None:
    found = entries(papers.subject())
    assert len(plan_csv(found).strip().split("\r\n")) == len(found) + 1


# ---- the samples


def test_the_samples_are_all_there_and_small() -> None:
    assert set(NAMES) == {*papers.sample(), "documents.json"}, UPDATE
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 3_000_000


@pytest.mark.parametrize("name", TEXTS)
def test_a_sample_is_current(name: str) -> None:
    assert (SAMPLES / name).read_bytes() == papers.sample()[name], UPDATE


@pytest.mark.parametrize("name", PDFS)
def test_a_printed_sample_says_what_it_would_say_now(name: str) -> None:
    pages = PdfReader(SAMPLES / name).pages
    assert squeezed("".join(page.extract_text() for page in pages)) == text_of(name), UPDATE


def test_the_samples_were_written_by_the_one_command() -> None:
    listed = json.loads((SAMPLES / "documents.json").read_text(encoding="utf-8"))
    assert set(listed["files"]) == set(papers.sample())
    assert listed["plan"] == "nordwind.tryton-8.0"
