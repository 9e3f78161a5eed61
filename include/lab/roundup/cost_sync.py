"""The client's integration: reads issues over REST, sums effort by cost centre, and stamps the issue it exported.

Usage: cost_sync.py SETTINGS [--once] [--state FILE]. SETTINGS is JSON: {url, user, password_file, interval, headers}. What
came of the last round is in the state file: {last_ok, last_error, totals}.
"""

import argparse
import base64
import datetime
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

FIELDS = "title,cost_centre,effort_hours,exported_at"


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


class Tracker:
    """The few calls this program makes."""

    def __init__(self, settings):
        self.url = settings["url"].rstrip("/")
        with open(settings["password_file"], encoding="utf-8") as stream:
            login = "%s:%s" % (settings["user"], stream.read().strip())
        self.headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode(), "Accept": "application/json"}
        self.changing = settings.get("headers", {})
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, values=None, headers=None):
        body = urllib.parse.urlencode(values).encode() if values else None
        request = urllib.request.Request(self.url + path, data=body, method=method, headers={**self.headers, **(headers or {})})
        with self.opener.open(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def issues(self):
        return self.call("GET", "/data/issue?@fields=%s&@page_size=1000" % FIELDS)["collection"]

    def stamp(self, issue):
        etag = self.call("GET", "/data/issue/%s" % issue)["@etag"]
        self.call("PATCH", "/data/issue/%s" % issue, {"exported_at": now()}, {**self.changing, "If-Match": etag})


def one_round(tracker):
    issues = tracker.issues()
    totals = {}
    for issue in issues:
        centre = issue.get("cost_centre") or "none"
        totals[centre] = totals.get(centre, 0) + (issue.get("effort_hours") or 0)
    oldest = min(issues, key=lambda issue: (issue.get("exported_at") or "", int(issue["id"])))
    tracker.stamp(oldest["id"])
    return {"issues": len(issues), "stamped": oldest["id"], "totals": totals}


def load(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return {}


def keep(path, state):
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(state, stream, indent=1)
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("settings")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--state")
    given = parser.parse_args()
    settings = load(given.settings)
    place = given.state or os.path.join(os.path.dirname(os.path.abspath(given.settings)), "state.json")
    while True:
        error = None
        try:
            found = one_round(Tracker(settings))
            keep(place, {**load(place), **found, "last_ok": now(), "last_error": None})
            print("exported %(issues)d issues, stamped issue %(stamped)s" % found, flush=True)
        except urllib.error.HTTPError as exc:
            error = "%s %s: %s" % (exc.code, exc.reason, exc.read().decode(errors="replace")[:300])
        except (OSError, ValueError, KeyError) as exc:
            error = repr(exc)
        if error:
            keep(place, {**load(place), "last_error": error})
            print(error, file=sys.stderr, flush=True)
        if given.once:
            return 1 if error else 0
        time.sleep(settings.get("interval", 30))


sys.exit(main())
