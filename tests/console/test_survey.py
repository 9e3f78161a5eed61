"""The survey: a signed link opens it and nothing else, and the first answer counts."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from changeover.adapters.survey_links import SurveyLinks, key_in
from changeover.console.app import build_app
from changeover.domain.survey import LONGEST_COMMENT
from changeover.errors import ChangeoverError
from tests.support.incidents import Incidents
from tests.support.surveys import SECRET, Desk


def nobody() -> None:
    raise HTTPException(401)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return TestClient(
        build_app(may_read=nobody, page=lambda key: "<h1>record</h1>", survey=desk, incidents=Incidents())
    )


def test_the_link_shows_the_questions_without_a_login_and_nothing_else(client: TestClient, desk: Desk) -> None:
    answer = client.get(f"/survey/{desk.token()}")
    assert answer.status_code == 200
    assert "How was this upgrade as a whole?" in answer.text
    assert "Tryton &lt;8&gt;" in answer.text
    assert "anna.berg" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get("/record/nordwind-erp", params={"run": "manual__1"}).status_code == 401


def test_an_answer_is_kept_and_counts_once(client: TestClient, desk: Desk) -> None:
    link = f"/survey/{desk.token()}"
    first = client.post(link, data={"overall": "4", "result": "5", "comment": "well\r\ndone"})
    assert "Your answer has been received." in first.text
    again = client.post(f"/survey/{desk.token(lasts=timedelta(days=2))}", data={"overall": "1"})
    assert "answered before" in again.text
    assert "answered before" in client.get(link).text
    assert desk.answers() == [{"overall": 4, "result": 5, "comment": "well\ndone"}]


def test_a_link_that_is_not_ours_opens_nothing(client: TestClient, desk: Desk) -> None:
    good = desk.token()
    forged = SurveyLinks("x" * 40).token("nordwind", desk.now + timedelta(days=1))
    for token in (good[:-1] + ("A" if good[-1] != "A" else "B"), "A" + good, forged, "x", desk.token("another-run")):
        assert client.get(f"/survey/{token}").status_code == 404
        assert client.post(f"/survey/{token}", data={"overall": "5"}).status_code == 404
    assert desk.answers() == []


def test_a_link_expires(client: TestClient, desk: Desk) -> None:
    link = f"/survey/{desk.token(lasts=timedelta(hours=1))}"
    desk.now += timedelta(minutes=59)
    assert client.get(link).status_code == 200
    desk.now += timedelta(minutes=1)
    assert client.get(link).status_code == 404
    assert client.post(link, data={"overall": "5"}).status_code == 404
    assert desk.answers() == []


@pytest.mark.parametrize(
    "fields", [{}, {"overall": "6"}, {"overall": "good"}, {"overall": "5", "result": "0"},
               {"overall": "5", "comment": "x" * (LONGEST_COMMENT + 1)}]
)  # fmt: skip
def test_an_answer_that_is_none_is_asked_again(client: TestClient, desk: Desk, fields: dict[str, str]) -> None:
    answer = client.post(f"/survey/{desk.token()}", data=fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert desk.answers() == []


def test_what_was_given_is_shown_as_text(client: TestClient, desk: Desk) -> None:
    answer = client.post(f"/survey/{desk.token()}", data={"comment": "</textarea><script>alert(1)</script>"})
    assert "<script>" not in answer.text


def test_an_answer_has_a_size(client: TestClient, desk: Desk) -> None:
    assert client.post(f"/survey/{desk.token()}", content=b"comment=" + b"x" * 100_000).status_code == 413
    assert client.post(f"/survey/{desk.token()}", content=b"&".join([b"a=1"] * 50)).status_code == 400


def test_a_short_key_signs_nothing() -> None:
    with pytest.raises(ChangeoverError, match=r"too short.*CHANGEOVER_SURVEY_KEY"):
        SurveyLinks("short")


def test_the_key_is_made_once_and_is_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "home" / "survey.key"
    key = key_in(file)
    assert key == key_in(file)
    assert len(key) >= len(SECRET)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in file.parent.iterdir()] == ["survey.key"]
