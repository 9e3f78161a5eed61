"""Documents as HTML pages that need nothing else and load nothing."""

from __future__ import annotations

from pathlib import Path

from changeover.adapters.paper_data import Printed, paper_data
from changeover.domain.paper import Paper


def paper_html(paper: Paper, printed: Printed, *, templates: Path) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("document.html.j2")
    return template.render(**paper_data(paper, printed), logo=printed.brand.logo.uri) + "\n"
