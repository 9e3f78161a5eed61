"""Runs migrations inside the transaction of the caller, who holds the lock."""

from __future__ import annotations

from alembic import context

schema = context.config.attributes["schema"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    transactional_ddl=True,
)
context.run_migrations()
