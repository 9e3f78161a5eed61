"""Analyses as one HTML page that needs nothing else, in the report's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from changeover.adapters.report_html import environment
from changeover.domain.analysis_report import AnalysisReport, together

if TYPE_CHECKING:
    from jinja2 import Template


def analysis_html(reports: Sequence[AnalysisReport], broken: Mapping[str, str]) -> str:
    """One client's, or several with which finding concerns whom on top. `broken`: plan → why it is not in here."""
    return _template().render(
        reports=list(reports),
        broken=broken,
        several=len(reports) + len(broken) > 1,
        rows=together(reports),
        inhibited=bool(broken) or any(report.inhibited for report in reports),
    )


@cache
def _template() -> Template:
    return environment().get_template("analysis.html.j2")
