"""The vendor's actions by hand before and after the migration of the database.

Usage: migration.py begin|before|after ABOUT as JSON; answers JSON. The actions are data: {id, series, when, modules,
if_rows, unless_column, unless_installed, sql | console | choice}; one that does not apply is left out, and told.
`before` runs all of them in one transaction; `after` uses the new release's console.
"""

import contextlib
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

ACTIVATED = "select name from ir_module where state in ('activated', 'to activate', 'to upgrade')"
QUALIFIED = (
    "select table_name || '.' || column_name from information_schema.columns where table_schema = current_schema()"
)


def psql(about, text):
    pg = about["pg"]
    environment = dict(os.environ, PGHOST=pg["host"], PGPORT=str(pg["port"]), PGUSER=pg["user"])
    environment["PGOPTIONS"] = "-c client_min_messages=warning"
    command = [str(Path(pg["bin"], "psql")), "-XqAt", "-1", "-v", "ON_ERROR_STOP=1", "-d", about["database"]]
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit("psql ended with code %d: %s" % (done.returncode, done.stderr.strip()[-1000:]))
    return done.stdout.splitlines()


def applicable(about, when):
    """Actions of one side of the migration, and those that are left out with the reason."""
    modules = set(psql(about, ACTIVATED))
    columns = set(psql(about, QUALIFIED))
    wanted, left_out = [], {}
    for action in (action for action in about["actions"] if action["when"] == when):
        why = reason_against(about, action, modules, columns)
        if why:
            left_out[action["id"]] = why
        else:
            wanted.append(action)
    return wanted, left_out


def reason_against(about, action, modules, columns):
    missing = [name for name in action.get("modules", []) if name not in modules]
    if missing:
        return "%s is not activated" % ", ".join(missing)
    if action.get("unless_column") in columns:
        return "done before: the column %s is there" % action["unless_column"]
    replacement = action.get("unless_installed")
    if replacement and list(Path(about["release"]).glob("lib/python*/site-packages/trytond/modules/%s" % replacement)):
        return "the new release has the module %s" % replacement
    if action.get("if_rows") and psql(about, action["if_rows"]) == ["0"]:
        return "no row needs it"
    return ""


def before(about):
    wanted, left_out = applicable(about, "before")
    choices = [action for action in wanted if "choice" in action]
    if choices:
        raise SystemExit("; ".join("%s: %s" % (action["id"], action["choice"]) for action in choices))
    psql(about, "".join(statement.rstrip("; \n") + ";\n" for action in wanted for statement in action["sql"]))
    remember(about, "before", wanted, left_out)
    return {"changed": bool(wanted), "done": [action["id"] for action in wanted], "left_out": left_out}


def after(about):
    wanted, left_out = applicable(about, "after")
    for action in wanted:
        if "sql" in action:
            psql(about, "".join(statement.rstrip("; \n") + ";\n" for statement in action["sql"]))
        else:
            console(about, action)
    remember(about, "after", wanted, left_out)
    return {"changed": bool(wanted), "done": [action["id"] for action in wanted], "left_out": left_out}


def console(about, action):
    """The console ends with 0 whatever its input did: the last line of the input says that all of it was done."""
    release = about["release"]
    command = [
        release + "/bin/python",
        release + "/bin/trytond-console",
        "-c",
        about["config"],
        "-d",
        about["database"],
    ]
    text = action["console"] + "\ntransaction.commit()\nprint('changeover: done')\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "changeover: done" not in done.stdout:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise SystemExit("%s: trytond-console ended with code %d: %s" % (action["id"], done.returncode, said))


def begin(about):
    """The try begins: what was restored before it is history."""
    with contextlib.suppress(FileNotFoundError):
        Path(about["app_root"], "backed_out.json").unlink()
    remember(about, "begun", [], {})
    return {"changed": True}


def remember(about, phase, wanted, left_out):
    """How far the migration came, for people who look at the host after a failure."""
    path = Path(about["app_root"], "migration.json")
    known = {}
    if phase != "begun" and path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    known.update({"run": about["run"], "from": about["from"], "to": about["to"], "phase": phase})
    known.setdefault("times", {})[phase] = now
    if phase != "begun":
        known.setdefault("done", []).extend(action["id"] for action in wanted)
        known.setdefault("left_out", {}).update(left_out)
    path.write_text(json.dumps(known, indent=1), encoding="utf-8")


VERBS = {"begin": begin, "before": before, "after": after}
print(json.dumps(VERBS[sys.argv[1]](json.loads(sys.argv[2]))))
