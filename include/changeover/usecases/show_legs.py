"""Show the legs of a path, and how a lane goes through them."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.domain.legs import Hop
from changeover.domain.path import Leg, UpgradePath
from changeover.domain.release import KnownDefect
from changeover.usecases.tree import Branch


def path_branches(path: UpgradePath) -> tuple[Branch, ...]:
    """The planner's answer: every leg with its restore point, gate and share, or why there is none."""
    return (
        *(Branch("no record", fault) for fault in path.faults),
        *(Branch("no path" if path.answer != "no-op" else "nothing to do", reason) for reason in path.reasons),
        *(Branch("not in one hop", reason) for reason in path.detours),
        *(Branch("avoided", text) for text in path.recalled),
        *(_leg(leg, len(path.legs)) for leg in path.legs),
    )


def _leg(leg: Leg, count: int) -> Branch:
    return Branch(
        f"leg {leg.number} of {count}",
        f"{leg.from_version} → {leg.to_version} ({leg.release})",
        (
            *(Branch("before it begins", condition.what) for condition in leg.before),
            Branch("restore point", leg.restore_point),
            Branch("gate", leg.gate),
            Branch("share of the window", f"{leg.share_text}; the rehearsal measures it anew"),
            *(Branch(f"by hand, {step.when}", f"{step.title} ({step.series})") for step in leg.manual_steps),
            *(_change(thing.kind, thing.what, thing.was, thing.becomes) for thing in leg.changed),
            *(Branch(f"defect {defect.id}", _defect(defect)) for defect in leg.defects),
        ),
    )


def _defect(defect: KnownDefect) -> str:
    whom = f"; concerns whoever meets this: {defect.applies_if}" if defect.applies_if else ""
    return f"{defect.title}; {defect.workaround or 'no workaround is known'}{whom}"


def _change(kind: str, what: str, was: str, becomes: str) -> Branch:
    how = f"{was} → {becomes or 'gone'}" if was else becomes
    return Branch(f"changed {kind}", f"{what}: {how}" if how else what)


def by_legs(hops: tuple[Hop, ...]) -> str:
    return f", {len(hops)} legs one after the other" if len(hops) > 1 else ""


def leg_branches(hops: tuple[Hop, ...]) -> Iterator[Branch]:
    """What a lane does leg by leg; the last one's gate is the lane's own acceptance."""
    for what, test in hops[0].before:
        yield Branch("before the restore point", f"{what} (acceptance test {test or 'missing'})")
    if len(hops) < 2:
        return
    for hop in hops:
        steps = [] if hop.first else [f"restore point of {hop.from_version}"]
        steps += ["implement", "acceptance below" if hop.last else f"{hop.to_version} accepted before the next leg"]
        yield Branch(f"leg {hop.number} of {hop.count}", f"{hop.from_version} → {hop.to_version}: {', '.join(steps)}")
    yield Branch("back-out of any leg", f"to the first leg's restore point: {hops[0].from_version} runs again")
