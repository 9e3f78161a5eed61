"""What the acceptance tests leave as evidence: their record, their console text and JUnit's report, without secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from changeover.adapters.scrub import Scrubber
from changeover.adapters.whole_file import write_whole

RESULTS, CONSOLE, JUNIT = "results.json", "console.txt", "junit.xml"


def keep_evidence(directories: Sequence[Path], evidence: Path, scrub: Scrubber) -> dict[str, Path]:
    """One file of each kind from whatever the processes left in their directories, each whole or not at all."""

    def left(name: str) -> list[str]:
        files = [each / name for each in directories if (each / name).exists()]
        return [scrub(file.read_text(encoding="utf-8", errors="replace")) for file in files]

    found = {
        "acceptance.xml": _as_one_report(left(JUNIT)),
        "acceptance.json": _as_one_record(left(RESULTS)),
        "acceptance.txt": "\n".join(left(CONSOLE)),
    }
    evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = {}
    for name, text in found.items():
        if text:
            write_whole(evidence / name, text)
            kept[name] = evidence / name
    return kept


def _as_one_record(texts: Sequence[str]) -> str:
    """A process that ended before it wrote its record is missing here, and the gate has no answer then."""
    if len(texts) < 2:
        return "".join(texts)
    records = [json.loads(text) for text in texts]
    whole = {name: [item for each in records for item in each[name]] for name in ("collected", "results", "faults")}
    return json.dumps({"status": max(each["status"] for each in records), **whole})


def _as_one_report(texts: Sequence[str]) -> str:
    """JUnit's format has room for several suites; what is not a report is left as it came."""
    if len(texts) < 2:
        return "".join(texts)
    try:
        first, *others = [ElementTree.fromstring(text) for text in texts]  # noqa: S314 - our own pytest wrote it
    except ElementTree.ParseError:
        return "\n".join(texts)
    for other in others:
        first.extend(other)
    return ElementTree.tostring(first, encoding="unicode", xml_declaration=True)
