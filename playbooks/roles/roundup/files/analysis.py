"""What an analysis wants to know of this tracker; reads only. Usage: analysis.py SITE, JSON in and out.

The vendor's steps by hand are each held against the tracker: {applies: true, false, or null where a person has to look,
why, choice}. What migration.py does or refuses is the same here.
"""

import contextlib
import json
import re
import sqlite3
import sys
from pathlib import Path

DONE = "the role does it"
TEMPLATES = "templates the client never changed become the new release's; look at those the client changed"
OTHER_TEMPLATES = ("jquery-3.5.1", "jquery-3.6.3", "timezone-extension")
"""For trackers made from the templates devel and responsive."""
SECRET = re.compile(r"pass|secret|token|key|salt|^tracker_web$|^main_database", re.IGNORECASE)
# A line of config.ini that is commented out shows the default: "# Default: value" stands above each setting.
SETTING = re.compile(r"^# Default: (?P<default>.*)\n(?P<key>#?\w+) = (?P<value>.*)$", re.MULTILINE)
STEPS = {
    "schema-5-to-6": DONE,
    "settings-file": DONE,
    "settings-file-2.3": DONE,
    "settings-file-2.4": DONE,
    "schema-6-to-7": DONE,
    "schema-7-to-8": DONE,
    "session-storage": DONE,
    "popups-cve": TEMPLATES,
    "password-spellcheck": TEMPLATES,
    "templates-xss": TEMPLATES,
    "password-sha512": "hashes are renewed when their users log in",
    "userauditor": "done unless the client changed the detector",
}


def text_of(path):
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return ""


def connect(database):
    return contextlib.closing(sqlite3.connect("file:%s?mode=ro" % database, uri=True, timeout=30))


def told(applies, why="", choice=""):
    return {"applies": applies, "why": why, "choice": choice, "unless": ""}


def steps(tracker, connection):
    found = {name: told(True, why) for name, why in STEPS.items()}
    schema, own, settings = (text_of(tracker / name) for name in ("schema.py", "interfaces.py", "config.ini"))
    blank = connection.execute("select count(*) from _user where coalesce(_password, '') = '' and __retired__ = 0")
    empty = blank.fetchone()[0] - 1  # the anonymous user has none by design
    rest = re.search(r"def \w+\(self, input\b", own)
    xhtml = re.search(r"^html_version\s*=\s*xhtml", settings, re.MULTILINE)
    rounds = re.search(r"^password_pbkdf2_default_rounds\s*=\s*(\d+)", settings, re.MULTILINE)
    made_from = re.search(r"^Name:\s*(\w+)", text_of(tracker / "TEMPLATE-INFO.txt"), re.MULTILINE)
    template = made_from.group(1) if made_from else "unknown"
    found.update({name: told(*_made_from(template, ("devel", "responsive"))) for name in OTHER_TEMPLATES})
    weak = bool(rounds) and int(rounds.group(1)) < 250000
    creates = re.search(r"addPermissionToRole\('Anonymous', 'Create', 'user'\)", schema)
    found.update(
        {
            "empty-passwords": told(empty > 0, "%d users with a blank password cannot log in then" % max(empty, 0)),
            "fts5": told(not fts5(), "SQLite has no FTS5", "install a SQLite with FTS5" if not fts5() else ""),
            "mail-gateway-class": told(None, "look how the mail server calls roundup-mailgw: the option -C is gone"),
            "anonymous-register": told(bool(creates), DONE),
            "xhtml": told(bool(xhtml), "html_version is xhtml", "port the templates to html" if xhtml else ""),
            "rest-endpoints": told(
                bool(rest), "REST endpoints take `input`", "rename it to input_payload" if rest else ""
            ),
            "responsive-404": told(*_made_from(template, ("responsive",))),
            "mysql-utf8mb4": told(False, "the tracker is on SQLite"),
            "password-rounds-2.3": told(weak, "recommended: see password-rounds"),
            "password-rounds": told(weak, "recommended: set it to 250000 after the upgrade"),
        }
    )
    return found


def _made_from(template, concerned):
    """None, for a person to look, where nothing says which template a tracker was made from."""
    applies = None if template == "unknown" else template in concerned
    return applies, "the tracker was made from the template %s" % template


def fts5():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        options = [row[0] for row in connection.execute("pragma compile_options")]
    return "ENABLE_FTS5" in options


def client_settings(path):
    """Every setting that is not the vendor's default, which the file itself names."""
    found = {}
    for part in SETTING.finditer(text_of(path)):
        key, value = part.group("key"), part.group("value")
        if not key.startswith("#") and value != part.group("default"):
            hidden = SECRET.search(key)
            found[key] = {"value": "(hidden)" if hidden else value, "default": part.group("default")}
    return found


def volume(tracker, connection):
    names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
    classes = sorted(name for name in names if re.fullmatch(r"_[a-z]\w*", name))
    rows = {name: connection.execute("select count(*) from %s" % name).fetchone()[0] for name in classes}  # noqa: S608
    tables = [{"name": name, "rows": count, "bytes": None} for name, count in rows.items()]
    return {"bytes": (tracker / "db/db").stat().st_size, "tables": tables}


def of_tracker(tracker):
    with connect(tracker / "db/db") as connection:
        users = connection.execute("select _username from _user where __retired__ = 0 order by 1").fetchall()
        return {
            "manual_steps": steps(tracker, connection),
            "api_users": [],
            "volume": volume(tracker, connection),
            "accounts": [row[0] for row in users],
        }


def main(text):
    tracker = Path(json.loads(text)["tracker"])
    report = {
        "database": {"name": "sqlite", "version": sqlite3.sqlite_version},
        "client_settings": client_settings(tracker / "config.ini"),
    }
    if (tracker / "db/db").exists():
        report.update(of_tracker(tracker), database_clients=[])  # SQLite is a file: nobody is connected to it
    print(json.dumps(report))


main(sys.argv[1])
