"""What runs on this host, and (for `verify`) its business data; reads only. Usage: report.py SITE, JSON in and out."""

import configparser
import contextlib
import hashlib
import json
import os
import re
import sqlite3
import sys
import urllib.request
from pathlib import Path

SETTINGS = {
    "main": ("instant_registration", "html_version", "password_pbkdf2_default_rounds"),
    "tracker": ("name", "language", "timezone"),
    "web": ("enable_rest", "enable_xmlrpc", "migrate_passwords", "login_attempts_min"),
}
STOCK_PARTS = ("html", "detectors", "extensions")
# Roundup stamps what it installs; the stamp is no part of the file.
STAMP = re.compile(rb"^(#SHA: \w+|<!-- SHA: \w+ -->|/\* SHA: \w+ \*/)\n?\Z", re.MULTILINE)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def body_digest(path):
    return hashlib.sha256(STAMP.sub(b"", path.read_bytes())).hexdigest()


def size(path):
    total = 0
    for file in path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a session file may go while it is counted
            total += file.lstat().st_size if not file.is_dir() else 0
    return total


def running_version(site):
    """Said by the code that answers: the site's server names its release in every answer."""
    url = "http://%(address)s:%(port)s/@@file/style.css" % site
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(url, timeout=10) as answer:
        named = re.fullmatch(r"Roundup/(\S+)", answer.headers.get("Server", ""))
        return named and named.group(1)
    return None


def installed_version(release):
    found = list(release.glob("lib/python*/site-packages/roundup-*.dist-info"))
    return found[0].name[len("roundup-") : -len(".dist-info")] if found else None


def connect(database):
    connection = sqlite3.connect("file:%s?mode=ro" % database, uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


def schema(connection):
    # The text is a Python value with a version and each class's columns.
    text = connection.execute("select schema from schema").fetchone()[0]
    version = re.search(r"'version': (\d+)", text)
    names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
    classes = sorted(name[1:] for name in names if re.fullmatch(r"_[a-z]\w*", name))
    return {"version": int(version.group(1)) if version else None, "classes": classes}


def customisations(tracker, stock):
    """Files of the tracker that the release's own template does not have in this form: the client's."""
    own = [tracker / "schema.py", tracker / "interfaces.py"]
    own += [file for part in STOCK_PARTS for file in (tracker / part).rglob("*") if file.suffix != ".pyc"]
    found = {}
    for file in sorted(own):
        name = file.relative_to(tracker)
        if file.is_file() and not ((stock / name).is_file() and body_digest(stock / name) == body_digest(file)):
            found[str(name)] = {"version": "", "digest": body_digest(file)}
    return found


def settings(path):
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    values = {
        "%s.%s" % (section, name): parser.get(section, name)
        for section, names in SETTINGS.items()
        for name in names
        if parser.has_option(section, name)
    }
    return {str(path): {"digest": digest(path), "values": values}}


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


def free(place):
    path = Path(place)
    while not path.exists():
        path = path.parent
    about = os.statvfs(path)
    return {
        "device": path.stat().st_dev,
        "bytes": about.f_bavail * about.f_frsize,
        "total_bytes": about.f_blocks * about.f_frsize,
        "inodes": about.f_favail,
        "total_inodes": about.f_files,
    }


def rows(connection, query):
    return [dict(row) for row in connection.execute(query)]


def of_tracker(site, tracker, release):
    """What there is only where a tracker was made."""
    report = {
        "customisations": customisations(tracker, release / "share/roundup/templates" / site["template"]),
        "settings": settings(tracker / "config.ini"),
    }
    with contextlib.closing(connect(tracker / "db/db")) as connection:
        report["schema"] = schema(connection)
        if site.get("datasets") is not None:
            report["data"] = {name: rows(connection, about["query"]) for name, about in site["datasets"].items()}
    return report


def main(text):
    site = json.loads(text)
    app_root, tracker = Path(site["app_root"]), Path(site["tracker"])
    release = (app_root / "current").resolve()
    report = {
        "application": "roundup",
        "version": running_version(site),
        "installed_version": installed_version(release),
        "services": {site["service"]: site["services"].get(site["service"], "absent")},
        "schema": {},
        "modules": {},
        "customisations": {},
        "settings": {},
        "integrations": integrations(site),
        # A restore point is proven below app_root, and put back beside the tracker that holds the database.
        "sizes": {
            "database_bytes": size(tracker / "db"),
            "app_bytes": size(app_root),
            "copies": {str(app_root): 1, str(tracker): 1},
        },
        "free": {place: free(place) for place in (site["app_root"], site["state_dir"], site["tracker"])},
    }
    if (tracker / "db/db").exists():
        report.update(of_tracker(site, tracker, release))
    print(json.dumps(report))


main(sys.argv[1])
