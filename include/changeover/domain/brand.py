"""A provider's brand: name, logo, colours, and what it calls the blueprint's roles and systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from changeover.domain.blueprint_table import ROLES, SYSTEMS
from changeover.domain.estate import Document, Name
from changeover.domain.plan import Line

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
LogoName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.(svg|png)$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\n\r]*$")]

READABLE = 4.5
"""Contrast of text on white, after WCAG 2.1 (AA)."""


class Colours(Document):
    """Headings and lines, and the tint of each swimlane."""

    primary: Colour
    """Headings, heads of tables; has to be readable on white."""
    accent: Colour
    """Lines and milestones."""
    client: Colour = "#e3eefb"
    """Tint of the client's lane."""
    onstage: Colour = "#e4f3e6"
    """Tint of the onstage lane."""
    backstage: Colour = "#fdf1dc"
    """Tint of the backstage lane."""
    system: Colour = "#ececf1"
    """Tint of the systems' lane."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Colours:
        faults = [
            f"primary: text in {self.primary} on white has a contrast of {contrast(self.primary):.1f}; "
            f"{READABLE} is the least"
            for _ in range(contrast(self.primary) < READABLE)
        ]
        faults += [
            f"{lane}: dark text on {tint} has a contrast of {21 / contrast(tint):.1f}; take a lighter tint"
            for lane, tint in (("client", self.client), ("onstage", self.onstage), ("backstage", self.backstage),
                               ("system", self.system))
            if 21 / contrast(tint) < 2 * READABLE
        ]  # fmt: skip
        if faults:
            raise ValueError("\n".join(faults))
        return self


class Brand(Document):
    """`include/branding/<provider>.yaml`."""

    schema_version: Literal[1]
    """Version of this format."""
    name: Label
    """The provider, as documents call it."""
    logo: LogoName
    """File beside this one: SVG without scripts and links, or PNG."""
    colours: Colours
    """Six hexadecimal digits each, in quotes."""
    roles: Mapping[Name, Label] = Field(default_factory=dict)
    """Role, as plans name it → how documents call it."""
    systems: Mapping[Name, Label] = Field(default_factory=dict)
    """System of the blueprint → how documents call it."""
    footer: Line = ""
    """One line at the foot of every page."""

    @model_validator(mode="after")
    def _systems_are_known(self) -> Brand:
        faults = [
            f"systems.{key}: is not a system of the blueprint; known: {', '.join(SYSTEMS)}"
            for key in self.systems
            if key not in SYSTEMS
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def role(self, key: str) -> str:
        return self.roles.get(key) or ROLES.get(key) or key.replace("_", " ").capitalize()

    def system(self, key: str) -> str:
        return self.systems.get(key) or SYSTEMS[key]


def contrast(colour: str) -> float:
    """Of a colour against white, from 1 (white) to 21 (black)."""

    def linear(value: int) -> float:
        part = value / 255
        return part / 12.92 if part <= 0.03928 else float(((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
