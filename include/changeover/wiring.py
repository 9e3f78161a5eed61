"""Puts adapters behind ports. Everything heavy is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from changeover import settings as settings_module
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.adapters.brand_files import BrandSet
    from changeover.adapters.shelf import DiskShelf
    from changeover.adapters.survey_links import SurveyLinks
    from changeover.domain.analysis_report import AnalysisReport
    from changeover.domain.blueprint import Words
    from changeover.domain.plan import Plan
    from changeover.domain.record import Run
    from changeover.domain.report import Report
    from changeover.ports import (
        Cmdb,
        EffortBook,
        Executor,
        Fleet,
        Holds,
        IncidentLog,
        KpiReader,
        Ledger,
        LockKeeper,
        NoticeBook,
        Vault,
    )
    from changeover.usecases.documents.subject import Subject
    from changeover.usecases.tools import Tools, Upgrade


def load_settings() -> Settings:
    return settings_module.load()


def now() -> datetime:
    return datetime.now(UTC)


def ledger(settings: Settings) -> Ledger:
    from changeover.adapters.ledger_sql import SqlLedger

    return SqlLedger(settings.ledger_url)


def cmdb(settings: Settings) -> Cmdb:
    from changeover.adapters.cmdb_sql import SqlCmdb

    return SqlCmdb(settings.cmdb_url)


def incident_log(settings: Settings) -> IncidentLog:
    """Always the embedded CMDB: another one has its own ways to be told."""
    from changeover.adapters.cmdb_sql import SqlCmdb

    return SqlCmdb(settings.cmdb_url)


def holds() -> Holds:
    from changeover.adapters.host_holds import SshHolds

    return SshHolds()


def lock_keeper(settings: Settings) -> LockKeeper:
    from changeover.adapters.host_release import SshLockKeeper

    return SshLockKeeper(settings.playbooks)


def executor(settings: Settings) -> Executor:
    from changeover.adapters.ansible_runs import AnsibleExecutor

    return AnsibleExecutor(settings.playbooks)


def upgrade_of(settings: Settings, run: Run, plan: Plan) -> Upgrade:
    """The run with its plan and every release record of the plan's product: as pinned, once its plan was approved."""
    from changeover.adapters.release_files import load_release, read_product
    from changeover.usecases.tools import Upgrade

    pinned = settings.pinned_releases(run.key)
    releases = pinned if pinned.is_dir() else settings.releases
    record = load_release(plan.release, releases=releases)
    return Upgrade(run, plan, record, read_product(record.product, releases=releases))


def pin_releases(settings: Settings, upgrade: Upgrade) -> None:
    """From now on the run reads its records as they are now, whatever becomes of the files."""
    from changeover.adapters.pinned_releases import pin_releases as pin

    pin(upgrade.record.product, releases=settings.releases, place=settings.pinned_releases(upgrade.run.key))


def pinned_upgrade(settings: Settings, run: Run) -> Upgrade:
    """The run with the plan text that it was opened on."""
    from changeover.adapters.plan_files import parse_plan

    return upgrade_of(settings, run, parse_plan(run.plan_text.encode(), name="the pinned plan"))


def step_times(settings: Settings, plan: Plan) -> dict[str, str]:
    """Environment → what its steps took so far, told; nothing where there is no ledger yet."""
    from changeover.usecases.planning_facts import times_of

    if not is_made(settings.ledger_url):
        return {}
    book = ledger(settings)
    return {lane.name: times_of(book, plan, lane, read_plan=_read_plan).told() for lane in plan.lanes}


def kpis(settings: Settings) -> KpiReader:
    from changeover.adapters.kpi_sql import SqlKpis

    return SqlKpis(settings.ledger_url)


def effort_book(settings: Settings) -> EffortBook:
    from changeover.adapters.effort_entries import EntryEffortBook
    from changeover.adapters.ledger_sql import open_store

    return EntryEffortBook(open_store(settings.ledger_url))


def survey_links(settings: Settings) -> SurveyLinks:
    from changeover.adapters.survey_links import SurveyLinks, key_in

    return SurveyLinks(settings.survey_key or key_in(settings.home / "survey.key"))


def survey_link(settings: Settings, base_url: str, run: str, asked_at: datetime) -> str:
    """The same link however often it is made; "" where nobody knows an address of ours."""
    from changeover.domain.survey import OPEN_FOR

    return f"{base_url}/changeover/survey/{survey_links(settings).token(run, asked_at + OPEN_FOR)}" if base_url else ""


def fleet(settings: Settings) -> Fleet:
    from changeover.adapters.fleet_entries import EntryFleet
    from changeover.adapters.ledger_sql import open_store

    return EntryFleet(open_store(settings.ledger_url), settings.caps)


def notice_book(settings: Settings) -> NoticeBook:
    from changeover.adapters.ledger_sql import open_store
    from changeover.adapters.notice_entries import EntryNoticeBook

    return EntryNoticeBook(open_store(settings.ledger_url))


def tools(*, vault: Vault, tell: Callable[[str], None], settings: Settings | None = None) -> Tools:
    """Everything a use case may need, for one task's process."""
    from changeover.adapters.acceptance_suite import PytestAcceptanceSuite
    from changeover.adapters.analysis_content import DiskContent
    from changeover.adapters.ansible_runs import AnsibleExecutor
    from changeover.adapters.check_files import load_catalogue
    from changeover.adapters.expectation_suite import GreatExpectationsSuite
    from changeover.adapters.ssh_probe import SshProbe
    from changeover.adapters.ssh_watch import SshWatch
    from changeover.usecases.tools import Tools

    settings = settings or load_settings()
    catalogue = load_catalogue(settings.checks)
    return Tools(
        settings=settings,
        catalogue=catalogue,
        clock=now,
        ledger=ledger(settings),
        cmdb=cmdb(settings),
        executor=AnsibleExecutor(settings.playbooks),
        probe=SshProbe(),
        acceptance=PytestAcceptanceSuite(settings.acceptance),
        expectations=GreatExpectationsSuite(settings.expectations),
        vault=vault,
        tell=tell,
        shelf=shelf(settings),
        content=DiskContent(settings, catalogue),
        watch=SshWatch(),
        fleet=fleet(settings),
    )


def deliver_waiting() -> str:
    """Deliver what waits in the outbox; raise `CmdbError` when something was refused."""
    from changeover.errors import CmdbError
    from changeover.usecases.deliver_outbox import deliver

    settings = load_settings()
    report = deliver(ledger(settings), cmdb(settings), now())
    dead = [write for write in report.failed if write.dead]
    if dead:
        raise CmdbError(
            f"the CMDB refuses {len(dead)} writes: {'; '.join(f'{w.op_key}: {w.error}' for w in dead)}",
            where="outbox",
            then="look at the change in the CMDB, then revive the write",
        )
    return str(report)


def expire_restore_points(vault: Vault) -> str:
    """Remove the restore points whose time is over; what could not be removed is told, and tried again a day later."""
    from changeover.usecases.expire_points import expire_points

    settings = load_settings()
    if not is_made(settings.ledger_url):
        return "there is no ledger yet"
    found = expire_points(
        tools(vault=vault, tell=lambda _: None, settings=settings), lambda run: pinned_upgrade(settings, run)
    )
    return str(found)


def write_report_files(tools: Tools, run_key: str) -> dict[str, Path]:
    """The run's report and its review, as HTML and JSON under the reports directory; each whole or not at all."""
    from changeover.adapters.report_files import write_report, write_review
    from changeover.domain.review import review_of

    gathered = report(tools.ledger, tools.cmdb, run_key)
    reviews = write_review(review_of(gathered), tools.settings.reports)
    return write_report(gathered, tools.settings.reports) | {f"review_{form}": path for form, path in reviews.items()}


def report(ledger: Ledger, cmdb: Cmdb | str, run_key: str) -> Report:
    """Everything there is to say of a run. `cmdb` is the reason as text when there is none to ask."""
    from changeover.errors import LedgerError
    from changeover.usecases.write_report import gather_report

    run = ledger.run(run_key)
    if run is None:
        raise LedgerError("this run is not in the ledger", where=run_key, then="see `changeover status`")
    return gather_report(ledger, cmdb, run, now=now(), read_plan=_read_plan)


def analysis(ledger: Ledger, run_key: str) -> AnalysisReport | None:
    """What the ledger has of a run's analysis; None when it came to none."""
    from changeover.errors import LedgerError
    from changeover.usecases.show_analysis import analysis_of

    run = ledger.run(run_key)
    if run is None:
        raise LedgerError("this run is not in the ledger", where=run_key, then="see `changeover status`")
    return analysis_of(ledger, run, read_plan=_read_plan)


def _read_plan(text: str) -> Plan | None:
    """The pinned plan; one of an older format is none."""
    from changeover.adapters.plan_files import parse_plan
    from changeover.errors import PlanError

    try:
        return parse_plan(text.encode(), name="the pinned plan")
    except PlanError:
        return None


def shelf(settings: Settings) -> DiskShelf:
    """Plans and what they refer to, on disk."""
    from changeover.adapters.shelf import DiskShelf

    return DiskShelf(settings)


def make_own_databases(settings: Settings) -> None:
    """Bring the databases below the home up to date; those of a server are its keeper's."""
    from changeover.adapters import cmdb_sql, ledger_sql

    settings.home.mkdir(parents=True, exist_ok=True)
    for url, migrate in ((settings.ledger_url, ledger_sql.migrate), (settings.cmdb_url, cmdb_sql.migrate)):
        if url.startswith("sqlite:///"):
            migrate(url)


def is_made(url: str) -> bool:
    """Whether the database was ever made; of a server only it can tell, by answering."""
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()


def document_files(subject: Subject, names: Iterable[str], brand: BrandSet, settings: Settings) -> dict[str, bytes]:
    """The documents of these names (of `usecases.documents.catalogue.NAMES`), made in memory: file name → content."""
    from changeover.adapters.document_set import DocumentSet
    from changeover.adapters.documents_pdf import Typesetter
    from changeover.adapters.paper_data import Printed
    from changeover.usecases.documents.catalogue import MAP, PAPERS
    from changeover.usecases.documents.planning import entries

    plan = subject.plan
    made = DocumentSet(
        Typesetter(settings.documents, plan.trigger.dated), Printed(plan.title, subject.given.digest, brand)
    )
    files: dict[str, bytes] = {}
    for name in names:
        if name == MAP:
            files |= made.process_map(plan, subject.tasks)
            continue
        files |= made.paper(PAPERS[name](subject))
        if name == "project-plan":
            files |= made.project_plan(plan, entries(subject))
    return files


def hand_over_pack(upgrade: Upgrade, tools: Tools, words: Words) -> str:
    """What support takes over, with the run's own values, as a page that needs nothing else."""
    from changeover.adapters.brand_files import load_brand
    from changeover.adapters.documents_html import paper_html
    from changeover.adapters.paper_data import Printed
    from changeover.errors import PlanError
    from changeover.usecases.documents.reports import hand_over_pack as pack
    from changeover.usecases.documents.subject import Given, gather

    plan, digest, settings = upgrade.plan, upgrade.run.plan_digest, tools.settings
    role = shelf(settings).role(plan.application)
    if role.document is None:
        raise PlanError(f"the role {plan.application} cannot be read", faults=tuple(map(str, role.faults)))
    brand = load_brand("default", branding=settings.branding)
    given = Given(plan, digest, upgrade.record, role.document.description, tools.catalogue, brand.brand, words)
    paper = pack(gather(given, tools.ledger, run=upgrade.run))
    return paper_html(paper, Printed(plan.title, digest, brand), templates=settings.documents)
