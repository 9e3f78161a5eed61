"""Copies of the application: take, prove and restore. Usage: restore_point.py VERB ABOUT as JSON; answers JSON.

VERB is take, drill, restore (of a restore point), export or import (of the data alone, into another environment).
A restore point is <app_root>/restore_points/<label>/ with etc/, point.json and, on the host that migrates, database.dump;
SHA256SUMS over all of it. It is made under another name and renamed when whole; nothing here writes into one that exists.
"""

import configparser
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys

CANARY = ("party_party", "product_template", "sale_sale", "sale_line")


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def manifest(directory):
    lines = []
    for parent, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)
            if os.path.relpath(path, directory) != "SHA256SUMS":
                lines.append("%s  %s\n" % (digest(path), os.path.relpath(path, directory)))
    return "".join(lines)


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def pg(about, program, *arguments):
    environment = {**os.environ, "PGHOST": about["pg_host"], "PGUSER": about["pg_user"], "PGOPTIONS": "-c client_min_messages=warning"}
    command = [os.path.join(about["pg_bin"], program), *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("%s ended with code %d: %s" % (program, done.returncode, done.stderr.strip()[-1000:]))
    return done.stdout


def counts(about, database):
    query = " union all ".join("select '%s', count(*) from %s" % (name, name) for name in CANARY)
    rows = pg(about, "psql", "-XqAt", "-F", " ", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query).split("\n")
    return {name: int(number) for name, number in (row.split() for row in rows if row)}


def point_of(about):
    return os.path.join(about["app_root"], "restore_points", about["label"])


def damage(point):
    """Why the restore point cannot be trusted, or an empty text."""
    try:
        wanted = read(os.path.join(point, "SHA256SUMS"))
    except FileNotFoundError:
        return "%s has no SHA256SUMS" % point
    return "" if manifest(point) == wanted else "%s is not as its SHA256SUMS says" % point


def answer(about, changed, readable):
    point = point_of(about)
    about_point = json.loads(read(os.path.join(point, "point.json")))
    size = sum(os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(point) for name in names)
    told = {"path": point, "digest": digest(os.path.join(point, "SHA256SUMS")), "bytes": size, "readable": readable, "changed": changed}
    print(json.dumps({**about_point, **told}))


def take(about):
    point = point_of(about)
    if os.path.exists(point):
        if fault := damage(point):
            raise SystemExit("A restore point is never written over: %s" % fault)
        return answer(about, False, False)
    part = point + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part, mode=0o700)
    shutil.copytree(os.path.join(about["app_root"], "etc"), os.path.join(part, "etc"), symlinks=True)
    canary = {}
    if about["migrates"]:
        pg(about, "pg_dump", "-Fc", "-Z1", "-f", os.path.join(part, "database.dump"), about["database"])
        canary = counts(about, about["database"])
    facts = {
        "label": about["label"],
        "run": about["run"],
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "release": os.readlink(os.path.join(about["app_root"], "current")),
        "canary": canary,
    }
    write(os.path.join(part, "point.json"), json.dumps(facts, sort_keys=True))
    write(os.path.join(part, "SHA256SUMS"), manifest(part))
    os.rename(part, point)
    return answer(about, True, False)


def drill(about):
    """Digests, then the dump restored whole into a scratch database and its rows counted."""
    point = point_of(about)
    if fault := damage(point):
        raise SystemExit("The restore point cannot be trusted: %s" % fault)
    if about["migrates"]:
        scratch = "changeover_drill_%s" % hashlib.sha256(about["label"].encode()).hexdigest()[:16]
        try:
            load(about, scratch, os.path.join(point, "database.dump"))
            found, wanted = counts(about, scratch), json.loads(read(os.path.join(point, "point.json")))["canary"]
        finally:
            pg(about, "dropdb", "--if-exists", "--force", scratch)
        if found != wanted or not all(wanted.values()):
            raise SystemExit("The restored copy has other rows: %s found, %s wanted" % (found, wanted))
    return answer(about, False, True)


def restore(about):
    """Database, settings and release as they were; what the failed try left is removed."""
    point = point_of(about)
    if fault := damage(point):
        raise SystemExit("The restore point cannot be trusted: %s" % fault)
    if about["migrates"]:
        load(about, about["database"], os.path.join(point, "database.dump"))
    put_folder(os.path.join(point, "etc"), os.path.join(about["app_root"], "etc"))
    switch(about["app_root"], json.loads(read(os.path.join(point, "point.json")))["release"])
    return answer(about, True, True)


def load(about, database, dump):
    pg(about, "dropdb", "--if-exists", "--force", database)
    pg(about, "createdb", "-T", "template0", database)
    pg(about, "pg_restore", "-j2", "--no-owner", "--exit-on-error", "-d", database, dump)


def put_folder(source, target):
    part = target + ".part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, symlinks=True)
    shutil.rmtree(target, ignore_errors=True)
    os.rename(part, target)


def switch(app_root, release):
    link = os.path.join(app_root, "current")
    if os.path.lexists(link + ".new"):
        os.unlink(link + ".new")
    os.symlink(release, link + ".new")
    os.replace(link + ".new", link)


def export(about):
    os.makedirs(os.path.dirname(about["archive"]), exist_ok=True)
    pg(about, "pg_dump", "-Fc", "-Z1", "-f", about["archive"], about["database"])
    print(json.dumps({"changed": False}))


def adopt_settings(about):
    """The other environment's settings, with this environment's own database and address."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(about["settings"], encoding="utf-8")
    parser["database"]["uri"] = about["uri"]
    parser["web"]["listen"] = about["listen"]
    os.makedirs(os.path.dirname(about["config"]), exist_ok=True)
    with open(about["config"] + ".new", "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o640)
        parser.write(stream)
    os.replace(about["config"] + ".new", about["config"])


def take_in(about):
    adopt_settings(about)
    load(about, about["database"], about["archive"])
    switch(about["app_root"], about["release"])
    print(json.dumps({"changed": True, "rows": counts(about, about["database"])}))


VERBS = {"take": take, "drill": drill, "restore": restore, "export": export, "import": take_in}


def main(verb, text):
    if verb == "switch":
        about = json.loads(text)
        switch(about["app_root"], about["release"])
        print(json.dumps({"changed": True}))
    else:
        VERBS[verb](json.loads(text))


main(*sys.argv[1:])
