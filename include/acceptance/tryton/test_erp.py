"""Acceptance of Tryton: the wanted release answers, people can work, and the client's own parts are there."""

from __future__ import annotations

import json
from typing import Any


def test_wanted_release_answers(server: Any) -> None:
    """The server names its exact version (7.0) or its series (8.0)."""
    told = server.call("common.server.version", {}, database=False)
    assert f"{server.target_version}.".startswith(f"{told}.")


def test_server_is_started_from_the_wanted_release(host: Any, server: Any) -> None:
    """The process on the host belongs to the release that is said to run: no old one is left over."""
    home = server.variables["app_root"]
    found = host.check_output("ps -eo args").splitlines()
    lines = [line for line in found if f"{home}/releases/" in line and "bin/trytond " in line]
    assert lines, "no server of this host runs"
    assert all(f"{home}/releases/{server.target_version}/" in line for line in lines), lines


def test_parties_can_be_read(server: Any) -> None:
    parties = server.read("party.party", [], ["name", "code"])
    assert len(parties) > 1
    assert all(party["code"] for party in parties)


def test_products_have_prices(server: Any) -> None:
    products = server.read("product.product", [["salable", "=", True]], ["rec_name", "list_price"])
    assert products
    assert all(float(product["list_price"]["decimal"]) > 0 for product in products)


def test_sales_have_totals(server: Any) -> None:
    sales = server.read("sale.sale", [], ["reference", "total_amount", "state"])
    assert sales
    assert {"draft", "quotation", "processing"} <= {sale["state"] for sale in sales}
    assert all(float(sale["total_amount"]["decimal"]) > 0 for sale in sales)


def test_sales_hold_the_clients_own_field(server: Any) -> None:
    """The client's module was carried over with its values."""
    sales = server.read("sale.sale", [], ["cost_centre"])
    assert sales
    assert all(sale["cost_centre"] for sale in sales)


def test_wrong_login_is_refused(server: Any) -> None:
    assert not server.call("common.db.login", "acceptance", {"password": "not this one"}, "en")


def test_integration_makes_its_round(host: Any, server: Any) -> None:
    """The client's own program, as it is installed on this host, reads the open orders from the release that runs."""
    for integration in server.variables["tryton_integrations"]:
        python = server.variables["ansible_python_interpreter"]
        state = f"{server.variables['ansible_remote_tmp']}.{integration['name']}.json"
        done = host.run("%s %s %s --once --state %s", python, integration["program"], integration["settings"], state)
        assert done.rc == 0, f"{integration['name']}: {done.stderr.strip()}"
        found = json.loads(host.file(state).content_string)
        host.run("rm -f %s", state)
        assert found["orders"] > 0
        assert found["last_ok"]
