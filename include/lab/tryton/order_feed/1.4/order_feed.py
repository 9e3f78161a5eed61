"""order-feed 1.4: Nordwind's own program that reads the orders of Tryton for the warehouse. Made for Tryton 7.0.

Usage: order_feed.py SETTINGS [--once] [--state FILE]. SETTINGS is JSON: {url, database, user, password_file, interval,
state}. What came of the last round is in the state file: {last_ok, endpoint, orders, total, last_error}.
"""

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

OPEN_STATES = ["confirmed", "processing"]
FIELDS = ["number", "reference", "state", "cost_centre", "total_amount", "party.rec_name"]


class FeedError(Exception):
    """The orders could not be read."""


def call(address, method, params, authorization=None):
    """One JSON-RPC call: its result."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    body = json.dumps({"id": 1, "method": method, "params": params}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        # The address is the client's own setting, read from a file of theirs.
        with opener.open(urllib.request.Request(address, body, headers), timeout=30) as answer:  # noqa: S310
            told = json.loads(answer.read())
    except urllib.error.HTTPError as exc:
        raise FeedError(f"{address}: HTTP {exc.code} {exc.reason}") from exc
    except (OSError, ValueError) as exc:
        raise FeedError(f"{address}: {exc}") from exc
    if isinstance(told, dict) and told.get("error"):
        raise FeedError(f"{method}: {told['error']}")
    return told.get("result") if isinstance(told, dict) else told


def read_orders(settings):
    """The endpoint, and the open orders."""
    address = f"{settings['url'].rstrip('/')}/{settings['database']}/"
    return address, orders_at(address, settings)


def orders_at(address, settings):
    password = Path(settings["password_file"]).read_text(encoding="utf-8").strip()
    session = call(address, "common.db.login", [settings["user"], {"password": password}, "en"])
    if not session:
        raise FeedError(f"{address}: the login of {settings['user']} was refused")
    mark = base64.b64encode(f"{settings['user']}:{session[0]}:{session[1]}".encode()).decode()
    authorization = f"Session {mark}"
    context = call(address, "model.res.user.get_preferences", [True, {}], authorization)
    try:
        params = [[["state", "in", OPEN_STATES]], 0, None, [["id", "ASC"]], FIELDS, context]
        return call(address, "model.sale.sale.search_read", params, authorization)
    finally:
        call(address, "common.db.logout", [], authorization)


def amount(value):
    return float(value["decimal"]) if isinstance(value, dict) else float(value)


def make_round(settings, path):
    """Read the orders and remember it; a failure is remembered too, and the last success stays known."""
    state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    try:
        address, orders = read_orders(settings)
        total = round(sum(amount(order["total_amount"]) for order in orders), 2)
        state, fault = {"last_ok": now, "endpoint": address, "orders": len(orders), "total": total}, None
    except FeedError as exc:
        fault = str(exc)
        state = {**state, "last_error": fault, "failed_at": now}
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(state), encoding="utf-8")
    fresh.replace(path)
    return fault


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    while True:
        fault = make_round(settings, options.state or Path(settings["state"]))
        out = sys.stderr if fault else sys.stdout
        out.write(f"{fault or 'orders read'}\n")
        out.flush()
        if options.once:
            return 1 if fault else 0
        time.sleep(settings["interval"])


if __name__ == "__main__":
    sys.exit(main())
