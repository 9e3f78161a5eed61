"""The teller's task: sends what is due to people, and fails when a channel does not take it."""

from __future__ import annotations

import logging

from changeover.domain.notice import Channels
from changeover.usecases.tell_people import Desk, tell_due

log = logging.getLogger(__name__)


def tell_now() -> str:
    """One pass over runs and plans; what failed is tried again by a later one."""
    from airflow.sdk.exceptions import AirflowFailException

    told = tell_due(_desk())
    for text in told.broken:
        log.error("nothing could be told of %s", text)
    if told.failed or told.broken:
        failed = [f"{delivery.notice}: {delivery.told()}" for delivery in told.failed]
        raise AirflowFailException("; ".join((*failed, *told.broken)))
    return str(told)


def _desk() -> Desk:
    from airflow.providers.common.compat.sdk import conf

    from changeover import wiring
    from changeover.orchestration.notifiers import EmailChannel, WebhookChannel
    from changeover.orchestration.plan_store import PlanStore
    from changeover.orchestration.run_context import worker_tools

    tools = worker_tools()
    settings = tools.settings
    base_url = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return Desk(
        tools=tools,
        book=wiring.notice_book(settings),
        channels={"email": EmailChannel(), "webhook": WebhookChannel()},
        site=Channels(settings.notices_email, settings.notices_webhook),
        upgrade_of=lambda run: wiring.pinned_upgrade(settings, run),
        base_url=base_url,
        survey_link=lambda run, asked_at: wiring.survey_link(settings, base_url, run, asked_at),
        presented_since=PlanStore(settings.plan_store).kept_since,
    )
