"""Puts adapters behind ports. Everything heavy is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from changeover import settings as settings_module
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.ports import Cmdb, Ledger, Vault
    from changeover.usecases.tools import Tools


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


def tools(*, vault: Vault, tell: Callable[[str], None]) -> Tools:
    """Everything a use case may need, for one task's process."""
    from changeover.adapters.acceptance_suite import PytestAcceptanceSuite
    from changeover.adapters.ansible_runs import AnsibleExecutor
    from changeover.adapters.check_files import load_catalogue
    from changeover.adapters.expectation_suite import GreatExpectationsSuite
    from changeover.adapters.ssh_probe import SshProbe
    from changeover.usecases.tools import Tools

    settings = load_settings()
    return Tools(
        settings=settings,
        catalogue=load_catalogue(settings.checks),
        clock=now,
        ledger=ledger(settings),
        cmdb=cmdb(settings),
        executor=AnsibleExecutor(settings.playbooks),
        probe=SshProbe(),
        acceptance=PytestAcceptanceSuite(settings.acceptance),
        expectations=GreatExpectationsSuite(settings.expectations),
        vault=vault,
        tell=tell,
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


def write_report_files(tools: Tools, run_key: str) -> dict[str, Path]:
    """The run's report as HTML and JSON under the reports directory; written whole or not at all."""
    from changeover.usecases.write_report import write_reports

    return write_reports(
        tools.ledger, tools.cmdb, run_key, directory=tools.settings.reports
    )
