"""What runs on this host, and (for `verify`) its business data; reads only. Usage: report.py ABOUT, JSON in and out.

The version is that of the environment the running server was started from, and only if what the server answers agrees.
"""

import configparser
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

# Where this host listens and what it connects to is its own, and a secret is nobody else's.
NOT_TOLD = re.compile(r"\.uri$|\.listen$|pass|secret|token|key|salt", re.IGNORECASE)


def distributions(release):
    """Distribution name -> version in a release's environment."""
    found = {}
    for path in release.glob("lib/python*/site-packages/*.dist-info"):
        name, version = path.name[: -len(".dist-info")].split("-", 1)
        found[re.sub("[-_.]+", "-", name).lower()] = version
    return found


def started_release(site):
    """The release directory of the running server of this application, by its command line."""
    releases = Path(site["app_root"], "releases")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            servers = [
                Path(word) for word in words if word.startswith("%s/" % releases) and word.endswith("/bin/trytond")
            ]
            if servers and site["database"] in words:
                return servers[0].parents[1]
    return None


def answered(site):
    """What the server says of its version: the exact one up to 7.8, its series since; None when it says nothing."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps({"id": 1, "method": "common.server.version", "params": []}).encode()
    for path in ("/rpc/", "/"):
        request = urllib.request.Request(site["url"] + path, body, {"Content-Type": "application/json"})  # noqa: S310
        with contextlib.suppress(OSError, ValueError), opener.open(request, timeout=10) as answer:
            told = json.loads(answer.read())
            return told.get("result") if isinstance(told, dict) else told
    return None


def version(site, release):
    """The running version or None, and the fault that keeps it from being told."""
    started, answer = started_release(site), answered(site)
    if started is None:
        return None, "no server of this application runs"
    running = distributions(started).get("trytond")
    if running is None or answer is None:
        return None, "%s runs and answers %s" % (running or "an environment without trytond", answer or "nothing")
    if answer != running and not running.startswith("%s." % answer):
        return None, "a server of %s runs, %s answers" % (running, answer)
    if started != release:
        return running, "%s runs, the current release is %s" % (started.name, release.name)
    return running, ""


def psql(site, query, database=None):
    """Rows of a query, each a dictionary; the transaction cannot write. Exact numbers stay as they are written."""
    pg = site["pg"]
    environment = dict(os.environ, PGHOST=pg["host"], PGPORT=str(pg["port"]), PGUSER=pg["user"])
    environment["PGOPTIONS"] = "-c default_transaction_read_only=on -c client_min_messages=warning"
    text = "select coalesce(json_agg(t), '[]') from (%s) t" % query.strip().rstrip(";")  # noqa: S608
    database = database or site["database"]
    command = [str(Path(pg["bin"], "psql")), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit("psql on %s: %s" % (database, done.stderr.strip()[-800:]))
    return json.loads(done.stdout, parse_float=str)


def schema(site):
    """Which series the database is at. The vendor records it since 7.8; before that the columns tell."""
    columns = {
        (row["table_name"], row["column_name"])
        for row in psql(
            site,
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            " and table_name in ('ir_model', 'ir_configuration')",
        )
    }
    tables = psql(site, "select count(*) as n from pg_tables where schemaname = 'public'")[0]["n"]
    if ("ir_configuration", "series") in columns:
        series = psql(site, "select series from ir_configuration limit 1")
        return {"series": series[0]["series"] if series else None, "tables": tables}
    if ("ir_model", "string") in columns:
        return {"series": "between: the actions before a migration were done, the migration was not", "tables": tables}
    return {"series": "before 7.6", "tables": tables}


def settings(path):
    if not path.exists():
        return {}
    parser = configparser.RawConfigParser()
    parser.read(str(path), encoding="utf-8")
    names = [(part, key) for part in parser.sections() for key in parser[part]]
    values = {"%s.%s" % name: parser.get(*name) for name in names if not NOT_TOLD.search("%s.%s" % name)}
    return {str(path): {"digest": hashlib.sha256(path.read_bytes()).hexdigest(), "values": values}}


def tree_digest(directory):
    digest = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def customisations(site, release, found):
    """The client's own modules, wherever the release has them; one that is missing is left out."""
    told = {}
    for name in site["customisations"]:
        for directory in release.glob("lib/python*/site-packages/trytond/modules/%s" % name):
            told[name] = {"version": found.get(name.replace("_", "-"), ""), "digest": tree_digest(directory)}
    return told


def integrations(site):
    found = {}
    for integration in site["integrations"]:
        about = {"endpoint": "", "last_ok": None, "schedule": site["services"].get(integration["service"], "absent")}
        with contextlib.suppress(FileNotFoundError):
            about["endpoint"] = json.loads(Path(integration["settings"]).read_text(encoding="utf-8"))["url"]
        with contextlib.suppress(FileNotFoundError):
            about["last_ok"] = json.loads(Path(integration["state"]).read_text(encoding="utf-8")).get("last_ok")
        found[integration["name"]] = about
    return found


def size(directory):
    """Of what an upgrade works on: neither copies nor artefacts."""
    total = 0
    for parent, folders, names in os.walk(str(directory)):
        folders[:] = [name for name in folders if name not in ("restore_points", "artefacts")]
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


def free(place):
    path = Path(place)
    while not path.exists():
        path = path.parent
    about = os.statvfs(str(path))
    return {
        "device": path.stat().st_dev,
        "bytes": about.f_bavail * about.f_frsize,
        "total_bytes": about.f_blocks * about.f_frsize,
        "inodes": about.f_favail,
        "total_inodes": about.f_files,
    }


def is_here(address):
    """Whether an address of the server is one of this host's; a socket of its file system has none."""
    if address is None:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as own:
        own.bind((address, 0))
        return True
    return False


def data_place(site):
    """Where the server keeps its databases, and the space there; else None and who does what about it."""
    told, server = site["server"], "the database server %(host)s:%(port)s" % site["pg"]
    if told["free_bytes"]:
        size = int(told["free_bytes"])
        return server, {"bytes": size, "total_bytes": size, "inodes": 0, "total_inodes": 0}
    query = (
        "select host(inet_server_addr()) as address,"
        " (select setting from pg_settings where name = 'data_directory') as place"
    )
    known = psql(site, query, "postgres")[0]
    place = told["data"] or known["place"]
    if not told["data"] and not is_here(known["address"]):
        return None, "%s is another machine: name in the CMDB what is free there, as tryton_pg_free_bytes" % server
    if not place:
        wanted = "grant pg_read_all_settings to %s, or name it in the CMDB as tryton_pg_data" % site["pg"]["user"]
        return None, "%s does not tell its data directory: %s" % (server, wanted)
    try:
        if Path(place).is_dir():
            return place, free(place)
    except OSError as exc:
        return None, "the data directory %s of %s cannot be looked at: %s" % (place, server, exc.strerror)
    return None, "the data directory %s of %s is not on this host" % (place, server)


def room(site):
    """Where copies of whole databases are made, with weights, and what is free there; or why that is unknown."""
    if not site["migrates"]:
        return {"copies": {}}, {}
    place, space = data_place(site)
    return ({"copies": None, "copies_fault": space}, {}) if place is None else ({"copies": {place: 1}}, {place: space})


def scratch(site):
    """How the databases are called that proofs of this database's restore points were left in."""
    return "drill_%s_" % hashlib.sha256(site["database"].encode()).hexdigest()[:8]


def of_database(site, found):
    """What there is only where a database was made."""
    modules = psql(site, "select name from ir_module where state = 'activated' order by name")
    own = set(site["customisations"])
    report = {
        "schema": schema(site),
        "modules": {
            row["name"]: found.get("trytond-%s" % row["name"].replace("_", "-"), found.get("trytond", ""))
            for row in modules
            if row["name"] not in own
        },
    }
    if site.get("datasets") is not None and site["migrates"]:
        report["data"] = {name: psql(site, about["query"]) for name, about in site["datasets"].items()}
    return report


def main(text):
    site = json.loads(text)
    app_root = Path(site["app_root"])
    release = (app_root / "current").resolve()
    found = distributions(release)
    running, fault = version(site, release)
    here = "select datname as name, pg_database_size(oid) as bytes from pg_database where datname = '%s'"
    drills = " or left(datname, 15) = '%s'" % scratch(site)
    sizes = {row["name"]: row["bytes"] for row in psql(site, here % site["database"] + drills, "postgres")}
    database = sizes.pop(site["database"], None)
    copied, space = room(site)
    report = {
        "application": "tryton",
        "version": running,
        "version_fault": fault,
        "installed_version": found.get("trytond"),
        "services": {site["service"]: site["services"].get(site["service"], "absent")},
        "schema": {},
        "modules": {},
        "customisations": customisations(site, release, found),
        "settings": settings(app_root / "etc/trytond.conf"),
        "integrations": integrations(site),
        "sizes": dict(copied, database_bytes=database or 0, app_bytes=size(app_root)),
        "free": dict({place: free(place) for place in (site["app_root"], site["state_dir"])}, **space),
        "leftovers": {"%s/%s" % (place, name): left for place in space for name, left in sizes.items() if left},
    }
    if database is not None:
        report.update(of_database(site, found))
    print(json.dumps(report))


main(sys.argv[1])
