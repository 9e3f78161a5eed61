"""What the path planner's answer means for an upgrade, as findings with keys that stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from changeover.domain.finding import Finding, Severity
from changeover.domain.named import NOTHING_NAMED, Named
from changeover.domain.path import Answer, Leg, Product, UpgradePath, plan_path
from changeover.domain.release import Condition, ReleaseRecord, target_findings

KEYS = {
    Answer.NO_OP: "release-no-op",
    Answer.DOWNGRADE: "release-downgrade",
    Answer.LINE: "release-line",
    Answer.RECALLED: "release-recalled",
    Answer.VERSION: "release-version",
    Answer.TARGET: "release-target",
    Answer.BLOCKED: "release-path",
}
REMEDIES = {
    Answer.DOWNGRADE: "Say under `downgrade` in the plan why it is wanted, if the vendor supports it.",
    Answer.LINE: "Say under `change_of_line` in the plan why the other line is wanted, or plan a release of this one.",
    Answer.RECALLED: "Plan another release, or have the recall lifted by who may.",
    Answer.VERSION: "Write the exact version as the vendor does.",
    Answer.TARGET: "Plan a version that a release record describes, or write its record.",
    Answer.BLOCKED: "Bring the installation to one of these versions first.",
}


def release_findings(
    record: ReleaseRecord, product: Product, *, from_version: str, to_version: str, named: Named = NOTHING_NAMED
) -> tuple[Finding, ...]:
    """Everything the records say about this upgrade: the plan's own record first, then the whole way."""
    if all(known.release != record.release for known in product.records):
        product = replace(product, records=(*product.records, record))
    path = plan_path(product, from_version=from_version, to_version=to_version, named=named)
    told = path_told(path)
    if path.answer is Answer.VERSION:
        return told
    own = tuple(target_findings(record, to_version=to_version, subject=_subject(path)))
    said = {finding.key for finding in own} & {"release-target", "release-recalled"}
    return (*own, *(finding for finding in told if finding.key not in said))


def path_told(path: UpgradePath) -> tuple[Finding, ...]:
    """The planner's answer and what every leg brings; every fault at once."""
    subject = _subject(path)
    found = [
        Finding(
            "release-record-unreadable", path.product, fault, remediation="Correct the record; see `release check`."
        )
        for fault in path.faults
    ]
    if path.answer in KEYS:
        found.append(
            Finding(KEYS[path.answer], subject, "; ".join(path.reasons), remediation=REMEDIES.get(path.answer, ""))
        )
    if len(path.legs) > 1:
        found.append(_several_legs(path, subject))
    found += [
        Finding("release-recalled", subject, f"avoided: {text}", Severity.ADVISORY)
        for text in path.recalled
        if path.answer is not Answer.RECALLED
    ]
    for leg in path.legs:
        found += _leg_findings(path, leg)
    return tuple(found)


def _subject(path: UpgradePath) -> str:
    return f"{path.product} {path.from_version} -> {path.to_version}"


def _several_legs(path: UpgradePath, subject: str) -> Finding:
    """An environment goes through one after the other; each has a restore point and a gate of its own."""
    legs = "; ".join(f"{leg.number}. {leg.from_version} -> {leg.to_version} ({leg.release})" for leg in path.legs)
    why = "; ".join(path.detours)
    return Finding(
        "release-legs",
        subject,
        f"{why}; every environment goes through {len(path.legs)} legs: {legs}",
        Severity.ADVISORY,
        evidence={"legs": [leg.release for leg in path.legs]},
    )


def _unproven(conditions: Iterable[Condition], version: str, subject: str) -> Iterator[Finding]:
    """Conditions before a version is left of which no acceptance test says whether they are met."""
    for condition in conditions:
        if not condition.acceptance_test:
            text = f"nothing proves what has to be true before {version} is left: {condition.what}"
            cure = "Write an acceptance test that proves it, and name it under `acceptance_test` in the release record."
            yield Finding("release-leg-condition", subject, text, remediation=cure)


def _leg_findings(path: UpgradePath, leg: Leg) -> Iterator[Finding]:
    subject = f"{path.product} {leg.from_version} -> {leg.to_version}"
    told = f"restore point {leg.restore_point}; gate: {leg.gate}; share of the window: {leg.share_text}"
    yield Finding("release-leg", subject, f"leg {leg.number} of {len(path.legs)}: {told}", Severity.ADVISORY)
    yield from _unproven(leg.before, leg.from_version, f"{path.product} {leg.from_version}")
    yield from _unproven(leg.record.before_leaving if not leg.last else (), leg.to_version, subject)
    if leg.manual_steps:
        titles = "; ".join(step.title for step in leg.manual_steps)
        text = f"the vendor asks for {len(leg.manual_steps)} manual steps: {titles}"
        yield Finding("release-manual-steps", subject, text, Severity.ADVISORY)
    for thing in leg.changed:
        text = f"{thing.was} becomes {thing.becomes or 'gone'}" if thing.was else f"now {thing.becomes or 'gone'}"
        yield Finding(f"release-changed-{thing.kind}", thing.what, text, Severity.ADVISORY)
    for defect in leg.defects:
        fixed = f"fixed in {', '.join(defect.fixed_in)}" if defect.fixed_in else "no fix is known"
        whom = f"; concerns whoever meets this: {defect.applies_if}" if defect.applies_if else ""
        text = f"{leg.to_version} has it: {defect.title}; {fixed}{whom}"
        yield Finding("release-defect", defect.id, text, Severity(defect.severity), defect.workaround)
    for record in leg.crossed:
        for terms in record.terms:
            yield Finding(f"release-{terms.kind}", f"{path.product} {record.release}", terms.what, Severity.ADVISORY)
    for what, way_back in dict.fromkeys((one.what, one.way_back) for each in leg.crossed for one in each.irreversible):
        text = f"{what}; the way back: {way_back}"
        yield Finding("release-irreversible", subject, text, Severity.ADVISORY)
