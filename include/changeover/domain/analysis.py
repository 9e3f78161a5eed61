"""The analysis: every check asked once; one that crashes or looks at nothing is itself an inhibitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from changeover.domain import artefact_checks, client_checks, runtime_checks
from changeover.domain.analysis_facts import AnalysisFacts, Said
from changeover.domain.artefacts import ArtefactSet
from changeover.domain.certificates import certificates
from changeover.domain.check import Catalogue, Check, CheckStage
from changeover.domain.discovery import FINDINGS, differences
from changeover.domain.fidelity import Fidelity, fidelity, fidelity_findings
from changeover.domain.finding import Action, ActionKind, Finding, Severity
from changeover.domain.gate import CheckResult, CheckState
from changeover.domain.impact import GONE, MOVED, UNREAD, ImpactItem, impact, impact_findings
from changeover.domain.lesson import CANDIDATE, HOLD, Lesson, lesson_findings

BROKEN = "analysis-check-broken"
Ask = Callable[[AnalysisFacts], Iterable[Said]]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Examiner:
    """Some checks that are answered together. `sections`: parts of a host's report without which it cannot look."""

    name: str
    keys: tuple[str, ...]
    ask: Ask
    sections: tuple[str, ...] = ()
    somewhere: tuple[str, ...] = ()
    """Parts that one host of each environment has to give."""
    told: tuple[str, ...] = ()
    """The same of parts that may be empty: the host that holds the data says that there is none."""
    needs_artefacts: bool = False


@dataclass(frozen=True)
class Analysis:
    """What came of it."""

    findings: tuple[Finding, ...]
    results: tuple[CheckResult, ...]
    """One for each check that was asked."""
    impact: tuple[ImpactItem, ...]
    fidelity: tuple[Fidelity, ...]


def analyse(facts: AnalysisFacts, catalogue: Catalogue, *, learnt: Sequence[Lesson] = ()) -> Analysis:
    """Ask every check; nothing here raises for what a host, a wheel or a client's program looks like."""
    asked = {check.key: check for check in catalogue.at(CheckStage.ANALYSIS, off=facts.plan.checks_off)}
    said: list[Said] = []
    results: list[CheckResult] = []
    examiners = (
        *EXAMINERS,
        Examiner("elsewhere", (HOLD, CANDIDATE), lambda facts: lesson_findings(facts.plan.application, learnt)),
    )
    for examiner in examiners:
        active = [key for key in examiner.keys if key in asked]
        if not active:
            continue
        found, broken = _examined(examiner, facts, asked)
        said += found
        said += [Said(BROKEN, place, text) for place, text in broken]
        if examiner.needs_artefacts and (lacking := _without_artefacts(facts)):
            told_why = f"not judged: there are no artefacts of {', '.join(lacking)}"
            results += [CheckResult(key, "", CheckState.ERROR, told_why) for key in active]
        else:
            results += _results(active, found, broken)
    known = {key for examiner in examiners for key in examiner.keys}
    said += [Said(BROKEN, key, "no check of this name is implemented") for key in asked if key not in known | {BROKEN}]
    items, _ = _guarded(lambda: impact(facts))
    likeness, _ = _guarded(lambda: fidelity(facts))
    return Analysis(_findings(said, asked, catalogue), tuple(results), items or (), likeness or ())


def _without_artefacts(facts: AnalysisFacts) -> tuple[str, ...]:
    """Releases that the way installs and whose artefacts are not there; told once, as artefacts-missing."""
    ends = ((facts.plan.to_version, facts.artefacts), *((stop.record.version, stop.artefacts) for stop in facts.stops))
    return tuple(version for version, found in ends if not (found and found.there))


def _guarded(ask: Callable[[], Found]) -> tuple[Found | None, str]:
    try:
        return ask(), ""
    except Exception as exc:  # noqa: BLE001 - whatever a check meets, the others are asked; and it is told
        return None, f"crashed: {type(exc).__name__}: {exc}"


def _examined(
    examiner: Examiner, facts: AnalysisFacts, asked: Mapping[str, Check]
) -> tuple[list[Said], list[tuple[str, str]]]:
    """What it says, and where it could not look: place → why."""
    found, crash = _guarded(lambda: list(_ask(examiner, facts, asked)))
    broken = [(examiner.name, crash)] if crash else []
    return found or [], [*broken, *_blind(examiner, facts)]


def _ask(examiner: Examiner, facts: AnalysisFacts, asked: Mapping[str, Check]) -> Iterable[Said]:
    if examiner.name == "fidelity":
        return fidelity_findings(fidelity(facts), least_percent=int(asked[examiner.keys[0]].limit("least_percent")))
    if examiner.name == "certificates":
        return certificates(facts, least_days=int(asked[examiner.keys[0]].limit("least_days")))
    return examiner.ask(facts)


def _blind(examiner: Examiner, facts: AnalysisFacts) -> Iterator[tuple[str, str]]:
    """A host or environment that did not give what the check looks at; a host without any report is told elsewhere."""
    read = list(facts.each())
    if (examiner.sections or examiner.somewhere or examiner.told) and not read:
        yield examiner.name, "looked at nothing: no host gave a report"
    for _, host, report in read:
        lacks = [section for section in examiner.sections if report.get(section) is None]
        if lacks:
            yield f"{host}/{examiner.name}", f"the report of {host} has no {', '.join(lacks)}"
    for environment in facts.hosts:
        reports = facts.of(environment).values()
        lacks = [section for section in examiner.somewhere if not any(r.get(section) for r in reports)]
        lacks += [section for section in examiner.told if all(r.get(section) is None for r in reports)]
        if reports and lacks:
            yield f"{environment}/{examiner.name}", f"no host of {environment} reports {', '.join(lacks)}"
    if examiner.needs_artefacts and facts.artefacts and facts.artefacts.there and not facts.artefacts.wheels:
        yield examiner.name, "looked at nothing: the manifest lists no wheel"


def _results(active: Sequence[str], found: Sequence[Said], broken: Sequence[tuple[str, str]]) -> Iterator[CheckResult]:
    """What is found stops an upgrade as a finding (which may be waived); a check that could not look, as a result."""
    for key in active:
        mine = [said for said in found if said.key == key]
        if broken:
            yield CheckResult(key, "", CheckState.ERROR, "; ".join(text for _, text in broken))
        elif mine:
            yield CheckResult(key, "", CheckState.ADVISED, f"{len(mine)} told as findings")
        else:
            yield CheckResult(key, "", CheckState.PASSED)


def _findings(said: Iterable[Said], asked: Mapping[str, Check], catalogue: Catalogue) -> tuple[Finding, ...]:
    """Each once, inhibitors first. What breaks a check is told whether or not the catalogue knows how."""
    once: dict[tuple[str, str, str], Finding] = {}
    for one in said:
        check = asked.get(one.key) or (catalogue.find(BROKEN) if one.key == BROKEN else None)
        if check is not None:
            finding = told(one, check)
            once.setdefault(finding.identity, finding)
        elif one.key == BROKEN:
            once.setdefault((BROKEN, "", one.subject), Finding(BROKEN, one.subject, one.summary))
    return tuple(sorted(once.values(), key=lambda f: (f.severity is not Severity.INHIBITOR, *f.identity)))


def told(said: Said, check: Check) -> Finding:
    """What was said, with what the catalogue says of its check."""
    return Finding(
        check.key,
        said.subject,
        said.summary,
        check.severity,
        check.remediation,
        dict(said.evidence),
        environment=said.environment,
        audience=check.audience,
        groups=check.groups,
        related=said.related,
        actions=(
            *(said.actions or (Action(ActionKind.HINT, check.remediation),)),
            *((check.fix.action(),) if check.fix else ()),
        ),
    )


def _differences(facts: AnalysisFacts) -> Iterable[Said]:
    return differences(
        facts.plan,
        records=facts.records,
        reports=facts.reports,
        hosts=facts.hosts,
        version_scheme=facts.release.version_scheme,
        only=tuple(facts.hosts),
    )


def _of_artefacts(ask: Callable[[AnalysisFacts, ArtefactSet], Iterable[Said]]) -> Ask:
    def asked(facts: AnalysisFacts) -> Iterable[Said]:
        return ask(facts, facts.artefacts) if facts.artefacts and facts.artefacts.there else ()

    return _on_the_way(asked)


def _on_the_way(ask: Ask) -> Ask:
    """Asked of the wanted release, and of each one that the way stops at."""

    def asked(facts: AnalysisFacts) -> Iterator[Said]:
        yield from ask(facts)
        for stop in facts.stops:
            version = stop.record.version
            for said in ask(facts.at_stop(stop)):
                yield said._replace(subject=f"{said.subject} at {version}", summary=f"stop {version}: {said.summary}")

    return asked


_RUN = ("modules", "customisations", "settings", "integrations")
EXAMINERS = (
    Examiner("unchanged", ("analysis-host-unchanged",), client_checks.hosts_unchanged),
    Examiner("differences", FINDINGS, _differences, _RUN),
    Examiner("artefacts", ("artefacts-missing", "artefact-digest"), _on_the_way(artefact_checks.artefacts_there)),
    Examiner(
        "requirements",
        ("artefact-requirement",),
        _of_artefacts(artefact_checks.requirements_there),
        needs_artefacts=True,
    ),
    Examiner(
        "drivers",
        ("artefact-driver",),
        _of_artefacts(artefact_checks.drivers_there),
        ("runtime",),
        needs_artefacts=True,
    ),
    Examiner(
        "dependencies",
        ("artefact-dependency",),
        _of_artefacts(artefact_checks.dependencies_there),
        ("host",),
        needs_artefacts=True,
    ),
    Examiner(
        "platforms",
        ("artefact-platform",),
        _of_artefacts(artefact_checks.platforms_fit),
        ("host",),
        needs_artefacts=True,
    ),
    Examiner(
        "ported",
        ("customisation-unported", "customisation-series"),
        _of_artefacts(artefact_checks.customisations_ported),
        ("customisations",),
        needs_artefacts=True,
    ),
    Examiner(
        "runtime",
        ("runtime-python", "runtime-database"),
        _on_the_way(artefact_checks.runtime_fits),
        ("host", "database"),
    ),
    Examiner("resources", ("runtime-resources",), _on_the_way(runtime_checks.resources_there), ("host",)),
    Examiner("libraries", ("runtime-library",), _on_the_way(runtime_checks.libraries_there), ("runtime",)),
    Examiner("supported", ("runtime-platform",), _on_the_way(runtime_checks.platforms_supported), ("host",)),
    Examiner(
        "vendor-steps",
        ("vendor-step-choice", "vendor-step-uncovered", "vendor-step-by-hand"),
        lambda facts: client_checks.vendor_steps(facts, facts.artefacts),
        somewhere=("manual_steps",),
    ),
    Examiner("vendor-files", ("customisation-edited",), client_checks.vendor_files, ("vendor_files",)),
    Examiner("certificates", ("certificate-expiry",), lambda facts: (), ("certificates",)),
    Examiner(
        "strangers",
        ("integration-unrecorded",),
        client_checks.strangers,
        ("connections",),
        told=("database_clients",),
    ),
    Examiner(
        "impact",
        (MOVED, GONE, UNREAD),
        lambda facts: impact_findings(impact(facts)),
        ("programs", "own", "client_settings", "runtime"),
    ),
    Examiner("fidelity", ("environment-fidelity",), lambda facts: (), ("runtime", "modules")),
)
KEYS = (BROKEN, HOLD, CANDIDATE, *(key for examiner in EXAMINERS for key in examiner.keys))
"""Every check that is implemented here."""
