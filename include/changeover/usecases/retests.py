"""What the analysis of this run wants tested again in an environment once it is upgraded."""

from __future__ import annotations

from changeover.domain.acceptance import Retest
from changeover.domain.record import MarkKind
from changeover.ports import fresh
from changeover.usecases.tools import Tools, Upgrade


def retests(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[Retest, ...]:
    """The baseline is a copy of another environment, and is tested for what that one has."""
    marked = fresh(MarkKind.ANALYSED, tools.ledger.marks(upgrade.run.key, kind=MarkKind.ANALYSED))
    baseline = upgrade.plan.baseline
    place = baseline.data_from if environment == baseline.name else environment
    found: dict[str, Retest] = {}
    for item in (marked.data.get("impact") or ()) if marked else ():
        if item["weight"] == "inform" or item["environment"] not in ("", place):
            continue
        known = found.get(item["key"])
        subjects = (*(known.subjects if known else ()), str(item["subject"]))
        tests = (*(known.tests if known else ()), *map(str, item["acceptance_tests"]))
        found[item["key"]] = Retest(
            str(item["key"]), tuple(dict.fromkeys(subjects)), str(item["owner"]), tuple(dict.fromkeys(tests))
        )
    return tuple(found.values())
