"""Documents as PDF, set by typst: the same data give the same bytes, and every font is embedded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from changeover.adapters.glyphs import SHOWN, letters_of, not_printable
from changeover.adapters.paper_data import Printed, breakable, logo_bytes, paper_data
from changeover.adapters.process_map.layout import Canvas
from changeover.domain.paper import Paper
from changeover.errors import DocumentRefused, ToolError

FAMILY = "Liberation Sans"


@dataclass(frozen=True)
class Typesetter:
    """`templates` holds the .typ files and the fonts; `dated` is the day that the files say they are of."""

    templates: Path
    dated: date

    @cached_property
    def _fonts(self) -> Any:
        import typst

        return typst.Fonts(include_system_fonts=False, font_paths=[self.templates / "fonts"])

    @cached_property
    def _letters(self) -> frozenset[int]:
        return letters_of(self.templates / "fonts")

    def paper(self, paper: Paper, printed: Printed) -> bytes:
        data = paper_data(paper, printed, soften=breakable)
        return self._set("document.typ", {**data, "logo": logo_bytes(printed.brand)})

    def drawings(self, pages: Sequence[str], canvas: Canvas, *, title: str, author: str) -> bytes:
        """SVG pages on paper of the canvas's size."""
        data = {"width": canvas.width, "height": canvas.height, "title": title, "author": author, "pages": list(pages)}
        return self._set("process-map.typ", data)

    def _set(self, template: str, data: dict[str, Any]) -> bytes:
        import typst

        if lacking := not_printable(data, self._letters):
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            raise DocumentRefused(
                f"no font has the letters {'; '.join(lacking[:SHOWN])}{more}: they would be printed as empty boxes",
                where=str(self.templates / "fonts"),
                then="put a TrueType font that has them into that directory, or write the text in other letters",
            )
        families = sorted(set(self._fonts.families()) - {FAMILY})
        inputs = {"data": json.dumps({**data, "fonts": [FAMILY, *families]})}
        noon = datetime(self.dated.year, self.dated.month, self.dated.day, 12, tzinfo=UTC)
        path = self.templates / template
        try:
            made = typst.compile(
                path, root=self.templates, font_paths=self._fonts, sys_inputs=inputs, timestamp=int(noon.timestamp())
            )
        except typst.TypstError as exc:
            raise ToolError(
                f"typst could not set the document: {exc}", where=str(path), then="correct the template"
            ) from exc
        return made
