"""`changeover window`: the cases' nights through the command line, faults all at once, and calendars in and out."""

from __future__ import annotations

import json
import zoneinfo
from pathlib import Path

import pytest
import tzdata
from typer.testing import CliRunner

from changeover import cli, wiring
from tests.support.content import make, plan_with, put
from tests.support.windows import at

NIGHTS = {
    "T01 skipped hour": "America/New_York 2026-03-08 02:30 05:00 2026-03-08T07:30:00Z 2026-03-08T09:00:00Z 1",
    "T02 doubled hour": "Europe/Berlin 2026-10-25 02:30 04:00 2026-10-25T00:30:00Z 2026-10-25T03:00:00Z 1",
    "T02 ends in it": "Europe/Berlin 2026-10-25 01:00 02:30 2026-10-24T23:00:00Z 2026-10-25T00:30:00Z 1",
    "T03 Kolkata": "Asia/Kolkata 2026-06-20 22:00 02:00 2026-06-20T16:30:00Z 2026-06-20T20:30:00Z 0",
    "T03 Kathmandu": "Asia/Kathmandu 2026-06-20 22:00 02:00 2026-06-20T16:15:00Z 2026-06-20T20:15:00Z 0",
    "T03 Adelaide": "Australia/Adelaide 2026-06-20 22:00 02:00 2026-06-20T12:30:00Z 2026-06-20T16:30:00Z 0",
    "T03 Adelaide in summer": "Australia/Adelaide 2026-12-19 22:00 02:00 2026-12-19T11:30:00Z 2026-12-19T15:30:00Z 0",
    "T04 short": "Europe/London 2026-03-28 22:00 06:00 2026-03-28T22:00:00Z 2026-03-29T05:00:00Z 0",
    "T04 long": "Europe/London 2026-10-24 22:00 06:00 2026-10-24T21:00:00Z 2026-10-25T06:00:00Z 0",
    "both ends doubled": "Australia/Lord_Howe 2026-04-05 01:30 01:45 2026-04-04T14:30:00Z 2026-04-04T14:45:00Z 2",
}
PINNED = Path(tzdata.__file__).parent / "zoneinfo"
ZONE = ("--zone", "Pacific/Auckland")
THIRD_SATURDAY = ("--rule", "FREQ=MONTHLY;BYDAY=3SA", "--start", "01:00", "--end", "05:00", "--from", "2026-08-01")


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["window", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("row", NIGHTS.values(), ids=NIGHTS)
def test_a_night_of_the_cases(row: str) -> None:
    name, on, start, end, opens, closes, warned = row.split()
    code, out, _ = invoke("resolve", "--zone", name, "--start", start, "--end", end, "--from", on, "--json")
    (night,) = json.loads(out)
    assert (code, night["start"], night["end"], len(night["warnings"])) == (0, opens, closes, int(warned))


def test_third_saturdays() -> None:
    """T06."""
    code, out, _ = invoke("resolve", *ZONE, *THIRD_SATURDAY, "--count", "10", "--json")
    starts = [night["start"] for night in json.loads(out)]
    assert code == 0
    assert [starts[n] for n in (0, 1, 2, 3, 6, 9)] == [
        "2026-08-14T13:00:00Z", "2026-09-18T13:00:00Z", "2026-10-16T12:00:00Z", "2026-11-20T12:00:00Z",
        "2027-02-19T12:00:00Z", "2027-05-14T13:00:00Z",
    ]  # fmt: skip


def test_as_many_nights_as_were_asked_for_also_of_a_rare_rule() -> None:
    words = ("--zone", "UTC", "--start", "01:00", "--end", "02:00", "--from", "2026-03-01", "--count", "3", "--json")
    code, out, _ = invoke("resolve", "--rule", "FREQ=YEARLY;INTERVAL=50", *words)
    assert (code, [night["start"][:4] for night in json.loads(out)]) == (0, ["2026", "2076", "2126"])


def test_people_read_local_time_and_utc_and_which_zone_data() -> None:
    code, out, _ = invoke("resolve", *ZONE, *THIRD_SATURDAY, "--count", "1")
    data, night = out.splitlines()
    assert code == 0
    assert data.startswith("zone data: IANA 20")
    assert night == (
        "Sat 2026-08-15 01:00 to Sat 2026-08-15 05:00 Pacific/Auckland "
        "= 2026-08-14 13:00Z to 2026-08-14 17:00Z (4 h 00)"
    )


def test_every_fault_is_told_at_once() -> None:
    words = ("--zone", "CET", "--rule", "FREQ=HOURLY;X=1", "--start", "7:00", "--from", "2026-02-30", "--count", "0")
    code, out, err = invoke("resolve", *words, "--json")
    assert (code, out) == (2, "")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [
        "--zone", "--start", "--end", "--from", "--count", "--rule", "--rule",
    ]  # fmt: skip


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31", "2026-13-01", "tomorrow", ""])
def test_a_date_that_is_none_is_wrong_usage(day: str) -> None:
    assert invoke("resolve", "--zone", "UTC", "--start", "01:00", "--end", "02:00", "--from", day)[0] == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--from", "2026-03-29"), "no window on 2026-03-29: the window closes before it opens"),
        (("--from", "2026-03-29", "--rule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "the rule gives no day from that"),
    ],
)
def test_no_night_is_1(words: tuple[str, ...], why: str) -> None:
    code, out, err = invoke(
        "resolve", "--zone", "Europe/Berlin", "--start", "02:30", "--end", "03:15", *words, "--json"
    )
    assert (code, out.strip()) == (1, "[]")
    assert why in err


def test_a_night_that_the_clocks_take_away_says_which_time_and_what_to_do() -> None:
    """02:30 becomes 03:30, when it closes; by `on_skipped: at_change` half an hour would be left."""
    hours = ("--zone", "Europe/Berlin", "--start", "02:30", "--end", "03:30", "--from", "2027-03-28")
    code, out, err = invoke("resolve", *hours, "--json")
    assert (code, out.strip()) == (1, "[]")
    assert "start: 02:30 does not exist on 2027-03-28 in Europe/Berlin; 2027-03-28 01:30Z (03:30 local) is taken" in err
    assert err.endswith("; say another time, or another on_skipped, in the plan\n")


# ---- of a plan

RECURRING = (
    "window: {kind: recurring, zone: Pacific/Auckland, rule: FREQ=MONTHLY;BYDAY=3SA, since: 2026-11-01, "
    'start: "01:00", end: "05:00"}\n'
)
FREEZES = """\
schema_version: 1
client: acme
freezes:
  - {kind: dated, name: year-end, zone: Pacific/Auckland, reason: the books, first: 2026-12-18, last: 2026-12-31}
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    for name in ("plans", "releases", "acceptance", "expectations", "playbooks", "home", "freezes"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr(wiring, "now", lambda: at("2026-11-25 12:00"))
    text = plan_with()
    begin, end = text.index("window:\n      kind: dated"), text.index("    sign_off")
    return put(tmp_path / "plans/acme/app-2.yaml", f"{text[:begin]}{RECURRING}{text[end:]}")


def freeze(plan: Path, text: str = FREEZES) -> None:
    put(plan.parents[2] / "freezes/acme.yaml", text)


def test_a_plans_nights_are_shown_with_those_that_a_freeze_takes_away(plan: Path) -> None:
    freeze(plan)
    code, out, _ = invoke("show", plan, "--count", "2")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("zone data: IANA 20")
    assert lines[1:3] == ["baseline: any time (agreed)", "training: any time (agreed)"]
    assert lines[4].startswith("  not offered on 2026-12-19: freeze year-end (the books): Fri 2026-12-18 00:00 to ")
    assert lines[5].startswith("  Sat 2027-01-16 01:00 to Sat 2027-01-16 05:00 Pacific/Auckland = 2027-01-15 12:00Z")
    assert lines[5].endswith("; late start until Sat 2027-01-16 01:30")
    assert len(lines) == 7


def test_a_late_start_is_never_after_the_closing(plan: Path) -> None:
    put(plan, plan.read_text().replace('end: "05:00"', 'end: "05:00", late_start_tolerance: 6h'))
    assert invoke("show", plan, "--count", "1")[1].splitlines()[-1].endswith("; late start until Sat 2026-12-19 05:00")


def test_a_plans_nights_as_json(plan: Path) -> None:
    code, out, _ = invoke("show", plan, "--count", "1", "--json")
    document = json.loads(out)
    assert code == 0
    assert [window["environment"] for window in document["windows"]] == ["baseline", "training", "production"]
    assert document["windows"][2]["nights"][0]["start"] == "2026-12-18T12:00:00Z"


def test_a_window_that_offers_no_night_is_1(plan: Path) -> None:
    freeze(plan, FREEZES.replace("2026-12-31", "2027-12-31"))
    code, _, err = invoke("show", plan)
    assert code == 1
    assert err == "changeover: production: refused: no night is offered\n"


def test_a_machine_whose_zone_data_differ_about_a_night_refuses_the_plan(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A law of 2026 that the machine has not heard of; a calculation goes on with a warning, a plan does not."""
    stale = put(tmp_path / "system/America/Vancouver", (PINNED / "America/Los_Angeles").read_bytes())
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(stale.parents[1]),))
    put(plan, plan.read_text().replace("Pacific/Auckland", "America/Vancouver"))
    code, out, err = invoke("show", plan)
    assert code == 1
    assert "production: refused: zone data of this machine (of unknown release) and the pinned data" in err
    checked = CliRunner().invoke(cli.app, ["plan", "check", str(plan)])
    assert checked.exit_code == 1
    assert "environments.2.window.zone: zone data of this machine" in checked.stdout
    code, out, _ = invoke(
        "resolve", "--zone", "America/Vancouver", "--start", "02:00", "--end", "05:00", "--from", "2026-11-15", "--json"
    )
    (night,) = json.loads(out)
    assert (code, night["start"]) == (0, "2026-11-15T09:00:00Z")
    assert "differ for America/Vancouver" in night["warnings"][0]


def test_freezes_that_cannot_be_read_are_told_with_their_line(plan: Path) -> None:
    freeze(plan, FREEZES.replace("first: 2026-12-18", "first: 2027-12-18"))
    code, _, err = invoke("show", plan)
    assert code == 1
    assert "acme.yaml:4: freezes.0.last: lies before first" in err
    checked = CliRunner().invoke(cli.app, ["plan", "check", str(plan)])
    assert checked.exit_code == 1
    assert "acme.yaml:4: freezes.0.last: lies before first" in checked.stdout


def test_a_plan_check_tells_what_a_freeze_takes_away(plan: Path) -> None:
    freeze(plan)
    checked = CliRunner().invoke(cli.app, ["plan", "check", str(plan)])
    assert checked.exit_code == 0, checked.stdout
    assert "window.rule: not offered on 2026-12-19: freeze year-end (the books)" in checked.stdout
    freeze(plan, FREEZES.replace("2026-12-31", "2027-12-31"))
    checked = CliRunner().invoke(cli.app, ["plan", "check", str(plan)])
    assert checked.exit_code == 1
    assert "window.rule: no night can be offered: 2026-12-19: freeze year-end" in checked.stdout


# ---- calendars


def test_what_is_exported_is_imported_the_same(plan: Path, tmp_path: Path) -> None:
    freeze(plan, FREEZES + BOOKS)
    put(plan, plan.read_text().replace('end: "05:00"', 'end: "05:00", left_out: [2026-12-19], added: [2026-12-12]'))
    code, out, _ = invoke("export", plan, "--out", tmp_path / "x.ics")
    assert (code, out) == (0, f"wrote {tmp_path / 'x.ics'}\n")
    assert "BEGIN:VTIMEZONE" in (tmp_path / "x.ics").read_text()
    (tmp_path / "freezes/acme.yaml").unlink()
    code, out, err = invoke("import", tmp_path / "x.ics", "--client", "acme")
    assert (code, err) == (0, "")
    assert out.startswith("# Maintenance window production: app 1.10, acme\nwindow:\n  zone: Pacific/Auckland\n")
    assert '  start: "01:00"\n  end: "05:00"\n' in out
    for line in ("  left_out:\n  - 2026-12-19\n", "  added:\n  - 2026-12-12\n", "# 2 freezes put into "):
        assert line in out
    before = invoke("show", plan, "--json", "--count", "20")[1]
    freeze(plan, (tmp_path / "freezes/acme.yaml").read_text())
    assert invoke("show", plan, "--json", "--count", "20")[1] == before
    assert invoke("import", tmp_path / "x.ics", "--client", "acme")[0] == 1


BOOKS = """\
  - {kind: recurring, name: books, zone: Pacific/Auckland, reason: month's books, days: 3, since: 2026-01-01,
     rule: FREQ=MONTHLY;BYMONTHDAY=-3, environments: [production], may_permit: [owner]}
"""
HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n"


def calendar(tmp_path: Path, *lines: str, head: str = HEAD) -> Path:
    event = "\r\n".join(("BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T000000Z", "SUMMARY:Night", *lines, "END:VEVENT"))
    return put(tmp_path / "c.ics", f"{head}{event}\r\nEND:VCALENDAR\r\n")


BERLIN = ";TZID=Europe/Berlin:"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("DTSTART:20260815T010000Z", "DTEND:20260815T030000Z"), "Night: DTSTART is in UTC; a window is local time"),
        (("DTSTART:20260815T010000", "DTEND:20260815T030000"), "Night: DTSTART names no zone"),
        ((f"DTSTART{BERLIN}20260815T010000",), "Night: has neither DTEND nor DURATION"),
        (("DTSTART;TZID=Mars/Base:20260815T010000", "DURATION:PT1H"), "'Mars/Base' is not an IANA time zone"),
        ((f"DTSTART{BERLIN}20260815T010000", "DURATION:PT1H", "RRULE:FREQ=HOURLY"), "RRULE: FREQ=HOURLY is not DAILY"),
        (
            (f"DTSTART{BERLIN}20260815T010000", "DURATION:PT1H", f"RECURRENCE-ID{BERLIN}20260815T010000"),
            "RECURRENCE-ID cannot be carried over",
        ),
        (("DTSTART;VALUE=DATE:20261224",), "is an all-day event and the file names no zone; say --zone"),
        (("DTEND;VALUE=DATE:20261224",), "has no DTSTART"),
    ],
)
def test_what_cannot_be_carried_over_is_said(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    code, out, err = invoke("import", calendar(tmp_path, *lines))
    assert (code, out) == (1, "")
    assert words in err


def test_other_programs_names_of_zones_are_understood(tmp_path: Path) -> None:
    """An office calendar names Windows' zones; an all-day event has the calendar's zone."""
    ends = "DTEND;TZID=W. Europe Standard Time:20260815T030000"
    code, out, _ = invoke("import", calendar(tmp_path, "DTSTART;TZID=W. Europe Standard Time:20260815T010000", ends))
    assert code == 0
    assert "zone: Europe/Berlin" in out
    head = f"{HEAD}X-WR-TIMEZONE:Pacific/Auckland\r\n"
    code, out, _ = invoke(
        "import", calendar(tmp_path, "DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", head=head)
    )
    assert code == 0
    assert "  zone: Pacific/Auckland\n" in out
    assert "  first: 2026-12-24\n  last: 2026-12-26\n" in out


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VEVENT\r\nEND:VEVENT\r\n", f"{HEAD}END:VCALENDAR\r\n", "\0"])
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, text: str) -> None:
    code, out, err = invoke("import", put(tmp_path / "c.ics", text))
    assert (code, out) == (1, "")
    assert err.startswith(f"changeover: {tmp_path / 'c.ics'}: ")
    assert invoke("import", tmp_path / "nowhere.ics")[0] == 1
