"""What runs on this host, and (for `verify`) its business data. Reads only. Usage: report.py SITE as JSON; answers JSON."""

import configparser
import contextlib
import glob
import hashlib
import json
import os
import re
import sqlite3
import sys
import urllib.request

SETTINGS = {
    "main": (
        "instant_registration",
        "html_version",
        "email_registration_confirmation",
        "password_pbkdf2_default_rounds",
    ),
    "tracker": ("name", "language", "timezone"),
    "web": ("enable_rest", "enable_xmlrpc", "migrate_passwords", "login_attempts_min"),
}
STOCK_PARTS = ("html", "detectors", "extensions")
# Roundup stamps what it installs; the stamp is no part of the file.
STAMP = re.compile(rb"^(#SHA: \w+|<!-- SHA: \w+ -->|/\* SHA: \w+ \*/)\n?\Z", re.MULTILINE)


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def body_digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(STAMP.sub(b"", stream.read())).hexdigest()


def size(path):
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a session file may go while it is counted
                total += os.lstat(os.path.join(directory, name)).st_size
    return total


def running_version(site):
    """Said by the code that answers: the site's server names its release in every answer."""
    url = "http://%(address)s:%(port)s/@@file/style.css" % site
    with contextlib.suppress(OSError):
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            named = re.fullmatch(r"Roundup/(\S+)", answer.headers.get("Server", ""))
            return named and named.group(1)
    return None


def installed_version(release):
    found = glob.glob(os.path.join(release, "lib/python*/site-packages/roundup-*.dist-info"))
    return os.path.basename(found[0])[len("roundup-") : -len(".dist-info")] if found else None


def connect(site):
    path = os.path.join(site["tracker"], "db", "db")
    connection = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


def schema(connection):
    # The text is a Python value with a version and each class's columns.
    text = connection.execute("select schema from schema").fetchone()[0]
    version = re.search(r"'version': (\d+)", text)
    names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
    classes = sorted(name[1:] for name in names if re.fullmatch(r"_[a-z]\w*", name))
    return {"version": int(version.group(1)) if version else None, "classes": classes}


def customisations(site, release):
    """Files of the tracker that the release's own template does not have in this form: the client's."""
    stock = os.path.join(release, "share", "roundup", "templates", site["template"])
    paths = ["schema.py", "interfaces.py"]
    for part in STOCK_PARTS:
        for directory, _, names in os.walk(os.path.join(site["tracker"], part)):
            paths += [
                os.path.relpath(os.path.join(directory, name), site["tracker"])
                for name in names
                if not name.endswith(".pyc")
            ]
    found = {}
    for path in sorted(paths):
        own, original = os.path.join(site["tracker"], path), os.path.join(stock, path)
        if os.path.exists(own) and not (os.path.exists(original) and body_digest(original) == body_digest(own)):
            found[path] = {"version": "", "digest": body_digest(own)}
    return found


def settings(site):
    path = os.path.join(site["tracker"], "config.ini")
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    values = {
        "%s.%s" % (section, name): parser.get(section, name)
        for section, names in SETTINGS.items()
        for name in names
        if parser.has_option(section, name)
    }
    return {path: {"digest": digest(path), "values": values}}


def integrations(site):
    found = {}
    for integration in site["integrations"]:
        about = {"endpoint": "", "last_ok": None, "schedule": site["services"].get(integration["service"], "absent")}
        with contextlib.suppress(FileNotFoundError):
            with open(integration["settings"], encoding="utf-8") as stream:
                about["endpoint"] = json.load(stream)["url"]
        with contextlib.suppress(FileNotFoundError):
            with open(integration["state"], encoding="utf-8") as stream:
                about["last_ok"] = json.load(stream).get("last_ok")
        found[integration["name"]] = about
    return found


def free(path):
    while not os.path.exists(path):
        path = os.path.dirname(path)
    about = os.statvfs(path)
    return {
        "bytes": about.f_bavail * about.f_frsize,
        "total_bytes": about.f_blocks * about.f_frsize,
        "inodes": about.f_favail,
        "total_inodes": about.f_files,
    }


def rows(connection, query):
    return [dict(row) for row in connection.execute(query)]


def main(text):
    site = json.loads(text)
    release = os.path.realpath(os.path.join(site["app_root"], "current"))
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
        "sizes": {"database_bytes": 0, "app_bytes": size(site["app_root"])},
        "free": {path: free(path) for path in (site["app_root"], site["state_dir"])},
    }
    if os.path.exists(os.path.join(site["tracker"], "db", "db")):
        with contextlib.closing(connect(site)) as connection:
            report["schema"] = schema(connection)
            if site.get("datasets") is not None:
                report["data"] = {name: rows(connection, about["query"]) for name, about in site["datasets"].items()}
        report["customisations"] = customisations(site, release)
        report["settings"] = settings(site)
        report["sizes"]["database_bytes"] = size(os.path.join(site["tracker"], "db"))
    print(json.dumps(report))


main(sys.argv[1])
