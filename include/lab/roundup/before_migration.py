#!/usr/bin/env python3
"""The client's program that runs on a host just before its tracker is migrated. Usage: before_migration.py TRACKER_HOME.

For tests of failing upgrades it makes real faults, named by the plan's variables:
  ROUNDUP_IMPLEMENT_PAUSE=N  waits N seconds, so that something can be killed while the upgrade is in progress
  ROUNDUP_BREAK=migrate      leaves a table of the client's own in the tracker's database under the name that the new release
                             wants for its full-text index: the migration dies half way, with files already brought forward
  ROUNDUP_BREAK=integration  takes the client's integration back to the version that changes issues without the headers
                             which the new release demands: the upgrade succeeds, the integration does not
"""

import json
import os
import sqlite3
import sys
import time


def own_index(tracker):
    with sqlite3.connect(os.path.join(tracker, "db", "db")) as connection:
        connection.execute("create table if not exists __fts (word text, issue integer)")


def old_integration():
    path = os.path.join(os.environ["HOME"], "cost-sync", "settings.json")
    with open(path, encoding="utf-8") as stream:
        settings = json.load(stream)
    settings["headers"] = {}
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(settings, stream, indent=1)
    os.replace(path + ".new", path)


def main(tracker):
    fault = os.environ.get("ROUNDUP_BREAK", "")
    time.sleep(int(os.environ.get("ROUNDUP_IMPLEMENT_PAUSE") or 0))
    if fault == "migrate":
        own_index(tracker)
    elif fault == "integration":
        old_integration()
    elif fault:
        raise SystemExit("ROUNDUP_BREAK=%s is not a fault this program can make" % fault)


main(*sys.argv[1:])
