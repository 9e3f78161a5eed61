"""Show the way from one version of a product to another, leg by leg, or why there is none."""

from __future__ import annotations

from typing import Any

from changeover.domain.named import Named
from changeover.domain.path import Answer, Leg, Product, UpgradePath, plan_path
from changeover.domain.path_findings import REMEDIES, path_told
from changeover.domain.window import duration_text
from changeover.usecases.show_legs import path_branches
from changeover.usecases.tree import Branch


def find_path(product: Product, *, from_version: str, to: str, named: Named) -> UpgradePath:
    """`to` is an exact version, or the name of a release such as a series."""
    wanted = next((record.version for record in product.records if record.release == to), to)
    return plan_path(product, from_version=from_version, to_version=wanted, named=named)


_ASK_AGAIN = {
    Answer.DOWNGRADE: "ask again with --downgrade if it is wanted on purpose; in a plan, `downgrade` says why",
    Answer.LINE: "ask again with --change-of-line if it is wanted on purpose; in a plan, `change_of_line` says why",
}


def next_step(path: UpgradePath, named: Named) -> str:
    """What whoever asked can do about an answer that is no path; "" where there is nothing to do."""
    if path.answer is Answer.DOWNGRADE and named.downgrade:
        return "plan a version that the vendor offers to go back to, or back the upgrade out from a restore point"
    return _ASK_AGAIN.get(path.answer, "") or REMEDIES.get(path.answer, "")


def path_tree(path: UpgradePath, named: Named) -> Branch:
    hops = f"{len(path.legs)} leg{'s' if len(path.legs) != 1 else ''}"
    after = [Branch("next", text)] if (text := next_step(path, named)) else []
    said = hops if path.legs else str(path.answer)
    return Branch(f"{path.product} {path.from_version} → {path.to_version}", said, (*path_branches(path), *after))


def path_json(path: UpgradePath) -> dict[str, Any]:
    """Stable: keys are added, never changed, under one `schema_version`."""
    return {
        "schema_version": 1,
        "ok": path.ok,
        "product": path.product,
        "from": path.from_version,
        "to": path.to_version,
        "answer": str(path.answer),
        "reasons": list(path.reasons),
        "not_in_one_hop": list(path.detours),
        "avoided": list(path.recalled),
        "faults": list(path.faults),
        "legs": [_leg(leg) for leg in path.legs],
        "findings": [
            {
                "key": f.key,
                "subject": f.subject,
                "summary": f.summary,
                "severity": str(f.severity),
                "remediation": f.remediation,
            }
            for f in path_told(path)
        ],
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "number": leg.number,
        "from": leg.from_version,
        "to": leg.to_version,
        "release": leg.release,
        "restore_point": leg.restore_point,
        "before": [condition.model_dump(mode="json") for condition in leg.before],
        "gate": leg.gate,
        "estimate": duration_text(leg.estimate) if leg.estimate else None,
        "share": leg.share,
        "manual_steps": [step.model_dump(mode="json") for step in leg.manual_steps],
        "changed": [thing.model_dump(mode="json", by_alias=True) for thing in leg.changed],
        "defects": [defect.model_dump(mode="json") for defect in leg.defects],
    }
