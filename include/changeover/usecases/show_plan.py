"""Show what a plan will do: sub-processes, lanes with their hosts and windows, and the back-out of every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from changeover.domain.estate import EstateEnvironment
from changeover.domain.fault import Reading
from changeover.domain.hypercare import ends_told, reopens_told
from changeover.domain.lane import EntryPoint, RoleDescription
from changeover.domain.legs import Hop, hops_of
from changeover.domain.night import Action, Case, chosen, silence
from changeover.domain.path import Product, UpgradePath, plan_path, product_of
from changeover.domain.plan import Approval, Environment, Plan
from changeover.domain.release import ReleaseRecord
from changeover.domain.role import RoleOffer
from changeover.domain.runsheet import describe_window
from changeover.domain.window import AnyTime, RecurringWindow, Window, duration_text
from changeover.errors import CmdbError
from changeover.ports import Cmdb
from changeover.usecases.show_legs import by_legs, leg_branches, path_branches
from changeover.usecases.tree import Branch


@dataclass(frozen=True)
class Surroundings:
    """What is known around the plan: of an environment its record, None (not in the CMDB), or why it is not known."""

    release: Reading[ReleaseRecord]
    role: Reading[RoleOffer]
    product: Product | None
    estate: dict[str, EstateEnvironment | str | None]
    times: Mapping[str, str] = field(default_factory=dict)
    """Environment → how long its steps take, with where that comes from; "" where nothing was measured."""


def gather(
    plan: Plan,
    *,
    release: Reading[ReleaseRecord],
    role: Reading[RoleOffer],
    cmdb: Cmdb | str,
    product: Product | None = None,
    times: Mapping[str, str] | None = None,
) -> Surroundings:
    """Ask the CMDB for every environment. `cmdb` is the reason as text when there is none to ask."""
    estate: dict[str, EstateEnvironment | str | None] = {}
    for environment in plan.environments:
        if isinstance(cmdb, str):
            estate[environment.name] = cmdb
            continue
        try:
            estate[environment.name] = cmdb.environment(plan.client, plan.application, environment.name)
        except CmdbError as exc:
            estate[environment.name] = str(exc)
    if product is None and release.document is not None:
        product = product_of(release.document)
    return Surroundings(release, role, product, estate, times or {})


def show_plan(plan: Plan, digest: str, around: Surroundings) -> Branch:
    legs = _legs(plan, around)
    description = around.role.document.description if around.role.document else None
    lanes = tuple(_lane(plan, environment, around, description, legs) for environment in plan.lanes)
    return Branch(
        plan.title,
        f"{plan.dag_id}, {plan.application} {plan.from_version} → {plan.to_version}, sha256 {digest[:12] or 'unknown'}",
        (
            *(Branch(f"role {plan.application} is not known", fault.message) for fault in around.role.faults),
            _transition(plan),
            Branch(
                "2 Upgrade Kickoff",
                "roles are resolved, the kickoff note is written",
                _participants(plan),
            ),
            _release_analysis(plan, around),
            _client_analysis(plan),
            _baseline(plan, around, description, legs),
            _planning(plan),
            _preparations(plan, description, legs),
            Branch(
                "8, 9 Readiness Check; Implementation and Testing",
                "one environment after the other",
                lanes,
            ),
            _support(plan),
            Branch(
                "11 Upgrade Project Closeout",
                "exit conditions are checked, the change is closed, the CMDB's versions equal the discovered ones",
            ),
        ),
    )


def _transition(plan: Plan) -> Branch:
    order, contract = plan.statement_of_work, plan.support_contract
    trigger = plan.trigger
    return Branch(
        "1 Transition from Sales",
        "refused unless all of this holds; then the change is opened",
        (
            Branch(
                trigger.kind.replace("_", " "),
                f"{trigger.reference} of {trigger.dated}: {trigger.reason}",
            ),
            Branch(
                f"statement of work {order.id}",
                f"signed {order.signed_on}, valid {order.valid_from} to {order.valid_until}, "
                f"covers {', '.join(order.environments)}",
            ),
            Branch(
                f"support contract {contract.id}",
                f"valid {contract.valid_from} to {contract.valid_until}, covers {', '.join(contract.applications)} in "
                f"{', '.join(contract.environments)}",
            ),
        ),
    )


def _participants(plan: Plan) -> tuple[Branch, ...]:
    return tuple(
        Branch(person.name, f"{person.role.replace('_', ' ')} ({person.side}, {person.id})")
        for person in plan.participants
    )


def _legs(plan: Plan, around: Surroundings) -> tuple[Hop, ...]:
    if around.product is None:
        return (Hop(1, 1, plan.from_version, plan.to_version),)
    return hops_of(_path(plan, around.product))


def _path(plan: Plan, product: Product) -> UpgradePath:
    return plan_path(product, from_version=plan.from_version, to_version=plan.to_version, named=plan.named)


def _release_analysis(plan: Plan, around: Surroundings) -> Branch:
    record, product = around.release.document, around.product
    label = "3 Vendor Software Release Analysis"
    if record is None or product is None:
        return Branch(label, "; ".join(fault.message for fault in around.release.faults))
    return Branch(
        label,
        f"{record.product} {record.version}, released {record.released}",
        (Branch("supported from", " or ".join(record.supported_from)), *path_branches(_path(plan, product))),
    )


def _client_analysis(plan: Plan) -> Branch:
    expected = plan.expected
    parts = (
        ("modules", ", ".join(expected.modules)),
        ("customisations", ", ".join(expected.customisations)),
        ("integrations", ", ".join(expected.integrations)),
        (
            "settings",
            ", ".join(f"{key}={value}" for key, value in expected.settings.items()),
        ),
    )
    return Branch(
        "4 Client-Specific Upgrade Analysis",
        "what really runs is discovered on every host; what differs from this is a finding",
        tuple(Branch(name, text) for name, text in parts if text),
    )


def _baseline(plan: Plan, around: Surroundings, role: RoleDescription | None, legs: tuple[Hop, ...]) -> Branch:
    environment = plan.baseline
    return Branch(
        "5 Baseline Upgrade Build and Testing",
        f"{environment.name}: built at {plan.from_version} from {environment.data_from}'s data, "
        f"upgraded{by_legs(legs)}, accepted, "
        "backed out, old release accepted, upgraded again; every step is timed",
        (
            _hosts(environment, around),
            Branch("window", window_text(environment.window)),
            _step(role, environment, "build"),
            _step(role, environment, "implement"),
            _step(role, environment, "back_out"),
        ),
    )


def _planning(plan: Plan) -> Branch:
    return Branch(
        "6 Upgrade Implementation Planning",
        "run sheet with the measured times, bound to this plan's digest",
        (Branch("change", _model(plan)), _approval(plan), *_night(plan)),
    )


def _model(plan: Plan) -> str:
    emergency = plan.change.emergency
    return f"{plan.change.model}{f': {emergency.reason}' if emergency else ''}"


def _approval(plan: Plan) -> Branch:
    pre = plan.change.pre_approval
    if pre is None:
        return Branch("approval", _asked(plan, plan.approved_by, "plan"))
    return Branch("approval", f"beforehand, as {pre.reference} by {pre.by}, until {pre.until}; refused at high risk")


def _night(plan: Plan) -> tuple[Branch, ...]:
    """Nothing for a plan without a night policy."""
    if plan.night is None:
        return ()
    said = [(case, chosen(plan.night, case)) for case in Case]
    cases = tuple(Branch(case.replace("_", " "), str(action).replace("_", " ")) for case, action in said if action)
    own = tuple(
        Branch(f"{case.replace('_', ' ')} in {name}", str(choice).replace("_", " "))
        for name, part in plan.night.environments.items()
        for case in Case
        if (choice := getattr(part, case, None))
    )
    return (Branch("night policy", "what happens when nobody answers", (*cases, *own)),)


def _preparations(plan: Plan, role: RoleDescription | None, legs: tuple[Hop, ...]) -> Branch:
    lanes = plan.lanes
    steps = tuple(_step(role, lanes[0], name) for name in ("stage", "restore_point", "restore_drill"))
    return Branch(
        "7 Upgrade Preparations",
        f"on every host of {', '.join(lane.name for lane in lanes)}"
        + (f"; the artefacts of {', '.join(hop.to_version for hop in legs)}" if len(legs) > 1 else ""),
        steps,
    )


def _lane(
    plan: Plan,
    environment: Environment,
    around: Surroundings,
    role: RoleDescription | None,
    legs: tuple[Hop, ...],
) -> Branch:
    def step(name: str) -> Branch:
        return _step(role, environment, name)

    go = environment.go_no_go
    sign = environment.sign_off
    limit = duration_text(environment.implement_within)
    return Branch(
        environment.name,
        environment.kind,
        (
            _hosts(environment, around),
            Branch("window", window_text(environment.window)),
            Branch("readiness", "the readiness checks on every host; changes nothing", (step("discover"),)),
            Branch(
                "go/no-go",
                _asked(plan, go, "go_no_go", environment.name)
                if go
                else "the rule alone: every readiness check passed",
            ),
            Branch("restore point", "", tuple(map(step, ("quiesce", "restore_point", "restore_drill")))),
            Branch(
                "implement",
                f"within {limit}{_in_batches(environment)}{by_legs(legs)}",
                (step("implement"), *leg_branches(legs)),
            ),
            Branch("acceptance", "acceptance suite and comparison of business data", (step("verify"),)),
            Branch(
                "sign-off",
                _asked(plan, sign, "sign_off", environment.name) if sign else "passed acceptance is the sign-off",
            ),
            Branch(
                "verdict",
                "one of",
                (
                    Branch("commit", "everything is proven", (step("commit"),)),
                    Branch("back out", f"begun and not proven; {_scope(environment)}", (step("back_out"),)),
                    Branch("stand down", "the change had not begun; what was closed is opened", (step("resume"),)),
                ),
            ),
            Branch("measured times", around.times.get(environment.name) or "none yet: the rehearsal measures them"),
            Branch("settle", "versions are read on every host, the outcome is recorded, the locks are released"),
        ),
    )


def _in_batches(environment: Environment) -> str:
    batches = environment.batches
    if batches is None:
        return ""
    sizes = ", ".join(map(str, batches.sizes))
    canary = ", ".join(batches.canary) or "the first host"
    soak = f", {duration_text(batches.soak)} apart" if batches.soak else ""
    return f" each, in batches: {canary} as canary, then {sizes}{soak}; each is closed, accepted and opened by itself"


def _scope(environment: Environment) -> str:
    return "only the hosts that failed" if environment.back_out == "per_host" else "every touched host"


def _support(plan: Plan) -> Branch:
    care = plan.support.hypercare
    return Branch(
        "10 Initial Support and Transition",
        f"watched for {duration_text(care.length)}, every {duration_text(care.interval)}",
        (
            Branch("ends", ends_told(care, duration_text)),
            Branch("decision reopened", f"{reopens_told(care)}; by {_asked(plan, plan.kept_by, 'hypercare')}"),
            Branch("accepted by", _asked(plan, plan.support.accepted_by, "support")),
            Branch("restore points", f"kept for {duration_text(plan.restore_points_kept)} after the run has ended"),
        ),
    )


def _hosts(environment: Environment, around: Surroundings) -> Branch:
    known = around.estate.get(environment.name)
    if known is None:
        return Branch(
            "hosts",
            f"{environment.name!r} is not in the CMDB; a run is refused until its estate is imported "
            "(./changeover cmdb import FILE)",
        )
    if isinstance(known, str):
        return Branch("hosts", f"unknown: {known}")
    if not known.hosts:
        return Branch("hosts", "none in the CMDB; a run is refused")
    on_record = f"{known.version} on record" if known.version else "no version on record"
    return Branch(
        "hosts",
        f"{len(known.hosts)} in the CMDB, {on_record}",
        tuple(Branch(host.name, f"{host.user}@{host.address}:{host.port}") for host in known.hosts),
    )


def _step(role: RoleDescription | None, environment: Environment, name: str) -> Branch:
    """An entry point of the role, and how it is undone in the role's own words."""
    if reason := environment.not_applicable.get(name):
        return Branch(name, f"does not apply: {reason}")
    if role is None:
        return Branch(name)
    entry = role.entry_points.get(name)
    if entry is None:
        return Branch(name, "the role does not describe it")
    return Branch(name, f"{entry.title}; {_undone(entry)}")


_UNDONE: dict[str, Callable[[str], str]] = {
    "yes": lambda how: f"back-out: {how}",
    "until_commit": lambda how: f"back-out until commit: {how}",
    "no": lambda how: f"no back-out once it is done: {how}",
}


def _undone(entry: EntryPoint) -> str:
    return _UNDONE[entry.reversible](entry.back_out) if entry.changes_host else "changes nothing on the host"


def _asked(plan: Plan, approval: Approval, gate: str, environment: str = "") -> str:
    names = {person.id: person.name for person in plan.participants}
    who = " or ".join(f"{names.get(name, name)} ({name})" for name in approval.by)
    needed = f"{approval.quorum} of " if approval.quorum > 1 else ""
    quiet = _SILENCE[silence(plan.night, gate, environment)]
    return f"{needed}{who}, waited for {duration_text(approval.wait)}; {quiet}"


_SILENCE = {
    Action.HOLD: "without an answer they are asked again",
    Action.BACK_OUT: "no answer is a no and backs out",
    Action.SKIP_ENVIRONMENT: "no answer is a no",
    Action.PROCEED: "no answer lets it go on",
}


def window_text(window: Window) -> str:
    """In the client's wall clock and in UTC; of one that recurs, the rule (`window show` has its nights)."""
    if isinstance(window, AnyTime):
        return f"any time: {window.reason}"
    late = f"; late start until {duration_text(window.late_start_tolerance)} after opening"
    if isinstance(window, RecurringWindow):
        return f"{describe_window(window)}{late}; `changeover window show` lists the nights"
    notes = "".join(f"; {note}" for note in window.clock_notes())
    return f"{window.night.told()}{late}{notes}"
