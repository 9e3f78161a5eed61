"""The vendor's manual steps between 7.0 and 8.0, for the modules that are activated. Usage: manual_steps.py VERB ABOUT as JSON.

Source: the vendor's migration page, https://docs.tryton.org/latest/migration/ (sections 7.2, 7.4, 7.6, 7.8 and 8.0, read whole).
VERB is before (one transaction of SQL, done once) or after (console steps of the new release). `needs` names the modules a
step is for; a step for a module that is not activated is left out, and told.
"""

import json
import os
import subprocess
import sys

BEFORE = [
    {"id": "empty-foreign-keys", "series": "7.2", "needs": [], "sql": [
        """UPDATE "ir_ui_view" SET "model" = NULL WHERE "model" = ''""",
        """UPDATE "ir_action_act_window" SET "res_model" = NULL WHERE "res_model" = ''""",
        """UPDATE "ir_action_wizard" SET "model" = NULL WHERE "model" = ''""",
        """UPDATE "ir_action_report" SET "model" = NULL WHERE "model" = ''""",
        """UPDATE "ir_action_report" SET "module" = NULL WHERE "module" = ''""",
        """UPDATE "ir_translation" SET "module" = NULL WHERE "module" = ''""",
    ]},
    {"id": "open-lines-button", "series": "7.4", "needs": ["product_price_list", "product_price_list_dates"], "sql": [
        """DELETE FROM "ir_model_button" WHERE "name" = 'open_lines' AND "model" = 'product.price_list'""",
    ]},
    {"id": "ir-model-columns", "series": "7.6", "needs": [], "sql": [
        """ALTER TABLE IF EXISTS "ir_model" RENAME COLUMN "name" TO "string\"""",
        """ALTER TABLE IF EXISTS "ir_model" RENAME COLUMN "model" TO "name\"""",
        """ALTER TABLE IF EXISTS "ir_model_field" RENAME COLUMN "field_description" TO "string\"""",
    ]},
    {"id": "incoterm-carrier", "series": "7.8", "needs": ["carrier_carriage"], "sql": [
        """ALTER TABLE "incoterm_incoterm" ALTER COLUMN "before_carrier" DROP NOT NULL""",
        """ALTER TABLE "incoterm_incoterm" ALTER COLUMN "after_carrier" DROP NOT NULL""",
    ]},
    {"id": "remove-google-maps", "series": "8.0", "needs": ["google_maps"], "sql": [
        """DELETE FROM "ir_module" WHERE name = 'google_maps'""",
    ]},
]  # fmt: skip
REFUSED = {
    "account_es": "8.0 no longer ships it: install the external replacement or remove the module first",
    "account_es_sii": "8.0 no longer ships it: install the external replacement or remove the module first",
    "account_de_skr03": "8.0 no longer ships it: install the external replacement or remove the module first",
}
"""Modules for which the vendor leaves a choice that only a person can make."""
AFTER = [
    {"id": "transit-locations", "series": "7.6", "needs": ["stock"], "code": """
Shipment = pool.get('stock.shipment.internal')
shipments = Shipment.search([('state', 'not in', ['request', 'draft'])])
for shipment in shipments:
    state = shipment.state
    shipment.state = 'draft'
    shipment.internal_transit_location = shipment.transit_location
    shipment.state = state
Shipment.save(shipments)
transaction.commit()
"""},
    {"id": "sepa-mandate-addresses", "series": "7.8", "needs": ["account_payment_sepa"], "code": """
Mandate = pool.get('account.payment.sepa.mandate')
mandates = Mandate.search([('state', '=', 'validated'), ('address', '=', None)])
for mandate in mandates:
    mandate.on_change_party()
Mandate.save(mandates)
transaction.commit()
"""},
    {"id": "budget-signs", "series": "7.6", "needs": ["account_budget"], "sql": ["""UPDATE "account_budget_line" SET amount = -amount"""]},
    {"id": "analytic-budget-signs", "series": "7.6", "needs": ["analytic_budget"], "sql": [
        """UPDATE "analytic_account_budget_line" SET amount = -amount""",
    ]},
]  # fmt: skip
COUNT = {"transit-locations": "select count(*) from stock_shipment_internal where state not in ('request', 'draft')"}
"""Rows a console step would touch; a step with none is left out, since starting the console costs seconds."""


def psql(about, *statements):
    environment = {**os.environ, "PGHOST": about["pg_host"], "PGUSER": about["pg_user"], "PGOPTIONS": "-c client_min_messages=warning"}
    command = [os.path.join(about["pg_bin"], "psql"), "-XqAt", "-1", "-v", "ON_ERROR_STOP=1", "-d", about["database"]]
    done = subprocess.run(command, input=";\n".join(statements) + ";\n", env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("psql ended with code %d: %s" % (done.returncode, done.stderr.strip()[-1000:]))
    return done.stdout


def activated(about):
    return set(psql(about, "select name from ir_module where state in ('activated', 'to upgrade')").split())


def chosen(steps, modules):
    return [step for step in steps if set(step["needs"]) <= modules]


def before(about):
    modules = activated(about)
    if left := sorted(set(REFUSED) & modules):
        raise SystemExit("; ".join("%s: %s" % (name, REFUSED[name]) for name in left))
    renamed = psql(
        about,
        "select 1 from information_schema.columns where table_schema = 'public' and table_name = 'ir_model' and column_name = 'string'",
    ).split()
    steps = chosen(BEFORE, modules)
    if not renamed:
        psql(about, *(statement for step in steps for statement in step["sql"]))
    return {"changed": not renamed, "done": [step["id"] for step in steps], "left_out": left_out(BEFORE, steps)}


def after(about):
    done = []
    steps = chosen(AFTER, activated(about))
    for step in steps:
        if step["id"] in COUNT and int(psql(about, COUNT[step["id"]])) == 0:
            continue
        if "sql" in step:
            psql(about, *step["sql"])
        else:
            console(about, step["code"])
        done.append(step["id"])
    return {"changed": bool(done), "done": done, "left_out": left_out(AFTER, steps)}


def left_out(every, steps):
    return [step["id"] for step in every if step not in steps]


def console(about, code):
    command = [about["console"], "-c", about["config"], "-d", about["database"]]
    done = subprocess.run(command, input=code, capture_output=True, text=True)
    if done.returncode != 0 or "Traceback" in done.stderr:
        raise SystemExit("trytond-console: %s" % done.stderr.strip()[-1000:])


def main(verb, text):
    about = json.loads(text)
    print(json.dumps(before(about) if verb == "before" else after(about)))


if __name__ == "__main__":
    main(*sys.argv[1:])
