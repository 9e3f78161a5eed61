"""Reports as files: HTML for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

from changeover.adapters.report_html import report_html, review_html
from changeover.adapters.whole_file import write_whole
from changeover.domain.report import Report
from changeover.domain.review import Review


def report_text(report: Report, form: str) -> str:
    """`form` is html or json."""
    if form == "json":
        return json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n"
    return report_html(report)


def review_text(review: Review, form: str) -> str:
    """`form` is html or json."""
    if form == "json":
        return json.dumps(review.as_json(), indent=2, ensure_ascii=False) + "\n"
    return review_html(review)


def write_review(review: Review, directory: Path) -> dict[str, Path]:
    """Write both forms as `<run>.review.<form>`; a review written before is replaced."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = {}
    for form in ("html", "json"):
        written[form] = directory / f"{review.report.view.run.key}.review.{form}"
        write_whole(written[form], review_text(review, form))
    return written


def write_report(report: Report, directory: Path) -> dict[str, Path]:
    """Write both forms as `<run>.<form>`, each whole or not at all; a report written before is replaced."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = {}
    for form in ("html", "json"):
        written[form] = directory / f"{report.view.run.key}.{form}"
        write_whole(written[form], report_text(report, form))
    return written
