"""What an analysis wants to know of this Tryton and its database; reads only.

Usage: analysis.py ABOUT, JSON in and out. ABOUT is that of report.py, with `config` and `actions`: the vendor's actions
by hand, as migration.py takes them. Each is held against the data: {applies: true, false, or null where a person has to
look, why, choice, remedy, unless}. A database that its hosts share is read on the one that migrates it.
"""

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

NOT_TOLD = re.compile(r"\.uri$|\.listen$|pass|secret|token|key|salt", re.IGNORECASE)
DEFAULTS = (
    "import json, trytond.config as c; p = c.TrytonConfigParser();"
    " print(json.dumps({'%s.%s' % (s, k): p.get(s, k) for s in p.sections() for k in p[s]}))"
)
COLUMNS = (
    "select table_name || '.' || column_name as name from information_schema.columns where table_schema = 'public'"
)
TABLES = (
    "select c.relname as name, c.reltuples::bigint as rows, pg_total_relation_size(c.oid) as bytes from pg_class c"
    " join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname = 'public'"
    " order by 3 desc, 1 limit 12"
)
USERS = (
    "select u.login, 'session' as kind, max(s.create_date)::text as last_seen from ir_session s"
    " join res_user u on u.id = s.create_uid group by u.login"
    " union all select u.login, 'application ' || a.application, a.write_date::text from res_user_application a"
    " join res_user u on u.id = a.\"user\" where a.state = 'validated'"
)
CRON = (
    "select method as command, interval_number || ' ' || interval_type as \"when\" from ir_cron"
    " where active order by method"
)
ACCOUNTS = "select login as name from res_user where active order by login"
OTHERS = (
    "select distinct usename::text as account, usename = current_user as own,"
    " coalesce(application_name, '') as program, host(client_addr) as address from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and usename is not null"
)


def psql(site, query):
    """Rows of a query; the transaction cannot write."""
    pg = site["pg"]
    environment = dict(os.environ, PGHOST=pg["host"], PGPORT=str(pg["port"]), PGUSER=pg["user"])
    environment["PGOPTIONS"] = "-c default_transaction_read_only=on -c client_min_messages=warning"
    text = "select coalesce(json_agg(t), '[]') from (%s) t" % query.strip().rstrip(";")  # noqa: S608
    command = [str(Path(pg["bin"], "psql")), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", site["database"], "-c", text]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit("psql on %s: %s" % (site["database"], done.stderr.strip()[-800:]))
    return json.loads(done.stdout)


def has_database(site):
    here = dict(site, database="postgres")
    return bool(psql(here, "select 1 from pg_database where datname = '%s'" % site["database"]))  # noqa: S608


def client_settings(site, release):
    """Every setting that is not the vendor's default: key -> value and default (null: the server has none)."""
    python, config = release / "bin/python", Path(site["config"])
    if not (python.exists() and config.exists()):
        return {}
    done = subprocess.run([str(python), "-B", "-c", DEFAULTS], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    defaults = json.loads(done.stdout)
    parser = configparser.RawConfigParser()
    parser.read(str(config), encoding="utf-8")
    found = {}
    values = {"%s.%s" % (part, key): parser.get(part, key) for part in parser.sections() for key in parser[part]}
    for name, value in values.items():
        if defaults.get(name) != value:
            hidden = NOT_TOLD.search(name)
            found[name] = {"value": "(hidden)" if hidden else value, "default": None if hidden else defaults.get(name)}
    return found


def vendor_steps(site, modules):
    """The vendor's actions by hand, each held against this database."""
    columns = {row["name"] for row in psql(site, COLUMNS)}
    return {action["id"]: step(site, action, modules, columns) for action in site["actions"]}


def step(site, action, modules, columns):
    told = {"choice": action.get("choice", ""), "unless": action.get("unless_installed", ""), "remedy": ""}
    if action.get("remedy"):
        pg = dict(site["pg"], database=site["database"], sql=action["remedy"])
        told["remedy"] = '%(bin)s/psql -h %(host)s -p %(port)s -U %(user)s -d %(database)s -c "%(sql)s"' % pg
    missing = [name for name in action.get("modules", []) if name not in modules]
    if missing:
        return dict(told, applies=False, why="%s is not activated" % ", ".join(missing))
    if action.get("unless_column") in columns:
        return dict(told, applies=False, why="done before: the column %s is there" % action["unless_column"])
    if action.get("if_rows"):
        count = psql(site, action["if_rows"])[0]["count"]
        return dict(told, applies=count > 0, why="%d rows need it" % count if count else "no row needs it")
    return dict(told, applies=True, why="")


def of_database(site):
    modules = {row["name"] for row in psql(site, "select name from ir_module where state = 'activated'")}
    size = psql(site, "select pg_database_size(current_database()) as bytes")[0]["bytes"]
    return {
        "manual_steps": vendor_steps(site, modules),
        "api_users": psql(site, USERS),
        "database_clients": psql(site, OTHERS),
        "scheduled": [dict(row, source="ir.cron") for row in psql(site, CRON)],
        "volume": {"bytes": size, "tables": psql(site, TABLES)},
        "accounts": [row["name"] for row in psql(site, ACCOUNTS)],
    }


def main(text):
    site = json.loads(text)
    release = Path(site["app_root"], "current").resolve()
    server = psql(dict(site, database="postgres"), "select current_setting('server_version') as version")
    report = {
        "database": {"name": "postgresql", "version": server[0]["version"].split()[0]},
        "client_settings": client_settings(site, release),
    }
    if site["migrates"] and has_database(site):
        report.update(of_database(site))
    print(json.dumps(report))


main(sys.argv[1])
