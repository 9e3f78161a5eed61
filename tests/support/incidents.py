"""An incidents' desk over a CMDB in memory, as the console has one over the embedded CMDB."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from changeover.adapters.memory import MemoryCmdb
from changeover.domain.incident import Caller, IncidentReport, Taken
from changeover.errors import CmdbUnavailable
from changeover.ports import Incident
from tests.support.records import NOW, an_estate

TOKEN = "t" * 40


@dataclass
class Incidents:
    """`token` is what callers must know; None: nobody was given one."""

    token: str | None = TOKEN
    clients: tuple[str, ...] = ("*",)
    unavailable: bool = False
    now_is: datetime = NOW
    cmdb: MemoryCmdb = field(default_factory=MemoryCmdb)

    def __post_init__(self) -> None:
        self.cmdb.import_estate(an_estate())

    def caller(self) -> Caller | None:
        return None if self.token is None else Caller(self.token, self.clients)

    def now(self) -> datetime:
        return self.now_is

    def record(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]:
        if self.unavailable:
            raise CmdbUnavailable("the CMDB did not answer", where="memory")
        return self.cmdb.record_incident(report)
