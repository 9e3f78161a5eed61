"""Write down what an execution takes for the night, before it does, and that it was given back."""

from __future__ import annotations

from collections.abc import Iterable

from changeover.domain.execution import ExecutionResult
from changeover.domain.record import MarkKind
from changeover.domain.taken import GIVES_BACK, TAKES, outstanding
from changeover.usecases.tools import Tools, Upgrade, mark


def before_execution(upgrade: Upgrade, tools: Tools, environment: str, playbook: str, hosts: Iterable[str]) -> None:
    if playbook not in TAKES:
        return
    open_now = outstanding(tools.ledger.marks(upgrade.run.key, environment=environment))
    for host in hosts:
        if host not in open_now:
            mark(upgrade, tools, MarkKind.TAKEN, environment, host=host, names=[])


def after_execution(
    upgrade: Upgrade, tools: Tools, environment: str, playbook: str, result: ExecutionResult, hosts: Iterable[str]
) -> None:
    """A host tells by name what it closed; only an execution that ended well on all its hosts gave it back."""
    marks = tools.ledger.marks(upgrade.run.key, environment=environment)
    open_now, asked = outstanding(marks), set(hosts)
    for one in result.hosts:
        names = [str(name) for name in one.report.get("taken") or ()]
        if playbook in TAKES and one.host in asked and set(names) - set(open_now.get(one.host, ())):
            mark(upgrade, tools, MarkKind.TAKEN, environment, host=one.host, names=names)
    if playbook in GIVES_BACK and result.successful:
        for host in outstanding(tools.ledger.marks(upgrade.run.key, environment=environment)):
            if host in asked:
                mark(upgrade, tools, MarkKind.GIVEN_BACK, environment, host=host, by=playbook.removesuffix(".yml"))
