"""What the contract tests share: databases of every kind, empty."""

from __future__ import annotations

import pytest

from tests.support.databases import (  # noqa: F401  # fixtures are found by their names here
    cmdb,
    cmdb_url,
    empty_url,
    ledger,
    ledger_url,
    sql_cmdb,
    sql_ledger,
    templates,
)
from tests.support.postgres import postgres_server  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs a PostgreSQL server; skipped, and said so, where there is none")
