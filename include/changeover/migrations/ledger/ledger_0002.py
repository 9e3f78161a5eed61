"""KPIs as views: every figure is computed from the entries when it is asked for, and none is stored."""

# ruff: noqa: S608 -- every part of the queries stands in this file

from __future__ import annotations

from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None

_WHOLE = "CAST({} AS BIGINT)"


def upgrade() -> None:
    for name, query in views(dialect_of(op.get_bind().dialect.name)).items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def dialect_of(name: str) -> _Sqlite | _Postgres:
    return _Postgres() if name == "postgresql" else _Sqlite()


class _Sqlite:
    doc = "body"
    second = "CAST(strftime('%s', substr(at, 1, 19)) AS INTEGER)"
    day = "substr(at, 1, 10)"
    false, true = "0", "1"

    def text(self, doc: str, *path: str) -> str:
        return f"json_extract({doc}, '$.{'.'.join(path)}')"


class _Postgres:
    """Text that PostgreSQL's JSON cannot hold (NUL, halves of a surrogate pair) is replaced before it is read."""

    doc = r"CAST(regexp_replace(body, '\\u(0000|d[89a-f][0-9a-f]{2})', '\\ufffd', 'g') AS json)"
    second = "CAST(floor(extract(epoch FROM at)) AS BIGINT)"
    day = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    false, true = "'false'", "'true'"

    def text(self, doc: str, *path: str) -> str:
        return f"({doc} #>> '{{{','.join(path)}}}')"


def views(d: _Sqlite | _Postgres) -> dict[str, str]:
    """View → its query; each may use the ones before it."""
    return {
        "kpi_record": f"""
            SELECT run, seq, kind, name, environment, {d.second} AS second, {d.day} AS day, {d.doc} AS doc
            FROM ledger_entry
        """,
        **_what_ended(d),
        **_what_was_said(d),
        **_lost_time(d),
        "kpi_measure": _MEASURES,
    }


def newest(kind: str, environment: str) -> str:
    return (
        "(SELECT max(n.seq) FROM ledger_entry n WHERE n.run = r.run "
        f"AND n.kind = '{kind}' AND n.environment = {environment})"
    )


def _what_ended(d: _Sqlite | _Postgres) -> dict[str, str]:
    closes = _WHOLE.format(d.text("w.doc", "data", "closes_second"))
    return {
        "kpi_run": f"""
            SELECT r.run, {d.text("r.doc", "client")} AS client, {d.text("r.doc", "application")} AS application,
                coalesce({d.text("r.doc", "team")}, '') AS team, {d.text("r.doc", "mode")} AS mode,
                r.day AS opened_on, o.name AS outcome, o.day AS ended_on
            FROM kpi_record r
            LEFT JOIN kpi_record o ON o.run = r.run AND o.seq = {newest("outcome", "''")}
            WHERE r.kind = 'run'
        """,
        "kpi_environment": f"""
            SELECT s.*,
                CASE WHEN s.outcome IN ('successful', 'successful_with_issues') THEN 1 ELSE 0 END AS upgraded,
                CASE WHEN s.closes IS NOT NULL OR s.outcome = 'missed' THEN 1 ELSE 0 END AS had_window,
                CASE WHEN s.outcome IN ('successful', 'successful_with_issues') AND s.settled <= s.closes
                    THEN 1 ELSE 0 END AS on_time
            FROM (
                SELECT r.run, r.client, r.application, r.team, r.ended_on, o.environment, o.name AS outcome,
                    o.second AS settled,
                    (SELECT {closes} FROM kpi_record w WHERE w.run = o.run AND w.environment = o.environment
                        AND w.kind = 'mark' AND w.name = 'window_agreed' ORDER BY w.seq DESC LIMIT 1) AS closes
                FROM kpi_run r
                JOIN kpi_record o ON o.run = r.run AND o.kind = 'outcome' AND o.environment <> ''
                    AND o.seq = {newest("outcome", "o.environment")}
                WHERE r.mode = 'implement' AND r.ended_on IS NOT NULL
            ) s
        """,
    }


def _what_was_said(d: _Sqlite | _Postgres) -> dict[str, str]:
    number = d.text("i.doc", "data", "number")
    later = d.text("n.doc", "data", "number")
    severity = f"CASE WHEN i.name = 'incident_seen' THEN {_WHOLE.format(d.text('i.doc', 'data', 'severity'))} END"
    score = f"CASE WHEN a.name = 'survey_answered' THEN {_WHOLE.format(d.text('a.doc', 'data', 'overall'))} END"
    return {
        "kpi_incident": f"""
            SELECT r.run, r.client, r.application, r.team, r.ended_on, {number} AS number, {severity} AS severity
            FROM kpi_run r JOIN kpi_record i ON i.run = r.run AND i.kind = 'mark' AND i.name = 'incident_seen'
            WHERE r.mode = 'implement' AND r.ended_on IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM kpi_record n WHERE n.run = i.run AND n.kind = 'mark' AND n.name = 'incident_seen'
                    AND n.seq > i.seq AND {later} = {number})
        """,
        "kpi_answer": f"""
            SELECT r.run, r.client, r.application, r.team, r.ended_on, {score} AS score
            FROM kpi_run r JOIN kpi_record a ON a.run = r.run AND a.kind = 'mark' AND a.name = 'survey_answered'
            WHERE r.ended_on IS NOT NULL
        """,
    }


QUESTIONS = """
    (a.gate = 'plan' AND q.kind = 'mark' AND q.name = 'run_sheet')
    OR (a.gate = 'go_no_go' AND q.kind = 'gate' AND q.name = 'readiness' AND q.environment = a.environment)
    OR (a.gate = 'sign_off' AND q.kind = 'gate' AND q.name = 'acceptance' AND q.environment = a.environment)
    OR (a.gate = 'support' AND q.kind = 'gate' AND q.name = 'hypercare')
"""
"""What in the record is followed by the question that `a` answers."""


def _lost_time(d: _Sqlite | _Postgres) -> dict[str, str]:
    generation = f"CASE WHEN b.kind = 'step_begun' THEN {_WHOLE.format(d.text('b.doc', 'generation'))} END"
    same_step = f"{d.text('e.doc', 'generation')} = {d.text('b.doc', 'generation')}"
    return {
        "kpi_human_answer": f"""
            SELECT m.run, m.seq, m.environment, m.second, {d.text("m.doc", "data", "gate")} AS gate
            FROM kpi_record m
            WHERE m.kind = 'mark' AND m.name IN ('approved', 'rejected')
                AND {d.text("m.doc", "data", "by")} NOT LIKE 'rule:%'
        """,
        "kpi_wait": f"""
            SELECT a.run, a.gate AS measure, q.day, a.second - q.second AS seconds
            FROM kpi_human_answer a JOIN kpi_record q ON q.run = a.run AND q.seq = (
                SELECT max(q.seq) FROM ledger_entry q WHERE q.run = a.run AND q.seq < a.seq AND ({QUESTIONS}))
            WHERE NOT EXISTS (
                SELECT 1 FROM kpi_human_answer f WHERE f.run = a.run AND f.gate = a.gate
                    AND f.environment = a.environment AND f.seq > q.seq AND f.seq < a.seq)
        """,
        "kpi_rework": f"""
            SELECT b.run, 'rework' AS measure, b.day, e.second - b.second AS seconds
            FROM kpi_record b
            JOIN kpi_record e ON e.run = b.run AND e.kind = 'step_ended' AND e.name = b.name
                AND e.environment = b.environment AND {same_step}
            WHERE b.kind = 'step_begun' AND {generation} > 1
                AND b.name NOT LIKE 'back_out%' AND b.name NOT LIKE 'release%' AND b.name NOT LIKE '%verify'
                AND EXISTS (SELECT 1 FROM ledger_entry o WHERE o.run = b.run AND o.kind = 'outcome'
                    AND o.environment = b.environment AND o.environment <> '')
        """,
        "kpi_back_out": """
            SELECT b.run, 'back_out' AS measure, b.day, e.second - b.second AS seconds
            FROM kpi_record b JOIN kpi_record e ON e.run = b.run AND e.seq = (
                SELECT min(n.seq) FROM ledger_entry n WHERE n.run = b.run AND n.environment = b.environment
                    AND n.seq > b.seq AND (n.kind = 'outcome' OR (n.kind = 'mark' AND n.name = 'backed_out')))
            WHERE b.kind = 'mark' AND b.name = 'backing_out' AND EXISTS (
                SELECT 1 FROM ledger_entry o WHERE o.run = b.run AND o.kind = 'outcome'
                    AND o.environment = b.environment AND o.environment <> '')
        """,
        **_costs(d),
    }


def _of_the_card(d: _Sqlite | _Postgres, kind: str, name: str, value: str) -> str:
    """What the newest card says that was valid on the day."""
    since = d.text("c.doc", "valid_from")
    return (
        f"(SELECT {value} FROM kpi_record c WHERE c.kind = '{kind}' AND c.name = {name} AND {since} <= t.day "
        f"ORDER BY {since} DESC LIMIT 1)"
    )


def _costs(d: _Sqlite | _Postgres) -> dict[str, str]:
    percent = _WHOLE.format(d.text("c.doc", "percent"))
    cents = _WHOLE.format(d.text("c.doc", "cents"))
    role = _of_the_card(d, "attended", "t.measure", d.text("c.doc", "role"))
    return {
        "kpi_timesheet": f"""
            SELECT {d.text("s.doc", "run")} AS run, {d.text("s.doc", "client")} AS client,
                {d.text("s.doc", "application")} AS application, {d.text("s.doc", "team")} AS team,
                {d.text("s.doc", "day")} AS day, {d.text("s.doc", "why")} AS why, {d.text("s.doc", "role")} AS role,
                {_WHOLE.format(d.text("s.doc", "seconds"))} AS seconds
            FROM kpi_record s
            WHERE s.kind = 'effort' AND {d.text("s.doc", "billable")} = {d.false}
        """,
        "kpi_lost_time": f"""
            SELECT t.run, r.client, r.application, r.team, t.day, t.why, t.seconds, 'ledger' AS source,
                coalesce({role}, 'upgrade_manager') AS role,
                coalesce({_of_the_card(d, "attended", "t.measure", percent)}, 100) AS percent
            FROM (
                SELECT run, measure, day, seconds, 'wait' AS why FROM kpi_wait
                UNION ALL SELECT run, measure, day, seconds, 'rework' FROM kpi_rework
                UNION ALL SELECT run, measure, day, seconds, 'back_out' FROM kpi_back_out
            ) t JOIN kpi_run r ON r.run = t.run
            WHERE (t.run, t.why) NOT IN (SELECT run, why FROM kpi_timesheet)
            UNION ALL
            SELECT run, client, application, team, day, why, seconds, 'time sheet', role, 100 FROM kpi_timesheet
        """,
        "kpi_cost": f"""
            SELECT t.*, {_of_the_card(d, "rate", "t.role", cents)} AS cents,
                coalesce({_of_the_card(d, "rate", "t.role", d.text("c.doc", "currency"))}, '') AS currency
            FROM kpi_lost_time t
        """,
    }


_MEASURES = """
    SELECT 'failure_rate' AS kpi, '' AS part, '' AS role, '' AS currency, client, application, team,
        ended_on AS day, substr(ended_on, 1, 7) AS month,
        CAST(1 - upgraded AS BIGINT) AS numerator, CAST(1 AS BIGINT) AS denominator, CAST(0 AS BIGINT) AS rated
    FROM kpi_environment
    UNION ALL
    SELECT 'success_score', '', '', '', client, application, team, ended_on, substr(ended_on, 1, 7),
        CASE outcome WHEN 'successful' THEN 2 WHEN 'successful_with_issues' THEN 1 ELSE 0 END, 2, 0
    FROM kpi_run WHERE mode = 'implement' AND ended_on IS NOT NULL
    UNION ALL
    SELECT 'on_time', '', '', '', client, application, team, ended_on, substr(ended_on, 1, 7), on_time, 1, 0
    FROM kpi_environment WHERE had_window = 1
    UNION ALL
    SELECT 'satisfaction', '', '', '', client, application, team, ended_on, substr(ended_on, 1, 7), score, 1, 0
    FROM kpi_answer
    UNION ALL
    SELECT 'incident_rate', CAST(severity AS TEXT), '', '', client, application, team, ended_on,
        substr(ended_on, 1, 7), 1, 0, 0
    FROM kpi_incident
    UNION ALL
    SELECT 'incident_rate', s.severity, '', '', e.client, e.application, e.team, e.ended_on,
        substr(e.ended_on, 1, 7), 0, 1, 0
    FROM kpi_environment e
    CROSS JOIN (SELECT '1' AS severity UNION ALL SELECT '2' UNION ALL SELECT '3' UNION ALL SELECT '4') s
    WHERE e.upgraded = 1 AND EXISTS (
        SELECT 1 FROM ledger_entry h WHERE h.run = e.run AND h.kind = 'mark' AND h.name = 'hypercare_checked')
    UNION ALL
    SELECT 'non_billable', why, role, currency, client, application, team, day, substr(day, 1, 7),
        seconds * percent * coalesce(cents, 0), seconds * percent,
        CASE WHEN cents IS NULL THEN 0 ELSE seconds * percent END
    FROM kpi_cost WHERE seconds * percent > 0
"""
"""One row per thing counted: whatever it is summed by, the parts make up the whole."""
