"""Waits in the triggerer, without a worker: until a time, or until somebody holds, resumes or aborts the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

log = logging.getLogger(__name__)
LOOKS_EVERY = 2.0
"""Seconds between two looks into the ledger."""


class SteeringTrigger(BaseTrigger):
    """Fires when the run's steering is not as it was `seen`, and at `until` (ISO) in any case."""

    def __init__(self, run_key: str, environment: str, *, seen: str, until: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own is not annotated
        self.run_key, self.environment, self.seen, self.until = run_key, environment, seen, until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kept = {"run_key": self.run_key, "environment": self.environment, "seen": self.seen, "until": self.until}
        return "changeover.orchestration.triggers.SteeringTrigger", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from changeover import wiring

        until, ledger = datetime.fromisoformat(self.until), wiring.ledger(wiring.load_settings())
        while (left := (until - wiring.now()).total_seconds()) > 0:
            now = await asyncio.to_thread(self._steering, ledger)
            if now != self.seen:
                yield _event(steering=now)
                return
            await asyncio.sleep(min(LOOKS_EVERY, left))
        yield _event(time=self.until)

    def _steering(self, ledger: Any) -> str:
        """A ledger that does not answer changes nothing: the wait goes on, and ends at its time."""
        from changeover.domain.steering import steering

        try:
            return steering(ledger.marks(self.run_key), self.environment).seen
        except Exception as exc:  # noqa: BLE001 -- whatever the database does, a wait that breaks would fail the lane
            log.warning("the ledger does not answer, so the wait goes on: %s", exc)
            return self.seen


def _event(**data: str) -> TriggerEvent:
    return TriggerEvent(data)  # type: ignore[no-untyped-call]  # Airflow's own is not annotated
