"""`approve` and `reject`: which request is meant, who may answer it, and what Airflow says to it."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from changeover import cli_approve, cli_run, wiring
from changeover.cli import app
from changeover.cli_session import os_user
from changeover.domain.record import Mark, MarkKind, run_key
from changeover.orchestration.airflow_client import AirflowError, Request
from changeover.usecases.ask import table
from tests.support.records import NOW, a_run

DAG, RUN = "acme.app-2", "manual__2026-12-05T20:00:00+00:00"
KEY = run_key(DAG, RUN)
PLAN = Request(
    DAG, RUN, "s06_planning.approve_plan", "Approve the upgrade?", "", ("Approve", "Reject"), ("ann", "bob"), None, (),
    "awaiting_input",
)  # fmt: skip
GO = replace(PLAN, task_id="s08_s09_production.go_no_go", subject="Go?", asked=("bob",))
GO_TRAINING = replace(GO, task_id="s08_s09_training.go_no_go")


@dataclass
class PlayedServer:
    """An Airflow with some requests; it keeps the answers it was given."""

    requests_: tuple[Request, ...]
    people: dict[str, str] = field(default_factory=lambda: {"ann": "op", "jo": "op"})
    answers: list[tuple[str, str, str, str]] = field(default_factory=list)
    refuses: int = 0
    who: str = "admin"
    password: str = "right"

    def client(self, person: str = "admin", *, password: str | None = None) -> Any:
        return replace(self, who=person, answers=self.answers, password=password or "right")

    def __enter__(self) -> PlayedServer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def requests(self) -> tuple[Request, ...]:
        return self.requests_

    def answer(self, request: Request, option: str, *, comment: str = "") -> None:
        if self.refuses or self.password != "right":
            raise AirflowError("no", status=self.refuses or 401)
        self.answers.append((self.who, request.task_id, option, comment))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> PlayedServer:
    played = PlayedServer((PLAN, GO, GO_TRAINING))
    monkeypatch.setattr(cli_run, "local_server", lambda settings: played)
    monkeypatch.setattr(cli_approve, "os_user", lambda: "root")
    return played


def changeover(*words: str, typed: str = "right") -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), input=f"{typed}\n")
    return done.exit_code, done.output


def test_without_arguments_it_lists_what_waits(server: PlayedServer) -> None:
    code, out = changeover("approve")
    assert code == 0
    assert f"{KEY}  plan  waits for ann or bob\n    Approve the upgrade?\n" in out
    assert f"{KEY}  go-no-go production  waits for bob\n" in out
    assert changeover("reject", "--as", "ann")[1].count("waits for") == 1


def test_a_reopened_decision_is_listed_with_what_it_rests_on_now(
    server: PlayedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow keeps the first request's text; the ledger has the newest facts."""
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path))
    monkeypatch.delenv("CHANGEOVER_LEDGER_URL", raising=False)
    settings = wiring.load_settings()
    wiring.make_own_databases(settings)
    ledger = wiring.ledger(settings)
    ledger.open_run(a_run(KEY))
    for why in ("a host is unwell", "INC7 is new"):
        ledger.mark(Mark(KEY, MarkKind.ASKED, NOW, data={"gate": "hypercare", "facts": [["why", why]]}))
    server.requests_ = (replace(PLAN, task_id="s10_support.hypercare", subject="Keep it?"),)
    assert changeover("approve") == (0, f"{KEY}  hypercare  waits for ann or bob\n    Keep it?\n    why: INC7 is new\n")


def test_requests_that_are_over_do_not_wait(server: PlayedServer) -> None:
    server.requests_ = (replace(PLAN, state="failed"), replace(GO, answered_by="bob"))
    assert changeover("approve") == (0, "nothing waits for anybody\n")


def test_a_person_approves_with_a_comment(server: PlayedServer) -> None:
    code, out = changeover("approve", KEY, "plan", "--as", "ann", "--comment", "after the fair")
    assert code == 0, out
    assert f"ann approved {KEY}  plan; " in out
    kept = "[at a terminal of root] after the fair"
    assert server.answers == [("ann", "s06_planning.approve_plan", "Approve", kept)]


def test_somebody_elses_session_has_to_know_the_password(server: PlayedServer) -> None:
    """Whoever has the shell is not whoever is asked."""
    code, out = changeover("approve", KEY, "plan", "--as", "ann", typed="guessed")
    assert (code, "that is not the password of ann in Airflow; nothing was answered" in out) == (1, True), out
    assert server.answers == []
    assert "guessed" not in out


def test_ones_own_session_needs_no_password(server: PlayedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_approve, "os_user", lambda: "ann")
    code, out = changeover("approve", KEY, "plan", typed="guessed")
    assert (code, "Password" in out) == (0, False), out
    assert server.answers == [("ann", "s06_planning.approve_plan", "Approve", "[at a terminal of ann]")]


def test_no_variable_makes_a_session_another_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ann")
    assert os_user() == pwd.getpwuid(os.getuid()).pw_name


def test_what_is_approved_is_shown_before_it_is(server: PlayedServer) -> None:
    """As the request says it: client, window, deadline, findings, digest; and before the answer, not after it."""
    text = table([("client", "acme"), ("window of production", "22:00 | Berlin"), ("plan digest", "`abc`")])
    server.requests_ = (replace(PLAN, body=f"Read it.\n\n{text}\n\n**Findings**\n\n- advisory: prod1: old disk"), GO)
    shown = [
        "    Approve the upgrade?", "    Read it.", "    client: acme", "    window of production: 22:00 | Berlin",
        "    plan digest: abc", "    Findings", "    - advisory: prod1: old disk",
    ]  # fmt: skip
    assert "\n".join(shown) in changeover("approve")[1]
    out = changeover("approve", KEY, "plan", "--as", "ann")[1]
    assert "\n".join(shown) in out
    assert out.index("old disk") < out.index("Password of ann") < out.index("ann approved")


def test_a_rejection_names_the_environment(server: PlayedServer) -> None:
    server.people["bob"] = "op"
    assert changeover("reject", DAG, "go-no-go", "--environment", "training", "--as", "bob")[0] == 0
    assert server.answers == [("bob", "s08_s09_training.go_no_go", "Reject", "[at a terminal of root]")]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((KEY, "plan", "--as", "jo"), 1, f"jo is not asked at plan of {KEY}; ann or bob may, each as themselves\n"),
        ((KEY, "plan", "--as", "bob"), 1, "bob has no login in this Airflow"),
        ((KEY, "go-no-go", "--as", "bob"), 2, "several requests are meant"),
        ((KEY, "sign-off", "--as", "ann"), 1, f"no open request sign-off in run {KEY}; open are:"),
        (("other", "plan", "--as", "ann"), 1, "no open request plan in run other"),
        ((KEY, "lunch", "--as", "ann"), 2, "'lunch' is not a gate at which people answer; those are plan, go-no-go"),
        ((KEY,), 2, "name the run and the gate"),
        ((KEY, "plan", "--as", "ann", "--comment", "x" * 477), 2, "a comment has at most 476 characters"),
    ],
)
def test_a_no_says_who_may_answer_and_what(server: PlayedServer, words: tuple[str, ...], code: int, told: str) -> None:
    done, out = changeover("approve", *words)
    assert (done, told in out) == (code, True), out
    assert server.answers == []


@pytest.mark.parametrize(
    ("status", "told"), [(409, "answered meanwhile"), (403, "does not let ann answer; ann or bob")]
)
def test_what_airflow_refuses_is_a_no(server: PlayedServer, status: int, told: str) -> None:
    server.refuses = status
    code, out = changeover("approve", KEY, "plan", "--as", "ann")
    assert (code, told in out) == (1, True), out
