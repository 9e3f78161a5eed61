"""The process map as BPMN 2.0 XML with its diagram: one pool with four lanes, a group around each sub-process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from changeover.adapters.process_map.layout import (
    HEADING,
    LANES,
    Band,
    Box,
    Card,
    Wire,
    endless,
    lay_out,
)
from changeover.domain.blueprint import ALTERNATIVES, Task
from changeover.domain.brand import Brand

_SPACES = {
    "bpmn": "http://www.omg.org/spec/BPMN/20100524/MODEL",
    "bpmndi": "http://www.omg.org/spec/BPMN/20100524/DI",
    "dc": "http://www.omg.org/spec/DD/20100524/DC",
    "di": "http://www.omg.org/spec/DD/20100524/DI",
}
for _prefix, _space in _SPACES.items():
    ET.register_namespace(_prefix, _space)
POOL = 30
EVENT, GATEWAY = 24.0, 30.0
Node = tuple[str, str, Box]
Flow = tuple[str, str, str, str, tuple[tuple[float, float], ...]]


def map_bpmn(tasks: Sequence[Task], brand: Brand, *, name: str, process_id: str) -> str:
    """`process_id` is unique among the maps of a repository, such as the DAG's id."""
    (sheet,) = lay_out(tasks, brand, endless(tasks, text=11, column=150))
    band = sheet.bands[0]
    root = ET.Element(_tag("bpmn:definitions"), id=f"definitions_{_id(process_id)}",
                      targetNamespace="urn:changeover:process-map", exporter="Changeover")  # fmt: skip
    categories = [(f"category_{i}", f"value_{i}", heading.text) for i, heading in enumerate(band.headings)]
    for category, value, text in categories:
        parent = _sub(root, "bpmn:category", id=category)
        _sub(parent, "bpmn:categoryValue", id=value, value=text)
    collaboration = _sub(root, "bpmn:collaboration", id="collaboration")
    _sub(collaboration, "bpmn:participant", id="pool", name=name, processRef="process")
    for i, (_, value, _) in enumerate(categories):
        _sub(collaboration, "bpmn:group", id=f"group_{i}", categoryValueRef=value)
    _process(root, band, name, brand)
    _diagram(root, band)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _process(root: ET.Element, band: Band, name: str, brand: Brand) -> None:
    process = _sub(root, "bpmn:process", id="process", name=name, isExecutable="false")
    lane_set = _sub(process, "bpmn:laneSet", id="lanes")
    nodes, flows = list(_nodes(band)), list(_flows(band))
    for lane, label in LANES.items():
        element = _sub(lane_set, "bpmn:lane", id=f"lane_{lane.value}", name=label)
        for node, _, box in nodes:
            if band.lanes[lane].y <= box.middle < band.lanes[lane].bottom:
                _sub(element, "bpmn:flowNodeRef").text = node
    cards = {_id(card.task.id): card for card in band.cards}
    for node, kind, _ in nodes:
        element = _sub(process, f"bpmn:{kind}", id=node)
        if node in cards:
            element.set("name", cards[node].task.title)
            _sub(element, "bpmn:documentation").text = _documentation(cards[node].task, brand)
        elif kind.endswith("Event"):
            element.set("name", "Ordered" if kind == "startEvent" else "Closed")
        _connect(element, node, flows)
    for flow, source, target, label, _ in flows:
        element = _sub(process, "bpmn:sequenceFlow", id=flow, sourceRef=source, targetRef=target)
        if label:
            element.set("name", label)


def _connect(element: ET.Element, node: str, flows: Sequence[Flow]) -> None:
    """Incoming flows come before outgoing ones."""
    for flow, _, target, *_ in flows:
        if target == node:
            _sub(element, "bpmn:incoming").text = flow
    for flow, source, *_ in flows:
        if source == node:
            _sub(element, "bpmn:outgoing").text = flow


def _documentation(task: Task, brand: Brand) -> str:
    roles = ", ".join(map(brand.role, task.responsible))
    systems = ", ".join(map(brand.system, task.form.systems))
    return f"{task.id}. Responsible: {roles}. Systems: {systems}."


def _nodes(band: Band) -> Iterator[Node]:
    """Id, kind and place; a gateway stands behind the task after which the ways part."""
    entry, leave = band.ports
    yield "start", "startEvent", _around(entry.x, entry.y, EVENT)
    forks = _forks(band)
    for card in band.cards:
        kind = "userTask" if card.task.asked else "serviceTask"
        yield _id(card.task.id), kind, card.box
        if card.task.id in forks:
            box = _gateway(card)
            yield f"after_{_id(card.task.id)}", "exclusiveGateway", box
    yield "end", "endEvent", _around(leave.x, leave.y, EVENT)


def _forks(band: Band) -> set[str]:
    sources = [wire.source for wire in band.wires if wire.source]
    return {source for source in sources if sources.count(source) > 1}


def _gateway(card: Card) -> Box:
    """Under the task, where nothing else of its column stands."""
    return Box(card.box.x + (card.box.width - GATEWAY) / 2, card.box.bottom + 8, GATEWAY, GATEWAY)


def _flows(band: Band) -> Iterator[Flow]:
    forks = _forks(band)
    cards = {card.task.id: card for card in band.cards}
    told: set[str] = set()
    for number, wire in enumerate(band.wires):
        source, target = _id(wire.source) or "start", _id(wire.target) or "end"
        points = wire.points
        if wire.source in forks:
            box = _gateway(cards[wire.source])
            middle = cards[wire.source].box.x + cards[wire.source].box.width / 2
            if wire.source not in told:
                told.add(wire.source)
                straight = ((middle, cards[wire.source].box.bottom), (middle, box.y))
                yield f"to_after_{source}", source, f"after_{source}", "", straight
            label = ALTERNATIVES.get(cards[wire.target].task.name, "")
            yield f"flow_{number}", f"after_{source}", target, label, _from_gateway(box, wire)
            continue
        yield f"flow_{number}", source, target, "", points


def _from_gateway(box: Box, wire: Wire) -> tuple[tuple[float, float], ...]:
    tip = wire.points[-1]
    bend = tip[0] - 18
    return ((box.right, box.middle), (bend, box.middle), (bend, tip[1]), tip)


def _diagram(root: ET.Element, band: Band) -> None:
    diagram = _sub(root, "bpmndi:BPMNDiagram", id="diagram")
    plane = _sub(diagram, "bpmndi:BPMNPlane", id="plane", bpmnElement="collaboration")
    boxes = list(band.lanes.values())
    first, last = boxes[0], boxes[-1]
    _shape(plane, "pool", Box(first.x - POOL, first.y, first.width + POOL, last.bottom - first.y), horizontal=True)
    for lane, box in band.lanes.items():
        _shape(plane, f"lane_{lane.value}", box, horizontal=True)
    for node, _, box in _nodes(band):
        _shape(plane, node, box)
    for i, heading in enumerate(band.headings):
        _shape(plane, f"group_{i}", Box(heading.box.x, first.y - HEADING - 22, heading.box.width,
                                        last.bottom - first.y + HEADING + 44))  # fmt: skip
    for flow, *_, points in _flows(band):
        edge = _sub(plane, "bpmndi:BPMNEdge", id=f"{flow}_edge", bpmnElement=flow)
        for x, y in points:
            _sub(edge, "di:waypoint", x=_n(x), y=_n(y))


def _shape(plane: ET.Element, node: str, box: Box, *, horizontal: bool = False) -> None:
    shape = _sub(plane, "bpmndi:BPMNShape", id=f"{node}_shape", bpmnElement=node)
    if horizontal:
        shape.set("isHorizontal", "true")
    _sub(shape, "dc:Bounds", x=_n(box.x), y=_n(box.y), width=_n(box.width), height=_n(box.height))


def _around(x: float, y: float, size: float) -> Box:
    return Box(x - size / 2, y - size / 2, size, size)


def _id(text: str) -> str:
    """An NCName; task ids have letters, digits, '_', '-' and '.' only."""
    return f"task_{re.sub(r'[^A-Za-z0-9_.-]', '_', text)}" if text else ""


def _tag(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_SPACES[prefix]}}}{local}"


def _sub(parent: ET.Element, tag: str, /, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, _tag(tag), attributes)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
