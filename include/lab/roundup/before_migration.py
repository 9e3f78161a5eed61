#!/usr/bin/env python3
"""The client's program that runs on a host just before its tracker is migrated.

Usage: before_migration.py TRACKER_HOME. It leaves a line in ~/migrations.log each time: how often it was really run.

For tests of failing upgrades it makes real faults, named by the plan's variables:
  ROUNDUP_IMPLEMENT_PAUSE=N  waits N seconds, so that something can be killed while the upgrade is in progress
  ROUNDUP_BREAK=migrate      leaves a table of the client's own in the tracker's database under the name that the new
                             release wants for its full-text index: the migration dies half way, with files already
                             brought forward
  ROUNDUP_BREAK=integration  takes the client's integration back to the version that changes issues without the headers
                             which the new release demands: the upgrade succeeds, the integration does not
"""

import json
import os
import sqlite3
import sys
import time
from pathlib import Path


def own_index(tracker):
    with sqlite3.connect(Path(tracker, "db/db")) as connection:
        connection.execute("create table if not exists __fts (word text, issue integer)")


def old_integration():
    path = Path(os.environ["HOME"], "cost-sync/settings.json")
    settings = {**json.loads(path.read_text(encoding="utf-8")), "headers": {}}
    fresh = path.with_name("settings.json.new")
    fresh.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    fresh.replace(path)


def witness():
    line = f"{time.time():.0f} {os.environ.get('CHANGEOVER_TOKEN', 'no token')}\n"
    with Path(os.environ["HOME"], "migrations.log").open("a", encoding="utf-8") as stream:
        stream.write(line)


def main(tracker):
    fault = os.environ.get("ROUNDUP_BREAK", "")
    if "ROUNDUP_IMPLEMENT_PAUSE" in os.environ:  # as a part of an upgrade, not of the lab's own set-up
        witness()
    time.sleep(int(os.environ.get("ROUNDUP_IMPLEMENT_PAUSE") or 0))
    if fault == "migrate":
        own_index(tracker)
    elif fault == "integration":
        old_integration()
    elif fault:
        raise SystemExit(f"ROUNDUP_BREAK={fault} is not a fault this program can make")


main(*sys.argv[1:])
