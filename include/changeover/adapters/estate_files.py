"""A client's estate as a file: read as strictly as a plan, and written as people write it."""

from __future__ import annotations

from pathlib import Path

from changeover.adapters.document_files import read_document
from changeover.adapters.intake_files import yaml_text
from changeover.adapters.schema_faults import add_faults
from changeover.adapters.yaml_text import YamlText
from changeover.domain.estate import Estate
from changeover.domain.estate_check import estate_faults
from changeover.domain.fault import Reading

THEN = "correct the estate, then run `changeover cmdb import` on it"
_HEAD = "# yaml-language-server: $schema=estate.schema.json\n"


def read_estate(path: Path) -> Reading[Estate]:
    """Every fault at once. Never raises for what is on the disk."""

    def also(document: YamlText, estate: Estate) -> None:
        add_faults(document, estate_faults(estate))

    return read_document(path, Estate, also=also)


def estate_text(estate: Estate) -> str:
    """A file that `cmdb import` takes; what is as by default is left out."""
    return _HEAD + yaml_text({"schema_version": 1, **estate.model_dump(mode="json", exclude_defaults=True)})
