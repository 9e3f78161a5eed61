"""Copies of the application: take, prove and restore.

Usage: restore_point.py take|drill|restore|export|import|use ABOUT as JSON; answers JSON. A restore point is
<app_root>/restore_points/<label>/ with etc/, point.json and, on the host that migrates the database its hosts share,
database.dump; SHA256SUMS over all of it. It is made under another name and renamed when whole; nothing here writes into
one that exists.
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

# Tables that every Tryton has, and those that its business is in.
CANARY = ("ir_model", "res_user", "party_party", "product_product", "sale_sale", "sale_line", "account_invoice")
BACKED_OUT = "backed_out.json"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(directory):
    files = sorted(file for file in directory.rglob("*") if file.is_file() and file != directory / "SHA256SUMS")
    return "".join("%s  %s\n" % (digest(file), file.relative_to(directory)) for file in files)


def write(path, text):
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def postgres(about, program, *arguments):
    pg = about["pg"]
    environment = dict(os.environ, PGHOST=pg["host"], PGPORT=str(pg["port"]), PGUSER=pg["user"])
    environment["PGOPTIONS"] = "-c client_min_messages=warning"
    command = [str(Path(pg["bin"], program)), *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit("%s ended with code %d: %s" % (program, done.returncode, done.stderr.strip()[-1000:]))
    return done.stdout


def ask(about, database, query):
    """Rows of a query, their columns separated by a tab."""
    options = ["-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]
    return [row.split("\t") for row in postgres(about, "psql", *options).splitlines()]


def counts(about, database):
    """Rows of the tables that matter, as far as this installation has them."""
    there = {name for (name,) in ask(about, database, "select tablename from pg_tables where schemaname = 'public'")}
    wanted = [name for name in CANARY if name in there]
    if "ir_model" not in wanted:
        raise SystemExit("the database %s holds no Tryton" % database)
    query = " union all ".join("select '%s', count(*) from %s" % (name, name) for name in wanted)  # noqa: S608
    return {name: int(number) for name, number in ask(about, database, query)}


def canary_row(about, database):
    """Digest of the newest party, every column of it: a copy that counts right may still hold another one."""
    there = {name for (name,) in ask(about, database, "select tablename from pg_tables where schemaname = 'public'")}
    table = "party_party" if "party_party" in there else "res_user"
    found = ask(about, database, "select md5(t::text) from %s t order by id desc limit 1" % table)  # noqa: S608
    return found[0][0] if found else ""


def identity(about):
    """Whose copy this is: it goes back to no other host and no other database."""
    return {"host": about["host"], "database": about["database"]}


def place(about):
    return Path(about["app_root"], "restore_points", about["label"])


def damage(point):
    """Why the restore point cannot be trusted, or an empty text."""
    if not point.is_dir():
        return "there is none"
    if not (point / "SHA256SUMS").exists():
        return "it has no SHA256SUMS"
    wanted, found = (point / "SHA256SUMS").read_text(encoding="utf-8"), manifest(point)
    changed = sorted({line.split("  ", 1)[1] for line in set(wanted.splitlines()) ^ set(found.splitlines())})
    return "not as recorded: %s" % ", ".join(changed[:5]) if changed else ""


def usable(about):
    """The restore point and what is known of it; ends the program when it is missing or not whole."""
    point = place(about)
    fault = damage(point)
    if fault:
        raise SystemExit("the restore point %s cannot be used: %s" % (about["label"], fault))
    known = described(point)
    if known.get("identity") != identity(about):
        raise SystemExit(
            "the restore point %s is of %s, this is %s" % (about["label"], known.get("identity"), identity(about))
        )
    if known["has_database"] != about["migrates"]:
        kept = "holds a copy of the database" if known["has_database"] else "holds no copy of the database"
        raise SystemExit(
            "the restore point %s %s; see which host of the environment migrates it" % (about["label"], kept)
        )
    return point, known


def described(point):
    known = json.loads((point / "point.json").read_text(encoding="utf-8"))
    total = sum(file.stat().st_size for file in point.rglob("*") if file.is_file())
    return dict(known, path=str(point), digest=digest(point / "SHA256SUMS"), bytes=total)


@contextlib.contextmanager
def alone(app_root):
    """One copy at a time. What a killed try left half made is nobody's then; readiness counted its space as free."""
    with (app_root / ".copying").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in [*app_root.glob("restore_points/*.part"), app_root / "imported.part", app_root / ".drill"]:
            shutil.rmtree(str(place), ignore_errors=True)
        yield


def scratch(about):
    """How databases are called that a restore point of this database is proven in."""
    return "drill_%s_" % hashlib.sha256(about["database"].encode()).hexdigest()[:8]


def drop_scratch(about):
    """Of proofs that were killed; there is no other proof at work."""
    query = "select datname from pg_database where left(datname, 15) = '%s'" % scratch(about)  # noqa: S608
    for (name,) in ask(about, "postgres", query):
        postgres(about, "dropdb", "--if-exists", "--force", name)


def take(about):
    """A label that exists is kept as it is when it is whole; `current` says whether it holds what is there now."""
    app_root, point = Path(about["app_root"]), place(about)
    canary = counts(about, about["database"]) if about["migrates"] else {}
    row = canary_row(about, about["database"]) if about["migrates"] else ""
    if point.exists():
        _, known = usable(about)
        return dict(known, changed=False, current=(known["canary"], known["canary_row"]) == (canary, row))
    part = point.with_name(point.name + ".part")
    shutil.rmtree(str(part), ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    shutil.copytree(str(app_root / "etc"), str(part / "etc"), symlinks=True)
    if about["migrates"]:
        drop_scratch(about)
        dump(about, part / "database.dump")
    known = {
        "label": about["label"],
        "run": about["run"],
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "release": os.readlink(str(app_root / "current")),
        "has_database": about["migrates"],
        "identity": identity(about),
        "canary": canary,
        "canary_row": row,
    }
    write(part / "point.json", json.dumps(known, indent=1))
    write(part / "SHA256SUMS", manifest(part))
    part.rename(point)
    return dict(described(point), changed=True, current=True)


def dump(about, target):
    postgres(about, "pg_dump", "-Fc", "-Z", "1", "-f", target, about["database"])


def drill(about):
    """Digests, then the whole dump restored into a scratch database and its rows counted."""
    point, known = usable(about)
    if about["migrates"]:
        copy = scratch(about) + hashlib.sha256(("%s %s" % (point, os.getpid())).encode()).hexdigest()[:8]
        try:
            load(about, copy, point / "database.dump")
            found, row = counts(about, copy), canary_row(about, copy)
        finally:
            postgres(about, "dropdb", "--if-exists", "--force", copy)
        if found != known["canary"]:
            raise SystemExit("the restored copy holds %s, the restore point had %s" % (found, known["canary"]))
        if row != known["canary_row"]:
            raise SystemExit("the newest party of the restored copy is not the one the restore point was taken of")
    release = Path(about["app_root"], known["release"])
    if not (release / "bin/trytond").exists():
        raise SystemExit("the release of the restore point, %s, is no longer there" % release)
    return dict(known, readable=True)


def load(about, database, archive):
    """In two processes; the statistics too, without which the first hour is slow."""
    postgres(about, "dropdb", "--if-exists", "--force", database)
    postgres(about, "createdb", "-T", "template0", database)
    postgres(about, "pg_restore", "-j", "2", "--no-owner", "--exit-on-error", "-d", database, archive)
    postgres(about, "psql", "-Xq", "-d", database, "-c", "analyze")


def restore(about):
    """Database, settings and release, once per try: a second call must not lose what was entered since the first."""
    point, known = usable(about)
    app_root = Path(about["app_root"])
    done = app_root / BACKED_OUT
    if done.exists() and json.loads(done.read_text(encoding="utf-8"))["label"] == about["label"]:
        return dict(known, changed=False)
    end_migrations(app_root)
    if about["migrates"]:
        replace_database(about, point / "database.dump")
    put_settings(point / "etc", app_root / "etc")
    point_current(app_root, known["release"])
    with contextlib.suppress(FileNotFoundError):
        (app_root / "migration.json").unlink()
    write(done, json.dumps({"label": about["label"], "run": about["run"]}))
    return dict(known, changed=True)


def replace_database(about, archive):
    """What is there goes when its replacement stands whole beside it: a full disk leaves a database to come back to."""
    name, fresh = about["database"], about["database"] + "_restored"
    try:
        load(about, fresh, archive)
        postgres(about, "dropdb", "--if-exists", "--force", name)
        postgres(about, "psql", "-Xq", "-d", "postgres", "-c", 'alter database "%s" rename to "%s"' % (fresh, name))
    finally:
        postgres(about, "dropdb", "--if-exists", "--force", fresh)


def end_migrations(app_root):
    """One that a lost controller left behind would go on in the restored database."""
    mine = re.compile("^%s/.*/bin/trytond-admin$" % re.escape(str(app_root)))
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(mine.match(word) for word in words):
                os.kill(int(process.name), 9)


def put_settings(source, target):
    fresh, failed = (target.with_name(target.name + ending) for ending in (".restored", ".failed"))
    shutil.rmtree(str(fresh), ignore_errors=True)
    shutil.copytree(str(source), str(fresh), symlinks=True)
    if target.exists():
        shutil.rmtree(str(failed), ignore_errors=True)
        target.rename(failed)
    fresh.rename(target)
    shutil.rmtree(str(failed), ignore_errors=True)


def point_current(app_root, release):
    link = app_root / "current.new"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(release)
    link.replace(app_root / "current")


def export(about):
    """Database and settings of this environment as one archive; nothing of the application is touched."""
    archive, app_root = Path(about["archive"]), Path(about["app_root"])
    directory = archive.with_name(archive.name + ".dir")
    try:
        directory.mkdir(mode=0o700)
        dump(about, directory / "database.dump")
        archive.touch(mode=0o600)
        with tarfile.open(str(archive), mode="w") as stream:
            stream.add(str(directory / "database.dump"), arcname="database.dump")
            stream.add(str(app_root / "etc"), arcname="etc")
    finally:
        shutil.rmtree(str(directory), ignore_errors=True)
    return {"changed": False, "digest": digest(archive)}


def take_over(about):
    """Make the environment from an exported archive: the data and the settings, at this host's own address."""
    app_root = Path(about["app_root"])
    part = app_root / "imported.part"
    shutil.rmtree(str(part), ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        shutil.unpack_archive(about["archive"], str(part), "tar")
        if about["migrates"]:
            load(about, about["database"], part / "database.dump")
        set_address(part / "etc/trytond.conf", about)
        put_settings(part / "etc", app_root / "etc")
    finally:
        shutil.rmtree(str(part), ignore_errors=True)
    point_current(app_root, about["release"])
    for name in (BACKED_OUT, "migration.json"):
        with contextlib.suppress(FileNotFoundError):
            (app_root / name).unlink()
    return {"changed": True, "canary": counts(about, about["database"])}


def set_address(path, about):
    """Two lines of the client's settings file; a rewrite by configparser would lose its comments."""
    text = path.read_text(encoding="utf-8")
    for key, value in (("uri", about["uri"]), ("listen", about["listen"])):
        text = re.sub(r"(?m)^%s\s*=.*$" % key, lambda _, k=key, v=value: "%s = %s" % (k, v), text)
    path.write_text(text, encoding="utf-8")


def use(about):
    """The new release becomes the current one."""
    app_root = Path(about["app_root"])
    changed = os.readlink(str(app_root / "current")) != about["release"]
    point_current(app_root, about["release"])
    return {"changed": changed}


VERBS = {"take": take, "drill": drill, "restore": restore, "export": export, "import": take_over, "use": use}


def main(verb, text):
    about = json.loads(text)
    if verb not in ("take", "drill", "import"):
        return VERBS[verb](about)
    with alone(Path(about["app_root"])):
        return VERBS[verb](about)


print(json.dumps(main(*sys.argv[1:])))
