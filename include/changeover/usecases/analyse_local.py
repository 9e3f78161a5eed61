"""An analysis without Airflow: the same use cases on the same ledger, one after the other, in this process."""

from __future__ import annotations

from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Run
from changeover.usecases.analysis import analyse_client, analyse_release
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry


def analyse_here(upgrade: Upgrade, tools: Tools) -> Run:
    """Entry conditions, release, client; each is asked, whatever the one before says, unless no host is known.

    Nobody is told and no change is opened: it is a look, and the run ends with its outcome on record.
    """
    run = tools.ledger.open_run(upgrade.run)
    entry = check_entry(upgrade, tools)
    answers = [entry, analyse_release(upgrade, tools)]
    if tools.ledger.frozen_hosts(run.key):
        answers.append(analyse_client(upgrade, tools))
    against = tuple(answer.text for answer in answers if answer.reply is Reply.NO)
    whole = "no environment in use was touched"
    verdict = (
        Verdict(Outcome.REFUSED, (*against, whole))
        if against
        else Verdict(Outcome.SUCCESSFUL, ("analysis complete, nothing inhibits", whole))
    )
    tools.ledger.record_outcome(run.key, "", verdict, tools.clock())
    return run
