"""The files of each document: PDF and HTML, drawings, and sources that other tools open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changeover.adapters.documents_html import paper_html
from changeover.adapters.documents_pdf import Typesetter
from changeover.adapters.paper_data import READERS, Printed
from changeover.adapters.process_map.bpmn import map_bpmn
from changeover.adapters.process_map.drawio import map_drawio
from changeover.adapters.process_map.svg import PAPERS, Caption, map_pages, map_svg
from changeover.adapters.project_plan_files import plan_csv, plan_ics
from changeover.domain.blueprint import Task
from changeover.domain.paper import Audience, Paper
from changeover.domain.plan import Plan
from changeover.domain.schedule import Entry
from changeover.errors import ToolError


@dataclass(frozen=True)
class DocumentSet:
    """Everything is made in memory; nothing is written here."""

    typesetter: Typesetter
    printed: Printed

    def paper(self, paper: Paper) -> dict[str, bytes]:
        if empty := paper.empty():
            raise ToolError(f"{paper.name} has an empty section: {', '.join(empty)}", then="report it with the plan")
        html = paper_html(paper, self.printed, templates=self.typesetter.templates)
        return {
            f"{paper.name}.pdf": self.typesetter.paper(paper, self.printed),
            f"{paper.name}.html": html.encode(),
        }

    def project_plan(self, plan: Plan, entries: Sequence[Entry]) -> dict[str, bytes]:
        return {
            "project-plan.csv": plan_csv(entries).encode(),
            "project-plan.ics": plan_ics(entries, name=plan.title, key=plan.dag_id, dated=self.typesetter.dated),
        }

    def process_map(self, plan: Plan, tasks: Sequence[Task]) -> dict[str, bytes]:
        brand = self.printed.brand.brand
        caption = Caption(
            f"Process map: {plan.title}",
            f"{plan.application} {plan.from_version} to {plan.to_version} for {plan.client}: eleven sub-processes, "
            f"{len(tasks)} tasks. In a thick frame a named person decides.",
            f"{READERS[Audience.INTERNAL]}. {brand.footer} · plan {self.printed.digest[:16]}",
            self.printed.brand.logo.uri,
        )
        files = {
            "process-map.svg": map_svg(tasks, brand, caption).encode(),
            "process-map.bpmn": map_bpmn(tasks, brand, name=plan.title, process_id=plan.dag_id).encode(),
            "process-map.drawio": map_drawio(tasks, brand, name=plan.title).encode(),
        }
        for paper, canvas in PAPERS.items():
            pages = map_pages(tasks, brand, caption, canvas)
            files[f"process-map-{paper}.pdf"] = self.typesetter.drawings(
                pages, canvas, title=caption.title, author=brand.name
            )
        return files
