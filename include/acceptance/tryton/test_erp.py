"""Acceptance of Tryton: the wanted release answers, people can work, and the client's own parts are there."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def amount(value: Any) -> Decimal:
    """Tryton sends exact numbers as {"__class__": "Decimal", "decimal": "1.50"}."""
    return Decimal(value["decimal"] if isinstance(value, dict) else str(value))


def test_wanted_release_answers(tryton: Any) -> None:
    """The server says the version (up to 7.8) or the series (since 8.0) that was wanted."""
    answer = tryton.call("common.server.version", path="/rpc/" if tryton.moved else "/")
    assert answer
    assert f"{tryton.target_version}.".startswith(f"{answer}.")


def test_server_is_started_from_the_wanted_release(host: Any, tryton: Any) -> None:
    """Exactly one server of this application runs, and it belongs to the release that is said to run."""
    releases = f"{tryton.variables['app_root']}/releases/"
    found = host.check_output("ps -eo args").splitlines()
    servers = [line for line in found if line.startswith(releases) and f"-d {tryton.database}" in line]
    assert len(servers) == 1, servers
    assert servers[0].startswith(f"{releases}{tryton.target_version}/"), servers


def test_wanted_release_is_installed(host: Any, tryton: Any) -> None:
    """The environment that the server was started from holds exactly the wanted version."""
    python = f"{tryton.variables['app_root']}/releases/{tryton.target_version}/bin/python"
    program = "import importlib.metadata as m; print(m.version('trytond'))"
    assert host.check_output("%s -c %s", python, program) == tryton.target_version


def test_current_release_is_the_wanted_one(host: Any, tryton: Any) -> None:
    """Whoever works on the host by hand uses the release that runs."""
    current = host.check_output("readlink %s/current", tryton.variables["app_root"])
    assert current == f"releases/{tryton.target_version}"


def test_login_over_rpc_is_accepted(logged_in: Any) -> None:
    """A password from before the upgrade still opens a session."""
    assert logged_in.session[0]
    assert logged_in.context["company"]


def test_wrong_password_is_refused(tryton: Any) -> None:
    """Nobody gets in without the password."""
    path = f"/{tryton.database}/rpc/" if tryton.moved else f"/{tryton.database}/"
    status, told = tryton.post(path, "common.db.login", ["acceptance", {"password": "not this one"}, "en"])
    result = told.get("result") if isinstance(told, dict) else told
    assert status != 200 or not result


def test_parties_can_be_read(logged_in: Any) -> None:
    """Customers are there with names and addresses."""
    parties = logged_in.search_read("party.party", [], ["name", "rec_name", "addresses"])
    assert len(parties) > 1
    assert all(party["name"] for party in parties)
    assert any(party["addresses"] for party in parties)


def test_products_have_prices(logged_in: Any) -> None:
    """On the template: since 8.0 a variant may have a price of its own, and need not."""
    products = logged_in.search_read("product.template", [["salable", "=", True]], ["rec_name", "list_price"])
    assert products
    assert all(amount(product["list_price"]) > 0 for product in products)


def test_totals_of_sales_are_right(logged_in: Any) -> None:
    """What Tryton says a sale costs is what its lines add up to."""
    sales = logged_in.search_read("sale.sale", [], ["untaxed_amount", "lines", "state"])
    assert sales
    lines = logged_in.search_read("sale.line", [], ["sale", "quantity", "unit_price"])
    for sale in sales:
        own = [line for line in lines if line["sale"] == sale["id"]]
        total = sum((Decimal(str(line["quantity"])) * amount(line["unit_price"]) for line in own), Decimal(0))
        assert own
        assert amount(sale["untaxed_amount"]) == total.quantize(Decimal("0.01")), sale


def test_cost_centre_of_sales_can_be_read(logged_in: Any) -> None:
    """The client's own field is served by the release that runs, with values."""
    sales = logged_in.search_read("sale.sale", [], ["reference", "cost_centre"])
    assert sales
    assert all(sale["cost_centre"] for sale in sales)


def test_cost_centre_is_on_the_form_of_a_sale(logged_in: Any) -> None:
    """The client's view is applied: people see the field."""
    views = logged_in.search_read("ir.ui.view", [["module", "=", "customer_nordwind"]], ["model", "name"])
    assert [view["name"] for view in views] == ["sale_form"]
    form = logged_in.call("model.sale.sale.fields_view_get", None, "form", logged_in.context)
    assert 'name="cost_centre"' in form["arch"]


def test_integration_makes_its_round(host: Any, tryton: Any) -> None:
    """The client's own program, as it is installed on this host, reads the orders of the release that runs."""
    for integration in tryton.variables["tryton_integrations"]:
        python = tryton.variables["ansible_python_interpreter"]
        state = f"{tryton.variables['ansible_remote_tmp']}.{integration['name']}.json"
        done = host.run("%s %s %s --once --state %s", python, integration["program"], integration["settings"], state)
        assert done.rc == 0, f"{integration['name']}: {done.stderr.strip()}"
        found = json.loads(host.file(state).content_string)
        host.run("rm -f %s", state)
        assert found["orders"] > 0
        assert found["last_ok"]
