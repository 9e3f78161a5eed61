"""Places of lanes on every database: of several that want the last one, one gets it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from changeover.adapters import ledger_sql
from changeover.adapters.fleet_entries import EntryFleet
from changeover.domain.cap import Cap, Caps, Claim, hindrances
from tests.support.windows import at

NOW = at("2026-08-15T20:00")
ONE = Caps(caps=(Cap(name="engineers", at_most=1, reason="one is on duty"),))


def claim(n: int) -> Claim:
    cis = (f"c{n}/app/production", f"host 10.0.0.{n}:22")
    return Claim(f"c{n}.app.run", f"c{n}.app", f"c{n}", "app", "production", "production", cis, ("jo",), NOW)


def fleet(url: str) -> EntryFleet:
    return EntryFleet(ledger_sql.open_store(url), Path("nowhere.yaml"))


def test_of_many_that_want_the_last_place_one_gets_it(empty_url: str) -> None:
    ledger_sql.migrate(empty_url)

    def take(n: int) -> tuple[str, ...]:
        wanted = claim(n)
        return fleet(empty_url).take(wanted, lambda held: hindrances(wanted, held, ONE))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(take, range(6)))
    assert sum(answer == () for answer in answers) == 1
    (holder,) = fleet(empty_url).held()
    assert all(holder.plan in "".join(answer) for answer in answers if answer)


def test_a_place_is_given_back_and_taken_again(empty_url: str) -> None:
    ledger_sql.migrate(empty_url)
    of, asked = fleet(empty_url), []

    def hindered(held: Sequence[Claim]) -> tuple[str, ...]:
        asked.append(len(held))
        return ()

    assert of.take(claim(1), hindered) == of.take(claim(1), hindered) == ()
    assert asked == [0]  # what is held already is not asked again
    of.give_back("c1.app.run", "production", NOW)
    of.give_back("c1.app.run", "production", NOW)
    assert of.held() == ()
    assert of.take(claim(1), hindered) == ()
    assert of.held() == (claim(1),)
