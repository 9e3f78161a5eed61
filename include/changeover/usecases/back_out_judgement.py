"""Back-out with judgement: by itself only before users were let in; later by two people, and no row is lost unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from changeover.domain.batch import changed
from changeover.domain.estate import Host
from changeover.domain.loss import BackOutAsked, TableLoss, export_of, opened_at, refusals, table_losses
from changeover.domain.no_return import Reversible
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind, Run
from changeover.ports import Datasets
from changeover.usecases.ask import tally_of
from changeover.usecases.back_out_people import earlier_opening
from changeover.usecases.evidence import business_data_before, keep_text
from changeover.usecases.lane_facts import backed_out_by, earlier_change, lane_marks
from changeover.usecases.restore_points import record_points
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Answer, Tools, Upgrade, hosts_of, mark, no, yes
from changeover.usecases.window_gate import reversible

KEPT = "rows-since-restore-point.json"


def judge(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Yes only when the old release may be put back now; where users were let in, their rows are put aside first."""
    if upgrade.mode is not Mode.BACK_OUT:
        return _by_itself(upgrade, tools, lane)
    earlier, opened = earlier_change(upgrade, tools, lane.name), earlier_opening(upgrade, tools, lane.name)
    asked = BackOutAsked(
        lane.name,
        earlier[1] if earlier else None,
        opened,
        tally_of(upgrade, tools, gate="plan").approved,
        backed_out_by(upgrade, tools, lane.name),
        reversible(upgrade, tools).get("implement", Reversible.UNTIL_COMMIT),
    )
    if reasons := refusals(asked):
        return no(*reasons)
    if earlier is None or opened is None or _begun(upgrade, tools, lane):
        return yes("the old release may be put back")
    return _put_aside(upgrade, tools, lane, earlier[0])


def tell_what_is_at_stake(upgrade: Upgrade, tools: Tools) -> tuple[str, ...]:
    """For those who are asked: what a back-out would lose as things stand, per environment, host and table."""
    told: list[str] = []
    for lane in upgrade.lanes:
        earlier = earlier_change(upgrade, tools, lane.name)
        if earlier is None or earlier_opening(upgrade, tools, lane.name) is None:
            continue
        hosts = _concerned(upgrade, tools, lane, earlier[0])
        work = HostWork("at_stake", "verify.yml", lane.name, upgrade.plan.to_version, changes=False, hosts=hosts)
        read = run_on_hosts(upgrade, tools, work)
        now = {host.host: host.report.get("data") for host in read.hosts}
        losses = _losses(upgrade, tools, lane, earlier[0], now)
        told += (texts := _told(tools, lane, earlier[0], losses))
        mark(upgrade, tools, MarkKind.DATA_AT_STAKE, lane.name, told=texts)
    return tuple(told)


def _by_itself(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """A batched lane knows host by host who was let in, so only its commit counts here."""
    marks = lane_marks(upgrade, tools, lane.name)
    own = tuple(m for m in marks if not (lane.batches and m.kind is MarkKind.TRAFFIC_OPENED))
    opened = opened_at(own)
    if opened is None:
        return yes("users were not let in")
    return no(
        f"users were let in at {opened:%Y-%m-%d %H:%MZ}: nothing is backed out by itself any more",
        f"`changeover run PLAN --mode back-out --environment {lane.name}` shows what would be lost and asks two people",
    )


def _begun(upgrade: Upgrade, tools: Tools, lane: Environment) -> bool:
    return any(m.kind is MarkKind.BACKING_OUT for m in lane_marks(upgrade, tools, lane.name))


def _put_aside(upgrade: Upgrade, tools: Tools, lane: Environment, earlier: Run) -> Answer:
    """Close traffic, copy everything as it is now, and keep the rows that would be lost; nothing without all three."""
    label = f"{upgrade.run.key}-{lane.name}-before-back-out"
    hosts = _concerned(upgrade, tools, lane, earlier)
    work = HostWork(
        "restore_point",
        "restore_point.yml",
        lane.name,
        upgrade.plan.to_version,
        changes=True,
        hosts=hosts,
        restore_point=label,
    )
    taken = run_on_hosts(upgrade, tools, work)
    faults = record_points(upgrade, tools, lane.name, label, taken) if taken.successful else taken.reasons
    now = {host.host: host.report.get("data") for host in taken.hosts}
    losses = _losses(upgrade, tools, lane, earlier, now)
    faults = faults or tuple(_told(tools, lane, earlier, [one for one in losses if not one.known]))
    if not faults:
        faults = _keep(upgrade, tools, lane, losses)
    if faults:
        opened = HostWork("stand_down", "stand_down.yml", lane.name, upgrade.plan.to_version, changes=True, hosts=hosts)
        again = run_on_hosts(upgrade, tools, opened)
        shut = () if again.successful else ("what was closed could not be opened again", *again.reasons)
        return no("what would be lost could not be put aside, so nothing was put back", *faults, *shut)
    texts = _told(tools, lane, earlier, losses)
    mark(upgrade, tools, MarkKind.DATA_AT_STAKE, lane.name, told=texts, kept=f"{KEPT} and restore point {label}")
    for text in texts:
        tools.tell(f"put aside: {text}")
    return yes(f"put aside: {'; '.join(texts)}")


def _concerned(upgrade: Upgrade, tools: Tools, lane: Environment, earlier: Run) -> tuple[Host, ...]:
    """The hosts that would be put back: those that the earlier run left changed."""
    left = changed(tools.ledger.marks(earlier.key, environment=lane.name))
    return tuple(host for host in hosts_of(upgrade, tools, lane.name) if host.name in left)


def _keep(upgrade: Upgrade, tools: Tools, lane: Environment, losses: list[TableLoss]) -> tuple[str, ...]:
    """Written whole, its digest on record, and read once more."""
    wanted = export_of(losses)
    path = keep_text(upgrade, tools, lane.name, KEPT, json.dumps(wanted, indent=1, sort_keys=True, default=str))
    found = json.loads(path.read_text(encoding="utf-8"))
    return () if found == json.loads(json.dumps(wanted, default=str)) else (f"{KEPT} does not read as it was written",)


def _losses(
    upgrade: Upgrade, tools: Tools, lane: Environment, earlier: Run, now: Mapping[str, Datasets | None]
) -> list[TableLoss]:
    about = tools.expectations.queries(upgrade.plan.application, upgrade.plan.to_version)
    keys = {table: tuple(query.get("key") or ()) for table, query in about.items()}
    then = _as_accepted(tools, earlier, lane.name)
    return [
        loss
        for host, tables in sorted(now.items())
        if host in then or tables
        for loss in table_losses(host, then.get(host), tables, keys)
    ] or [TableLoss(lane.name, "the whole application", known=False)]


_AFTER = re.compile(r"^acceptance(_b\d+)?-\d+/business-data-after\.json$")


def _as_accepted(tools: Tools, earlier: Run, environment: str) -> dict[str, Datasets]:
    """Business data of the new release as it was accepted, before users were let in; else as before the change."""
    found: dict[str, Any] = {}
    folder = tools.settings.evidence_directory(earlier.key) / environment
    before = folder / "business-data-before.json"
    if before.exists():
        found |= business_data_before(before)
    for evidence in tools.ledger.evidence(earlier.key):
        if evidence.environment == environment and _AFTER.match(evidence.name) and (folder / evidence.name).exists():
            found |= business_data_before(folder / evidence.name)
    return found


def _told(tools: Tools, lane: Environment, earlier: Run, losses: list[TableLoss]) -> list[str]:
    marks = tools.ledger.marks(earlier.key, environment=lane.name, kind=MarkKind.RESTORE_POINT_PROVEN)
    since = f"{marks[-1].at:%Y-%m-%d %H:%MZ}" if marks else "the restore point"
    told = [loss.told(since) for loss in losses if not loss.nothing]
    return told or ([f"no row was entered since {since}"] if losses else [])
