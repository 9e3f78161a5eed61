"""What the ledger remembers of a run: values, append-only, every one with its time (UTC)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any


def run_key(dag_id: str, dag_run_id: str) -> str:
    """Deterministic name of a run, usable as a path: Airflow's own ids in, so that a retry finds the same run."""
    stamp = "".join(re.findall(r"\d", dag_run_id))[:14] or "run"
    digest = hashlib.sha256(f"{dag_id}\n{dag_run_id}".encode()).hexdigest()[:8]
    return f"{dag_id}.{stamp}-{digest}"


def meant_for(dag_run_id: str) -> datetime | None:
    """The opening at which a run was to start by itself; None for a run that somebody asked for."""
    if not dag_run_id.startswith(BY_ITSELF):
        return None
    try:
        moment = datetime.fromisoformat(dag_run_id.removeprefix(BY_ITSELF))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


BY_ITSELF = "scheduled__"
"""How Airflow's ids of runs begin that a timetable started; their opening follows in ISO format."""


@dataclass(frozen=True)
class Run:
    """One run of one plan. `plan_text` is the exact text that was pinned; `plan_digest` its sha256."""

    key: str
    dag_id: str
    dag_run_id: str
    client: str
    upgrade: str
    application: str
    mode: str
    environments: tuple[str, ...]
    plan_digest: str
    plan_text: str
    requested_by: str
    reason: str
    change_reference: str
    opened_at: datetime
    team: str = ""
    """The team that does the upgrade; "" where the plan names none."""
    findings: tuple[str, ...] = ()
    """In mode `fix`: the findings that are to be cured, each as it was asked for."""


class MarkKind(StrEnum):
    """Things that happened; written before (…ing) or after (…ed) the fact, as the word says."""

    CHANGE_OPENED = "change_opened"
    PARTICIPANTS_TOLD = "participants_told"
    HOSTS_FROZEN = "hosts_frozen"
    ANALYSED = "analysed"
    LANE_STARTED = "lane_started"
    WINDOW_MISSED = "window_missed"
    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"
    PATH_PLANNED = "path_planned"
    """The legs that the run will take: what was analysed is what is carried out, whatever becomes of the records."""
    LEG_RESTORE_POINT = "leg_restore_point"
    """Of a leg after the first, proven: the way back to the stop before it, and never what a back-out goes to."""
    LEG_ACCEPTED = "leg_accepted"
    """A leg that is not the last ended well: every host runs its release, and its gate said yes."""
    RESTORE_POINT_TAKEN = "restore_point_taken"
    RESTORE_POINT_PROVEN = "restore_point_proven"
    IMPLEMENTING = "implementing"
    IMPLEMENTED = "implemented"
    ACCEPTING = "accepting"
    """Acceptance was asked, for the first time or again: what it said before counts no more."""
    ACCEPTED = "accepted"
    SIGNED_OFF = "signed_off"
    DECIDED = "decided"
    COMMITTING = "committing"
    COMMITTED = "committed"
    BACKING_OUT = "backing_out"
    BACKED_OUT = "backed_out"
    STOOD_DOWN = "stood_down"
    VERSION_DISCOVERED = "version_discovered"
    HYPERCARE_CHECKED = "hypercare_checked"
    HYPERCARE_REOPENED = "hypercare_reopened"
    """People are asked whether the release is kept or backed out."""
    HYPERCARE_KEPT = "hypercare_kept"
    HYPERCARE_ENDED = "hypercare_ended"
    SUPPORT_ACCEPTED = "support_accepted"
    RUN_SHEET = "run_sheet"
    CHANGE_CLOSED = "change_closed"
    FIX_CHOSEN = "fix_chosen"
    FIXING = "fixing"
    FIXED = "fixed"
    BLOCKED = "blocked"
    SETTLED = "settled"
    """A person closed what could not be proven: who, why, and what was found."""
    WINDOW_AGREED = "window_agreed"
    BATCH_BEGUN = "batch_begun"
    BATCH_ENDED = "batch_ended"
    HOST_STANDING = "host_standing"
    """Where a host of a batched rollout stands."""
    TRAFFIC_OPENED = "traffic_opened"
    """Written before users are let in again: from here on a back-out may lose what they enter."""
    DATA_AT_STAKE = "data_at_stake"
    """What a back-out would lose, or lost: rows since the restore point, per table."""
    TAKEN = "taken"
    """Something was taken for the change (traffic closed, schedules paused); written before it is taken."""
    GIVEN_BACK = "given_back"
    RESTORE_POINT_REMOVED = "restore_point_removed"
    INCIDENT_SEEN = "incident_seen"
    SURVEY_ASKED = "survey_asked"
    SURVEY_ANSWERED = "survey_answered"
    WAITING = "waiting"
    """A lane waits for what others hold; `reason` says for what."""
    HYPERCARE_EXTENDED = "hypercare_extended"
    """The watch lasts longer: `until` (ISO instant) and `why`, in words the client may read."""
    WAITING_FOR_WINDOW = "waiting_for_window"
    HELD = "held"
    """Nothing further begins until it is resumed: who, why; by the night policy also for which case and until when."""
    RESUMED = "resumed"
    ABORTED = "aborted"
    STOPPING = "stopping"
    """Somebody ends what is at work on hosts: who, why."""
    STOPPED = "stopped"
    """What was seen when work on hosts was ended, and whether that was confirmed."""
    LOCK_TAKEN_OVER = "lock_taken_over"
    """A named person took a host's lock from the run: who, why, and what spoke against it."""
    NIGHT_ACTED = "night_acted"
    """Nobody answered, and the plan's night policy said what happens: case, action, why."""
    DECIDE_BY_NEAR = "decide_by_near"
    DECIDE_BY_PASSED = "decide_by_passed"
    AIRFLOW_PAUSED = "airflow_paused"
    """Seen paused in Airflow: no further task of the run is scheduled."""
    AIRFLOW_UNPAUSED = "airflow_unpaused"


@dataclass(frozen=True)
class Mark:
    run: str
    kind: MarkKind
    at: datetime
    environment: str = ""
    host: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    """Idempotency: a second mark with the same non-empty key in the same run is not written."""


class StepStatus(StrEnum):
    """Of one execution on hosts. `unknown` means the hosts must be asked."""

    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class StepRecord:
    """One step (stage, playbook or gate) of one environment; `hosts` maps host → its state."""

    run: str
    environment: str
    step: str
    generation: int
    started_at: datetime
    ended_at: datetime | None = None
    status: StepStatus = StepStatus.RUNNING
    token: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    directory: str = ""
    task: str = ""
    """The task of Airflow that began it; "" for what a person did without it."""
    changes: bool = False
    """It alters hosts: where its end is not known, somebody has to look before anything else starts there."""

    @property
    def duration(self) -> timedelta | None:
        return None if self.ended_at is None else self.ended_at - self.started_at


@dataclass(frozen=True)
class Evidence:
    """A file that shows something; digests are chained in the order of recording."""

    run: str
    environment: str
    name: str
    path: str
    sha256: str
    at: datetime
