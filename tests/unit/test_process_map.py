"""The process map: everything fits, every task stands in it once, and other tools can open it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from changeover.adapters.process_map.bpmn import map_bpmn
from changeover.adapters.process_map.drawio import map_drawio
from changeover.adapters.process_map.layout import PAD, Box, Canvas, Sheet, fit
from changeover.adapters.process_map.lettering import measure, wrap
from changeover.adapters.process_map.svg import PAPERS, Caption, map_pages, map_svg
from changeover.usecases.documents.subject import Subject
from tests.support import papers

NAME = "a-very-long-name-of-an-environment-in-training.eu-west-1"
LONG = (
    papers.NORDWIND.read_text(encoding="utf-8")
    .replace("name: training", f"name: {NAME}")
    .replace("[baseline, training,", f"[baseline, {NAME},")
)
HOSTILE = papers.NORDWIND.read_text(encoding="utf-8").replace(
    "title: Tryton 7.0 to 8.0 for Nordwind Trading GmbH",
    """title: 'A <b>&amp; "title"]]> #panic("no") $x$ </svg><script>alert(1)</script>'""",
)
TEXTS = {"as shipped": None, "a long name": LONG, "a hostile title": HOSTILE, "one window": papers.with_window()}
BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
DI = "{http://www.omg.org/spec/BPMN/20100524/DI}"


def xml(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 -- written by us a moment ago


@cache
def made(text: str) -> Subject:
    return papers.subject(TEXTS[text])


@pytest.fixture(params=TEXTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return made(request.param)


def laid(subject: Subject, canvas: Canvas) -> tuple[tuple[Sheet, ...], Canvas]:
    return fit(subject.tasks, papers.brand_set().brand, canvas)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_card_stands_in_its_lane_on_the_paper(subject: Subject, paper: str) -> None:
    sheets, canvas = laid(subject, PAPERS[paper])
    for sheet in sheets:
        for band in sheet.bands:
            for card in band.cards:
                assert _inside(card.box, band.lanes[card.task.lane])
                assert card.box.right <= canvas.width - canvas.margin
                assert card.box.bottom <= canvas.height - canvas.foot + 0.01


@pytest.mark.parametrize("paper", PAPERS)
def test_no_two_cards_touch_and_every_text_fits_its_card(subject: Subject, paper: str) -> None:
    sheets, _ = laid(subject, PAPERS[paper])
    for band in (band for sheet in sheets for band in sheet.bands):
        assert not any(_overlap(one.box, other.box) for one, other in combinations(band.cards, 2))
        for card in band.cards:
            widest = max(measure(line.text, line.size, bold=line.bold) for line in card.lines)
            assert widest <= card.box.width - 2 * PAD + 0.01
            assert sum(line.size * 1.22 for line in card.lines) <= card.box.height - PAD
        for heading in band.headings:
            assert measure(heading.text, 6.3, bold=True) <= heading.box.width


@pytest.mark.parametrize("paper", PAPERS)
def test_nothing_on_paper_is_smaller_than_six_points(subject: Subject, paper: str) -> None:
    for page in pages(subject, paper):
        assert min(map(float, re.findall(r'font-size="([0-9.]+)"', page))) > 6.2


def pages(subject: Subject, paper: str) -> tuple[str, ...]:
    return map_pages(subject.tasks, papers.brand_set().brand, caption(subject), PAPERS[paper])


def caption(subject: Subject) -> Caption:
    return Caption(subject.plan.title, "below", "foot", papers.brand_set().logo.uri)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_task_stands_once_on_each_paper(subject: Subject, paper: str) -> None:
    drawn = Counter(name for page in pages(subject, paper) for name in _ids(page))
    assert drawn == Counter(task.id for task in subject.tasks)


def test_every_task_stands_once_in_the_picture(subject: Subject) -> None:
    picture = map_svg(subject.tasks, papers.brand_set().brand, caption(subject))
    assert Counter(_ids(picture)) == Counter(task.id for task in subject.tasks)
    title = xml(picture).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == subject.plan.title


def _ids(picture: str) -> list[str]:
    return [element.attrib["id"] for element in xml(picture).iter() if "id" in element.attrib]


def bpmn(subject: Subject) -> ET.Element:
    text = map_bpmn(subject.tasks, papers.brand_set().brand, name=subject.plan.title, process_id=subject.plan.dag_id)
    return xml(text.removeprefix('<?xml version="1.0" encoding="UTF-8"?>'))


def test_every_task_stands_once_in_the_bpmn(subject: Subject) -> None:
    root = bpmn(subject)
    named = [element.attrib["id"] for kind in ("userTask", "serviceTask") for element in root.iter(f"{BPMN}{kind}")]
    assert Counter(named) == Counter(f"task_{task.id}" for task in subject.tasks)
    assert len(list(root.iter(f"{BPMN}userTask"))) == sum(task.asked is not None for task in subject.tasks)


def test_the_bpmn_refers_to_what_is_there_and_draws_all_of_it(subject: Subject) -> None:
    root = bpmn(subject)
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    flows = list(root.iter(f"{BPMN}sequenceFlow"))
    assert all({flow.attrib["sourceRef"], flow.attrib["targetRef"]} <= set(ids) for flow in flows)
    kinds = ("startEvent", "endEvent", "userTask", "serviceTask", "exclusiveGateway")
    nodes = [element.attrib["id"] for kind in kinds for element in root.iter(f"{BPMN}{kind}")]
    assert Counter(ref.text for ref in root.iter(f"{BPMN}flowNodeRef")) == Counter(nodes)
    shapes = [shape.attrib["bpmnElement"] for shape in root.iter(f"{DI}BPMNShape")]
    edges = [edge.attrib["bpmnElement"] for edge in root.iter(f"{DI}BPMNEdge")]
    lanes = [lane.attrib["id"] for lane in root.iter(f"{BPMN}lane")]
    groups = [group.attrib["id"] for group in root.iter(f"{BPMN}group")]
    assert Counter(shapes) == Counter([*nodes, *lanes, *groups, "pool"])
    assert Counter(edges) == Counter(flow.attrib["id"] for flow in flows)


def test_every_step_of_the_bpmn_can_be_reached_and_left(subject: Subject) -> None:
    flows = list(bpmn(subject).iter(f"{BPMN}sequenceFlow"))
    sources = {flow.attrib["sourceRef"] for flow in flows}
    targets = {flow.attrib["targetRef"] for flow in flows}
    assert sources - targets == {"start"}
    assert targets - sources == {"end"}


def test_every_task_stands_once_in_the_drawio(subject: Subject) -> None:
    root = xml(map_drawio(subject.tasks, papers.brand_set().brand, name=subject.plan.title))
    cells = {cell.attrib["id"]: cell for cell in root.iter("mxCell")}
    assert len(cells) == len(list(root.iter("mxCell")))
    for task in subject.tasks:
        assert cells[task.id].attrib["parent"] == f"lane_{task.lane.value}"
    for cell in cells.values():
        assert {cell.attrib.get("source", "0"), cell.attrib.get("target", "0"), cell.attrib.get("parent", "0")} <= set(
            cells
        )


def test_a_title_is_text_in_the_drawio_and_never_markup() -> None:
    hostile = papers.subject(HOSTILE)
    root = xml(map_drawio(hostile.tasks, papers.brand_set().brand, name=hostile.plan.title))
    (pool,) = [cell for cell in root.iter("mxCell") if cell.attrib["id"] == "pool"]
    assert "<script" not in pool.attrib["value"]
    assert "&lt;script" in pool.attrib["value"]


def test_a_word_wider_than_a_line_is_broken() -> None:
    lines = wrap("a-very-long-name-of-an-environment or two", 8, 50)
    assert "".join(lines).replace(" ", "") == "a-very-long-name-of-an-environmentortwo"
    assert len(lines) > 2
    assert all(measure(line, 8) <= 50 for line in lines)


def _inside(box: Box, other: Box) -> bool:
    return other.x <= box.x and other.y <= box.y and box.right <= other.right and box.bottom <= other.bottom


def _overlap(one: Box, other: Box) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom
