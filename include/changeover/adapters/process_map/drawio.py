"""The process map for draw.io (diagrams.net): a pool with four lanes, every task a shape of its own."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from changeover.adapters.process_map.layout import LABEL, LANES, Band, Box, Card, endless, lay_out
from changeover.domain.blueprint import ALTERNATIVES, Task
from changeover.domain.brand import Brand

TOP = 60.0
EDGE = (
    "edgeStyle=orthogonalEdgeStyle;html=1;rounded=0;strokeColor=#5b6470;fontSize=10;"
    "exitX=1;exitY=0.5;entryX=0;entryY=0.5;"
)


def map_drawio(tasks: Sequence[Task], brand: Brand, *, name: str) -> str:
    (sheet,) = lay_out(tasks, brand, endless(tasks, text=11, column=150))
    band = sheet.bands[0]
    file = ET.Element("mxfile", host="Changeover", type="device")
    diagram = ET.SubElement(file, "diagram", id="process-map", name="Process map")
    model = ET.SubElement(diagram, "mxGraphModel", grid="1", gridSize="10", page="0", tooltips="1", connect="1")
    root = ET.SubElement(model, "root")
    ET.SubElement(root, "mxCell", id="0")
    ET.SubElement(root, "mxCell", {"id": "1", "parent": "0"})
    _pool(root, band, brand, name)
    for card in band.cards:
        _card(root, card, band, brand)
    _ends(root, band)
    _wires(root, band)
    ET.indent(file)
    return ET.tostring(file, encoding="unicode") + "\n"


def _pool(root: ET.Element, band: Band, brand: Brand, name: str) -> None:
    boxes = list(band.lanes.values())
    whole = Box(boxes[0].x, TOP, boxes[0].width + LABEL, boxes[-1].bottom - boxes[0].y)
    _cell(root, "pool", escape(name), whole, "1",
          f"swimlane;html=1;horizontal=0;startSize={LABEL};childLayout=none;fillColor=#ffffff;collapsible=0;"
          f"strokeColor={brand.colours.primary};fontStyle=1;")  # fmt: skip
    for lane, label in LANES.items():
        box = band.lanes[lane]
        _cell(root, f"lane_{lane.value}", escape(label), Box(LABEL, box.y - boxes[0].y, box.width, box.height), "pool",
              f"swimlane;html=1;horizontal=0;startSize={LABEL};childLayout=none;collapsible=0;"
              f"fillColor={getattr(brand.colours, lane.value)};"
              f"swimlaneFillColor={getattr(brand.colours, lane.value)};strokeColor=#c3c9d1;")  # fmt: skip
    for number, heading in enumerate(band.headings):
        box = Box(heading.box.x + LABEL, TOP - 26, heading.box.width, 20)
        _cell(root, f"process_{number}", escape(heading.text), box, "1",
              f"rounded=1;html=1;whiteSpace=wrap;fillColor={brand.colours.primary};fontColor=#ffffff;strokeColor=none;"
              "fontStyle=1;fontSize=11;align=left;spacingLeft=6;")  # fmt: skip


def _card(root: ET.Element, card: Card, band: Band, brand: Brand) -> None:
    task = card.task
    lane = band.lanes[task.lane]
    names = ", ".join(map(brand.system, task.form.systems) if task.lane.value == "system"
                      else map(brand.role, task.responsible))  # fmt: skip
    border = f"strokeColor={brand.colours.accent};strokeWidth=2;" if task.asked else ""
    box = Box(card.box.x - lane.x, card.box.y - lane.y, card.box.width, card.box.height)
    _cell(root, task.id, f"<b>{escape(task.title)}</b><br>{escape(names)}", box, f"lane_{task.lane.value}",
          "rounded=1;arcSize=8;html=1;whiteSpace=wrap;fillColor=#ffffff;fontSize=10;align=left;spacingLeft=4;"
          f"strokeColor={brand.colours.primary};{border}")  # fmt: skip


def _ends(root: ET.Element, band: Band) -> None:
    for port in band.ports:
        lane, box = next((lane, box) for lane, box in band.lanes.items() if box.y <= port.y < box.bottom)
        place = Box(port.x - box.x - 8, port.y - box.y - 8, 16, 16)
        _cell(root, port.name, "", place, f"lane_{lane.value}",
              f"ellipse;html=1;aspect=fixed;strokeWidth={1 if port.name == 'start' else 3};")  # fmt: skip


def _wires(root: ET.Element, band: Band) -> None:
    names = {card.task.id: card.task for card in band.cards}
    for number, wire in enumerate(band.wires):
        source, target = wire.source or "start", wire.target or "end"
        task = names.get(target)
        label = ALTERNATIVES.get(task.name, "") if task and task.process.per_environment else ""
        edge = ET.SubElement(root, "mxCell", {
            "id": f"flow_{number}", "value": escape(label), "parent": "pool", "edge": "1", "source": source,
            "target": target, "style": EDGE,
        })  # fmt: skip
        ET.SubElement(edge, "mxGeometry", {"relative": "1", "as": "geometry"})


def _cell(root: ET.Element, cell: str, value: str, box: Box, parent: str, style: str) -> None:
    """`value` is HTML."""
    attributes = {"id": cell, "value": value, "style": style, "vertex": "1", "parent": parent}
    element = ET.SubElement(root, "mxCell", attributes)
    ET.SubElement(element, "mxGeometry", {
        "x": _n(box.x), "y": _n(box.y), "width": _n(box.width), "height": _n(box.height), "as": "geometry",
    })  # fmt: skip


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
