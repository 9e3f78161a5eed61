"""Nordwind's data: made once by the old release's own tools and kept with the project, so that a lab starts quickly.

A lab loads what is kept; when anything that it was made from has changed since, the data is made anew, which takes
a minute or two, until `changeover lab keep-data` has kept it again. No password is kept: every lab sets its own.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

from changeover.lab.account import Entry
from changeover.lab.environment import Lab
from changeover.lab.postgres import PORT, Postgres
from changeover.settings import PROJECT

CONTENT = PROJECT / "include/lab/tryton"
OLD = "7.0.59"
MODULE = "customer_nordwind"
ROLE = "tryton"
USERS = ("admin", "order-feed", "acceptance")
UNANALYSED = "-c enable_hashjoin=off -c enable_mergejoin=off"
"""For a database that is just being made: nothing is known of its catalogue, and what PostgreSQL guesses costs half a
minute."""
HASH = (
    "import json, sys; from trytond.res.user import CRYPT_CONTEXT as c; "
    "print(json.dumps({user: c.hash(word) for user, word in json.load(sys.stdin).items()}))"
)
"""Run by the old release's Python: passwords in, what it keeps of them out."""


def kept() -> Path:
    """Where the data belongs that was made from today's sources; the name says which those are."""
    sources = [CONTENT / "seed.py", CONTENT / f"requirements-{OLD}.txt"]
    module = CONTENT / MODULE / OLD.rpartition(".")[0]
    sources += [path for path in module.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256()
    for path in sorted(sources):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(CONTENT).as_posix()}\n".encode())
    return CONTENT / f"data-{OLD}-{digest.hexdigest()[:12]}.sql.xz"


def uri(server: Postgres) -> str:
    return f"postgresql://{ROLE}@/?host={server.socket}&port={PORT}"


def load(server: Postgres, database: str) -> None:
    """Load what is kept into a new database; without anything that fits, the database is left empty."""
    _create(server, database)
    if kept().exists():
        text = lzma.decompress(kept().read_bytes()).decode("utf-8")
        server.run("psql", "-Xq1", "-v", "ON_ERROR_STOP=1", "-U", ROLE, "-d", database, data=text)
        server.run("psql", "-Xq", "-d", database, "-c", "analyze")


def finish(lab: Lab, server: Postgres, database: str) -> None:
    """Once the old release is installed: the lab's own passwords for a loaded database, all data for an empty one."""
    if kept().exists():
        server.run("psql", "-Xq1", "-v", "ON_ERROR_STOP=1", "-d", database, data=_passwords(lab))
    else:
        make(lab, server, database)


def keep(lab: Lab, server: Postgres) -> Path:
    """Make the data from nothing and keep it in the project, in place of what was kept before."""
    database = "nordwind_to_keep"
    _create(server, database)
    make(lab, server, database)
    server.run("psql", "-Xq", "-d", database, "-c", "update res_user set password_hash = null")
    server.run("psql", "-Xq", "-d", database, "-c", "delete from ir_session; delete from res_user_login_attempt")
    text = server.run("pg_dump", "--no-owner", "--no-privileges", database)
    server.run("dropdb", "--force", database)
    # Newer servers' dumps begin and end with commands that older ones' psql does not know.
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(("\\restrict", "\\unrestrict"))]
    path = kept()
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(lzma.compress("".join(lines).encode("utf-8"), preset=9))
    for old in CONTENT.glob(f"data-{OLD}-*.sql.xz"):
        old.unlink()
    return part.replace(path)


def make(lab: Lab, server: Postgres, database: str) -> None:
    """A database made and filled by the old release's own tools."""
    python = lab.cache / OLD / "bin/python"
    passwords = _secrets(lab)
    configuration = lab.cache / "seed.conf"
    lab.account.write(
        lab.cache,
        {
            "seed.conf": Entry(f"[database]\nuri = {uri(server)}\n", 0o600),
            "admin": Entry(passwords.pop("admin"), 0o600),
            "seed.py": Entry((CONTENT / "seed.py").read_bytes()),
        },
    )
    command: list[str | Path] = [python, lab.cache / OLD / "bin/trytond-admin", "-c", configuration, "-d", database]
    lab.account.run(
        [*command, "-u", MODULE, "--activate-dependencies", "--email", "it@nordwind.example"],
        env={"TRYTONPASSFILE": str(lab.cache / "admin"), "PGOPTIONS": UNANALYSED},
    )
    server.run("psql", "-Xq", "-d", database, "-c", "analyze")
    lab.account.run([python, lab.cache / "seed.py", database, configuration], data=json.dumps(passwords))
    lab.account.remove(lab.cache / "admin")


def _create(server: Postgres, database: str) -> None:
    server.run("dropdb", "--if-exists", "--force", database)
    server.run("createdb", "-O", ROLE, database)


def _secrets(lab: Lab) -> dict[str, str]:
    return {user: lab.password(f"tryton-{user}") for user in USERS}


def _passwords(lab: Lab) -> str:
    """The lab's own passwords as SQL, hashed by the release that will check them."""
    done = lab.account.run([lab.cache / OLD / "bin/python", "-c", HASH], data=json.dumps(_secrets(lab)))
    hashes: Mapping[str, str] = json.loads(done.stdout)
    return "".join(
        f"update res_user set password_hash = '{hashed}' where login = '{user}';\n"  # noqa: S608 - neither has a quote
        for user, hashed in hashes.items()
    )
