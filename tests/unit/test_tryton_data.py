"""The lab's data that is kept in the project."""

from __future__ import annotations

import lzma

from changeover.lab.sites import tryton_data


def test_what_is_kept_was_made_from_todays_sources() -> None:
    files = sorted(path.name for path in tryton_data.CONTENT.glob("data-*.sql.xz"))
    assert files == [tryton_data.kept().name], "the sources changed: run `./changeover lab keep-data`"


def test_what_is_kept_holds_no_password_and_nothing_that_older_clients_do_not_know() -> None:
    text = lzma.decompress(tryton_data.kept().read_bytes()).decode("utf-8")
    assert "$argon2" not in text
    assert "$2b$" not in text
    assert not [line for line in text.splitlines() if line.startswith("\\") and line != "\\."]
