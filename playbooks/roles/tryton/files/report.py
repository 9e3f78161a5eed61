"""What runs on this host. Usage: report.py ABOUT as JSON; answers JSON. Reads only.

The version is told only when what is installed and what answers agree; a stopped service is told by what is installed.
"""

import configparser
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request

SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)


def installed(release):
    """Distribution name -> version in the release's environment."""
    found = {}
    for path in glob.glob(os.path.join(release, "lib", "python*", "site-packages", "*.dist-info")):
        name, version = os.path.basename(path)[: -len(".dist-info")].split("-", 1)
        found[re.sub("[-_.]+", "-", name).lower()] = version
    return found


def answering(about, series):
    """The version the running server gives, asked where that series listens; None when it gives none."""
    place = "/rpc/" if at_least(series, 8.0) else "/"
    body = json.dumps({"method": "common.server.version", "params": [{}]}).encode()
    request = urllib.request.Request(about["url"] + place, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            given = json.loads(answer.read())
    except (OSError, ValueError):
        return None
    return given.get("result") if isinstance(given, dict) else given


def at_least(version, series):
    return bool(version) and float(".".join(version.split(".")[:2])) >= series


def psql(about, query):
    """Rows of a query as a list of dictionaries, read in a read-only transaction."""
    text = "set default_transaction_read_only = on; select coalesce(json_agg(t), '[]') from (%s) t" % query.rstrip().rstrip(";")
    command = [os.path.join(about["pg_bin"], "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", about["database"], "-c", text]
    done = subprocess.run(command, env=environment(about), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("psql on %s: %s" % (about["database"], done.stderr.strip()[-800:]))
    return json.loads(done.stdout.strip().splitlines()[-1], parse_float=str)


def environment(about):
    return {**os.environ, "PGHOST": about["pg_host"], "PGUSER": about["pg_user"], "PGOPTIONS": "-c client_min_messages=warning"}


def exists(about):
    command = [os.path.join(about["pg_bin"], "psql"), "-XqAt", "-d", "postgres", "-c", "select datname from pg_database"]
    done = subprocess.run(command, env=environment(about), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("PostgreSQL does not answer: %s" % done.stderr.strip()[-500:])
    return about["database"] in done.stdout.split()


def settings(path):
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path, encoding="utf-8")
    values = {"%s.%s" % (part, key): value for part in parser.sections() for key, value in parser[part].items() if not SECRET.search(key)}
    return {path: {"digest": digest, "values": values}}


def folder_digest(path):
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            with open(os.path.join(parent, name), "rb") as stream:
                digest.update(os.path.relpath(stream.name, path).encode() + stream.read())
    return digest.hexdigest()


def customisations(about, release, found):
    told = {}
    for name in about["customisations"]:
        places = glob.glob(os.path.join(release, "lib", "python*", "site-packages", "trytond", "modules", name))
        version = next((found[key] for key in found if key.endswith(name.replace("_", "-"))), None)
        if places:
            told[name] = {"version": version, "digest": folder_digest(places[0])}
    return told


def integrations(about):
    told = {}
    for one in about["integrations"]:
        try:
            with open(one["state"], encoding="utf-8") as stream:
                state = json.load(stream)
        except (OSError, ValueError):
            state = {}
        schedule = about["services"].get(one["service"], "absent")
        told[one["name"]] = {
            "endpoint": state.get("endpoint"),
            "last_ok": state.get("last_ok"),
            "schedule": schedule if schedule == "running" else "stopped",
        }
    return told


def size(path):
    total = 0
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in ("restore_points", "artefacts")]
        total += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)
    return total


def free(paths):
    told = {}
    for path in paths:
        at = path
        while not os.path.exists(at):
            at = os.path.dirname(at)
        seen = os.statvfs(at)
        told[path] = {
            "bytes": seen.f_bavail * seen.f_frsize,
            "total_bytes": seen.f_blocks * seen.f_frsize,
            "inodes": seen.f_favail,
            "total_inodes": seen.f_files,
        }
    return told


def version(about, wanted):
    """Exact version, and why it cannot be told."""
    if not wanted:
        return None, "no release is installed"
    if about["services"].get(about["service"]) != "running":
        return wanted, ""
    given = answering(about, wanted)  # 7.0 gives 7.0.59, 8.0 gives its series alone
    agree = given is not None and (given == wanted or wanted.startswith(given + "."))
    return (wanted, "") if agree else (None, "%s is installed, %s answers" % (wanted, given or "nothing"))


def main(text):
    about = json.loads(text)
    release = os.path.realpath(os.path.join(about["app_root"], "current"))
    found = installed(release)
    told, fault = version(about, found.get("trytond"))
    there = exists(about)
    modules = [row["name"] for row in psql(about, "select name from ir_module where state = 'activated' order by name")] if there else []
    report = {
        "application": "tryton",
        "version": told,
        "version_fault": fault,
        "services": {name: state for name, state in about["services"].items() if state != "absent"},
        "schema": schema(about) if there else {},
        "modules": {name: found.get("trytond-" + name.replace("_", "-"), found.get("trytond")) for name in modules},
        "customisations": customisations(about, release, found),
        "settings": settings(about["config"]),
        "integrations": integrations(about),
        "sizes": {"database_bytes": database_size(about) if there else 0, "app_bytes": size(about["app_root"])},
        "free": free([about["app_root"], about["tmp"]]),
    }
    if about["datasets"] is not None and about["migrates"]:
        report["data"] = {name: psql(about, dataset["query"]) for name, dataset in sorted(about["datasets"].items())}
    print(json.dumps(report))


def schema(about):
    columns = psql(about, "select column_name as name from information_schema.columns where table_schema = 'public' and table_name = 'ir_model'")
    tables = psql(about, "select count(*) as n from information_schema.tables where table_schema = 'public'")[0]["n"]
    return {"tables": tables, "ir_model": "since 7.6" if {"name": "string"} in columns else "before 7.6"}


def database_size(about):
    return psql(about, "select pg_database_size(current_database()) as n")[0]["n"]


main(*sys.argv[1:])
