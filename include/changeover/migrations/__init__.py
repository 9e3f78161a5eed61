"""How our databases came to look as they do, one directory for each; run by `changeover.adapters.sql.migrate`."""
