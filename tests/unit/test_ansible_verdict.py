"""What may be said of an execution; the values are those the real tools were seen to give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from changeover.domain.execution import (
    Ending,
    ExecutionFacts,
    ExecutionVerdict,
    Failure,
    HostQuiet,
    HostState,
    HostSummary,
    HostTally,
    hosts_to_quiet,
    judge,
)
from changeover.domain.record import StepStatus

GONE = "Failed to connect to the host via ssh: ssh: connect to host app03 port 22: Connection refused"
BROKE = "Failed to connect to the host via ssh: Shared connection to app03 closed."


def worked(host: str, **changes: object) -> HostTally:
    return replace(HostTally(host, started=3, ran=3, reached=3, changed=1), **changes)  # type: ignore[arg-type]


def facts(*tallies: HostTally, planned: tuple[str, ...] = ("app01",), **changes: object) -> ExecutionFacts:
    """Everything went well, but for the changes."""
    summary = {tally.host: HostSummary(ok=tally.ran) for tally in tallies}
    known = ExecutionFacts(planned, {tally.host: tally for tally in tallies}, summary, return_code=0)
    return replace(known, **changes)  # type: ignore[arg-type]


def states(verdict: ExecutionVerdict) -> dict[str, HostState]:
    return {host.host: host.state for host in verdict.hosts}


def test_success_needs_every_planned_host() -> None:
    verdict = judge(facts(worked("app01"), worked("app02"), planned=("app01", "app02")))
    assert (verdict.status, verdict.reasons) == (StepStatus.SUCCESSFUL, ())
    assert states(verdict) == {"app01": HostState.OK, "app02": HostState.OK}


def test_a_missing_host_is_named() -> None:
    """The tool says `successful`, rc 0."""
    verdict = judge(facts(worked("app01"), worked("app02"), planned=("app01", "app02", "app03")))
    assert verdict.status is StepStatus.FAILED
    assert verdict.reasons == ("not processed: app03: no task ran",)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"summary": {}}, id="a group that is not in the inventory: successful, rc 0"),
        pytest.param({"summary": None, "return_code": 1}, id="a limit that matches nothing: failed, rc 1, stats null"),
    ],
)
def test_nobody_home_is_no_success(change: dict[str, object]) -> None:
    """C10: three hosts are declared, none was processed, and the tool may well say `successful`."""
    hosts = ("app01", "app02", "app03")
    verdict = judge(facts(planned=hosts, **change))
    assert verdict.status is StepStatus.FAILED
    assert verdict.reasons[0] == "0 of 3 planned hosts were processed: app01, app02, app03"


def test_no_planned_host_is_no_success() -> None:
    assert judge(facts(planned=())).status is StepStatus.FAILED


def test_a_play_that_skipped_everything_did_nothing() -> None:
    """The tool says `successful`, rc 0."""
    skipped = HostTally("app01", started=4, skipped=4)
    verdict = judge(facts(skipped, summary={"app01": HostSummary()}))
    assert verdict.status is StepStatus.FAILED
    assert states(verdict) == {"app01": HostState.NOT_ATTEMPTED}
    assert verdict.hosts[0].message == "every task was skipped (4)"


def test_a_rescued_failure_is_a_failure() -> None:
    """The tool says `successful`, rc 0, `stats.rescued = {app01: 1}`."""
    tally = worked("app01", failures=(Failure("upgrade", "rc 3"),))
    verdict = judge(facts(tally, summary={"app01": HostSummary(ok=2, rescued=1)}))
    assert (verdict.status, states(verdict)) == (StepStatus.FAILED, {"app01": HostState.RESCUED})
    assert verdict.reasons == ("rescued: upgrade on app01: rc 3",)


def test_a_failed_task_is_named_with_its_host() -> None:
    tally = worked("app01", failures=(Failure("upgrade", "rc 3"),))
    summary = {"app01": HostSummary(ok=2, failures=1), "app02": HostSummary(ok=3)}
    verdict = judge(facts(tally, worked("app02"), planned=("app01", "app02"), summary=summary, return_code=2))
    assert verdict.status is StepStatus.FAILED
    assert verdict.reasons == ("failed: upgrade on app01: rc 3", "ansible-playbook return code 2")
    assert verdict.hosts[0].failed_task == "upgrade"


def test_an_ignored_failure_is_told_and_does_not_fail() -> None:
    tally = worked("app01", ignored=(Failure("look for the old log"),))
    verdict = judge(facts(tally, summary={"app01": HostSummary(ok=3, ignored=1)}))
    assert verdict.status is StepStatus.SUCCESSFUL
    assert verdict.hosts[0].message == "failures ignored by the playbook: look for the old log"


def test_an_unreachable_host_is_no_success_even_when_ignored() -> None:
    """The tool says `successful`, rc 0, and counts the dead host as ok and ignored."""
    dead = HostTally("app03", started=1, unreachable=Failure("upgrade", GONE))
    summary = {"app01": HostSummary(ok=3), "app03": HostSummary(ok=1, ignored=1)}
    verdict = judge(facts(worked("app01"), dead, planned=("app01", "app03"), summary=summary))
    assert verdict.status is StepStatus.FAILED
    assert states(verdict)["app03"] is HostState.UNREACHABLE
    assert verdict.reasons == (f"unreachable: app03: {GONE}",)


@pytest.mark.parametrize(
    "lost",
    [
        worked("app03", unreachable=Failure("upgrade", GONE)),
        HostTally("app03", started=1, unreachable=Failure("upgrade", BROKE)),
        HostTally("app03", started=1, unreachable=Failure("upgrade", "hidden: the task is marked no_log")),
    ],
    ids=["after work had begun", "in the first task", "the reason is hidden"],
)
def test_a_host_that_was_lost_may_still_be_at_work(lost: HostTally) -> None:
    known = facts(lost, planned=("app03",), summary={"app03": HostSummary(ok=1, unreachable=1)}, return_code=4)
    assert hosts_to_quiet(known) == ("app03",)
    assert judge(known).status is StepStatus.UNKNOWN

    asked = replace(known, quiet={"app03": HostQuiet("app03", False, "still running: process 7 (installer)")})
    assert judge(asked).status is StepStatus.UNKNOWN
    assert "still running: process 7 (installer)" in judge(asked).reasons[0]

    confirmed = replace(known, quiet={"app03": HostQuiet("app03", True, "no process left")})
    assert judge(confirmed).status is StepStatus.FAILED


@pytest.mark.parametrize("ending", [Ending.TIMED_OUT, Ending.STOPPED])
def test_stopped_means_stopped_on_every_host_that_was_started(ending: Ending) -> None:
    """The runner says `timeout`/`canceled`, rc 254, stats null, while the process lives on."""
    known = facts(
        worked("app01"),
        worked("app02"),
        planned=("app01", "app02", "app03"),
        summary=None,
        return_code=254,
        ending=ending,
        detail="limit of 5 s",
        quiet={"app01": HostQuiet("app01", True, "no process left (2 ended)")},
    )
    assert hosts_to_quiet(known) == ("app01", "app02")
    assert judge(known).status is StepStatus.UNKNOWN
    assert judge(known).reasons[0] == "stop not confirmed on app02: it was not asked"

    confirmed = replace(known, quiet={**known.quiet, "app02": HostQuiet("app02", True, "no process left")})
    assert judge(confirmed).status is StepStatus.FAILED
    assert judge(confirmed).reasons[0] == f"{ending}: limit of 5 s"


def test_stopped_before_any_host_was_started_is_simply_failed() -> None:
    verdict = judge(facts(summary=None, return_code=None, ending=Ending.STOPPED))
    assert verdict.status is StepStatus.FAILED


@pytest.mark.parametrize("return_code", [None, -9, -15])
def test_an_ansible_that_was_killed_leaves_a_question(return_code: int | None) -> None:
    """SIGTERM to ansible-playbook: the runner says `failed`, rc None."""
    assert judge(facts(worked("app01"), return_code=return_code)).status is StepStatus.UNKNOWN
    assert judge(facts(worked("app01"), summary=None, return_code=return_code)).status is StepStatus.UNKNOWN


def test_an_end_without_a_summary_leaves_a_question() -> None:
    quiet = {"app01": HostQuiet("app01", True, "no process left")}
    verdict = judge(facts(worked("app01"), summary=None, quiet=quiet))
    assert verdict.status is StepStatus.UNKNOWN
    assert "ended without a summary after it had started on app01" in verdict.reasons[0]


def test_a_tool_that_broke_leaves_a_question() -> None:
    verdict = judge(facts(worked("app01"), ending=Ending.TOOL_BROKE, detail="Timeout exceeded"))
    assert verdict.status is StepStatus.UNKNOWN
    assert "broke off: Timeout exceeded" in verdict.reasons[0]


def test_one_unreadable_event_leaves_a_question() -> None:
    assert judge(facts(worked("app01"), damaged_events=1)).status is StepStatus.UNKNOWN


@pytest.mark.parametrize(
    "summary",
    [HostSummary(ok=3, failures=1), HostSummary(ok=3, rescued=1), HostSummary(ok=3, unreachable=1)],
)
def test_a_failure_that_only_the_summary_knows_leaves_a_question(summary: HostSummary) -> None:
    verdict = judge(facts(worked("app01"), summary={"app01": summary}))
    assert verdict.status is StepStatus.UNKNOWN
    assert "events of app01 are missing" in verdict.reasons[0]
    assert states(verdict)["app01"] is not HostState.OK


def test_a_host_that_only_the_summary_knows_leaves_a_question() -> None:
    verdict = judge(facts(summary={"app01": HostSummary(ok=3)}))
    assert verdict.status is StepStatus.UNKNOWN


def test_work_on_a_host_that_was_not_planned_is_a_failure() -> None:
    verdict = judge(facts(worked("app01"), worked("app09")))
    assert verdict.status is StepStatus.FAILED
    assert verdict.reasons == ("app09 was worked on and is not a planned host",)


def test_a_return_code_alone_fails_with_the_tools_own_words() -> None:
    verdict = judge(facts(planned=("app01",), summary=None, return_code=4, detail="syntax error in line 3"))
    assert verdict.status is StepStatus.FAILED
    assert verdict.reasons[-1] == "ansible-playbook return code 4: syntax error in line 3"
