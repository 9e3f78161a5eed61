"""The client's integration: reads issues over REST, sums effort by cost centre, and stamps the issue it exported.

Usage: cost_sync.py SETTINGS [--once] [--state FILE]. SETTINGS is JSON: {url, user, password_file, interval, headers}.
What came of the last round is in the state file: {last_ok, last_error, totals}.
"""

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PRECONDITION_FAILED = 412
FIELDS = "title,cost_centre,effort_hours,exported_at"


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


class Tracker:
    """The few calls this program makes."""

    def __init__(self, settings):
        self.url = settings["url"].rstrip("/")
        login = f"{settings['user']}:{Path(settings['password_file']).read_text(encoding='utf-8').strip()}"
        basic = base64.b64encode(login.encode()).decode()
        self.headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
        self.changing = settings.get("headers", {})
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, values=None, headers=None):
        body = urllib.parse.urlencode(values).encode() if values else None
        sent = {**self.headers, **(headers or {})}
        # The address is the client's own setting, read from a file of theirs.
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=sent)  # noqa: S310
        with self.opener.open(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def issues(self):
        return self.call("GET", f"/data/issue?@fields={FIELDS}&@page_size=1000")["collection"]

    def stamp(self, issue):
        """Another round, or a person, may change the issue meanwhile: it is read again then."""
        for last in (False, False, True):
            etag = self.call("GET", f"/data/issue/{issue}")["@etag"]
            try:
                self.call("PATCH", f"/data/issue/{issue}", {"exported_at": now()}, {**self.changing, "If-Match": etag})
            except urllib.error.HTTPError as exc:
                if exc.code != PRECONDITION_FAILED or last:
                    raise
            else:
                return


def one_round(tracker):
    issues = tracker.issues()
    totals = {}
    for issue in issues:
        centre = issue.get("cost_centre") or "none"
        totals[centre] = totals.get(centre, 0) + (issue.get("effort_hours") or 0)
    oldest = min(issues, key=lambda issue: (issue.get("exported_at") or "", int(issue["id"])))
    tracker.stamp(oldest["id"])
    return {"issues": len(issues), "stamped": oldest["id"], "totals": totals}


def attempt(settings):
    """What the round found, and the error that ended it; one of them is None."""
    try:
        return one_round(Tracker(settings)), None
    except urllib.error.HTTPError as exc:
        return None, f"{exc.code} {exc.reason}: {exc.read().decode(errors='replace')[:300]}"
    except (OSError, ValueError, KeyError) as exc:
        return None, repr(exc)


def load(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep(path, state):
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
    fresh.replace(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--state", type=Path)
    given = parser.parse_args()
    settings = load(given.settings)
    place = given.state or given.settings.resolve().with_name("state.json")
    while True:
        found, error = attempt(settings)
        keep(place, {**load(place), **(found or {}), **({"last_ok": now()} if found else {}), "last_error": error})
        said = error or f"exported {found['issues']} issues, stamped issue {found['stamped']}"
        (sys.stderr if error else sys.stdout).write(f"{said}\n")
        if given.once:
            return 1 if error else 0
        sys.stdout.flush()
        time.sleep(settings.get("interval", 30))


sys.exit(main())
