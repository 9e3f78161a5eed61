"""Brands as files: `<provider>.yaml` with its logo beside it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from changeover.adapters.document_files import (
    UnusableFileError,
    demand,
    read_bytes,
    read_document,
    stay_inside,
    unusable,
)
from changeover.adapters.yaml_text import YamlText
from changeover.domain.brand import Brand
from changeover.domain.fault import Reading

LARGEST_LOGO = 256 * 1024
WIDEST_LOGO = 10
"""times its height; a wider one leaves the header no room for the plan's title"""
_PNG = b"\x89PNG\r\n\x1a\n"
_THEN = "correct the brand and its logo; docs/documents.md tells what they may hold"
_ACTIVE = {"script", "foreignObject", "iframe", "use", "animate", "set", "a", "image", "feImage"}


@dataclass(frozen=True)
class Logo:
    form: str
    """svg or png"""
    data: bytes

    @property
    def uri(self) -> str:
        kind = "image/svg+xml" if self.form == "svg" else "image/png"
        return f"data:{kind};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class BrandSet:
    brand: Brand
    logo: Logo


def load_brand(name: str, *, branding: Path) -> BrandSet:
    """Raise `DocumentFaults` with every fault of the brand and of its logo."""
    brand = demand(read_brand(name, branding=branding), then=_THEN)
    return BrandSet(brand, Logo(brand.logo.rsplit(".", 1)[1], read_bytes(branding / brand.logo)))


def read_brand(name: str, *, branding: Path) -> Reading[Brand]:
    """Never raises for what is on the disk."""
    path = branding / f"{name}.yaml"
    known = sorted(found.stem for found in branding.glob("*.yaml"))
    if name not in known:
        return unusable(path, f"there is no brand {name!r}; known: {', '.join(known) or 'none'}")

    def also(document: YamlText, brand: Brand) -> None:
        for fault in logo_faults(branding / brand.logo, branding):
            document.fault(document.line(("logo",)), ("logo",), fault)

    return read_document(path, Brand, also=also)


def logo_faults(path: Path, branding: Path) -> tuple[str, ...]:
    """Why a logo cannot be used; it must be a picture and nothing else."""
    try:
        stay_inside(path, branding)
        data = read_bytes(path)
    except UnusableFileError as exc:
        return (f"{path.name} {exc}",)
    if len(data) > LARGEST_LOGO:
        return (f"{path.name} has {len(data) // 1024} KiB; a logo has at most {LARGEST_LOGO // 1024}",)
    if path.suffix == ".png":
        return _png_faults(path.name, data)
    return _svg_faults(path.name, data)


def _png_faults(name: str, data: bytes) -> tuple[str, ...]:
    from PIL import Image

    if not data.startswith(_PNG):
        return (f"{name} is not a PNG picture",)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            return _shape_faults(name, *picture.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        return (f"{name} is a damaged PNG picture ({exc}); save it again",)


def _shape_faults(name: str, width: float, height: float) -> tuple[str, ...]:
    if width <= WIDEST_LOGO * height:
        return ()
    return (f"{name} is {width:g} wide and {height:g} high; a logo is at most {WIDEST_LOGO} times as wide as high",)


def _svg_size(root: ET.Element) -> tuple[float, float] | None:
    sides = [re.fullmatch(r"([0-9.]+)(?:px)?", root.get(side, "")) for side in ("width", "height")]
    words = (
        [side[1] for side in sides if side] if all(sides) else re.split(r"[\s,]+", root.get("viewBox", "").strip())[2:]
    )
    try:
        width, height = (float(word) for word in words)
    except ValueError:
        return None
    return width, height


def _svg_faults(name: str, data: bytes) -> tuple[str, ...]:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"<?xml-stylesheet" in data:
        return (f"{name} has a document type, entities or a style sheet; save it as plain SVG",)
    try:
        root = ET.fromstring(data)  # noqa: S314 -- entities and document types were refused above
    except ET.ParseError as exc:
        return (f"{name} is not SVG: {exc}",)
    if root.tag != "{http://www.w3.org/2000/svg}svg":
        return (f"{name} is not SVG",)
    size = _svg_size(root)
    faults = list(_shape_faults(name, *size)) if size else []
    for element in root.iter():
        tag = str(element.tag).rsplit("}", 1)[-1]
        if tag in _ACTIVE:
            faults.append(f"{name} has an element <{tag}>; a logo holds shapes and nothing that acts or refers")
        if tag == "text":
            faults.append(f"{name} has text, which needs a font; turn it into outlines")
        if tag == "style" and _refers(element.text or ""):
            faults.append(f"{name} has a style that refers to something; a logo refers to nothing outside itself")
        for key, value in element.attrib.items():
            attribute = key.rsplit("}", 1)[-1]
            if attribute.startswith("on") or attribute == "href" or _refers(value):
                faults.append(f"{name} has the attribute {attribute!r}; a logo refers to nothing outside itself")
    return tuple(dict.fromkeys(faults))


def _refers(style: str) -> bool:
    return "@import" in style or "url(" in style.replace("url(#", "")
