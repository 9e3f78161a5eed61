"""Fill a fresh Tryton 7.0 database with Nordwind's business: company, accounts, users, parties, products, sales.

Run with the environment of the old release: `seed.py DATABASE CONFIGURATION`; passwords come as JSON on standard input
(login to password).
"""

import datetime as dt
import json
import sys
from decimal import Decimal

from proteus import Model, Wizard, config

CUSTOMERS = (
    "Alster Handel",
    "Bremer Kontor",
    "Cuxhaven Fisch",
    "Dithmarscher Kohl",
    "Elbe Logistik",
    "Flensburg Yachten",
    "Glücksburg Moden",
    "Husum Gas",
    "Itzehoe Druck",
    "Jade Werft",
    "Kieler Papier",
    "Lübeck Marzipan",
    "Maritim Bedarf",
    "Norder Tee",
    "Ostsee Hotel",
    "Plön Seen",
    "Quickborn Holz",
    "Rendsburg Stahl",
    "Sylt Gastro",
    "Tondern Spitze",
    "Uetersen Rosen",
    "Wedel Öl",
)
PRODUCTS = (
    ("Ankerkette", "149.90"),
    ("Bootslack", "32.50"),
    ("Chartertasche", "58.00"),
    ("Drahtseil", "12.35"),
    ("Echolot", "399.00"),
    ("Fender", "24.95"),
    ("Gasflasche", "41.20"),
    ("Heckflagge", "18.75"),
    ("Isolierband", "3.49"),
    ("Kompass", "87.60"),
    ("Leine", "9.99"),
    ("Moskitonetz", "27.30"),
)
COST_CENTRES = ("4711", "4712", "4800", "5100", "5230")
USERS = {
    "order-feed": ("Order feed of the warehouse", ("Sales",)),
    "acceptance": ("Acceptance tests", ("Sales", "Product Administration")),
}
FIRST_SALE = dt.date(2026, 1, 12)


def main(database, configuration):
    config.set_trytond(f"postgresql:///{database}", config_file=configuration)
    company = make_company()
    category = make_accounts(company)
    make_users(company, json.load(sys.stdin))
    products = make_products(category)
    term = make_payment_term()
    make_sales(make_parties(), products, term)


def make_company():
    euro = Model.get("currency.currency")(
        name="Euro", symbol="€", code="EUR", numeric_code="978", rounding=Decimal("0.01")
    )
    euro.rates.new(date=dt.date(2020, 1, 1), rate=Decimal(1))
    euro.save()
    party = Model.get("party.party")(name="Nordwind Trading GmbH")
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party, wizard.form.currency = party, euro
    wizard.execute("add")
    (company,) = Model.get("company.company").find()
    current = config.get_config()
    user = Model.get("res.user")(current.user)
    user.companies.append(company)
    user.company = company
    user.save()
    # As a client does after login; proteus keeps its context to itself.
    current._context = Model.get("res.user").get_preferences(True, current.context)  # noqa: SLF001
    return company


def make_accounts(company):
    template = Model.get("account.account.template").find([("parent", "=", None)])[0]
    wizard = Wizard("account.create_chart")
    wizard.execute("account")
    wizard.form.account_template, wizard.form.company = template, company
    wizard.execute("create_account")
    account_class = Model.get("account.account")

    def one(kind):
        return account_class.find([(f"type.{kind}", "=", True)], limit=1)[0]

    wizard.form.company = company
    wizard.form.account_receivable, wizard.form.account_payable = one("receivable"), one("payable")
    wizard.execute("create_properties")
    category = Model.get("product.category")(name="Goods", accounting=True)
    category.account_revenue, category.account_expense = one("revenue"), one("expense")
    category.save()
    return category


def make_users(company, passwords):
    group_class = Model.get("res.group")
    for login, (name, groups) in USERS.items():
        user = Model.get("res.user")(login=login, name=name, password=passwords[login])
        user.companies.append(Model.get("company.company")(company.id))
        user.company = company
        for group in groups:
            user.groups.append(group_class.find([("name", "=", group)])[0])
        user.save()


def make_products(category):
    (unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
    made = []
    for number, (name, price) in enumerate(PRODUCTS):
        template = Model.get("product.template")(
            name=name, code=f"NW{100 + number}", default_uom=unit, type="goods", salable=True
        )
        template.list_price, template.account_category = Decimal(price), category
        made.append(template)
    Model.get("product.template").save(made)
    return [template.products[0] for template in made]


def make_payment_term():
    term = Model.get("account.invoice.payment_term")(name="30 days")
    term.lines.new(type="remainder").relativedeltas.new(days=30)
    term.save()
    return term


def make_parties():
    parties = []
    for number, name in enumerate(CUSTOMERS):
        party = Model.get("party.party")(name=name)
        party.addresses[0].street, party.addresses[0].city = f"Hafenstraße {number + 1}", name.split()[0]
        parties.append(party)
    Model.get("party.party").save(parties)
    return parties


def make_sales(customers, products, term):
    sale_class = Model.get("sale.sale")
    made = []
    for number in range(30):
        sale = sale_class(party=customers[number % len(customers)], reference=f"NW-{1000 + number}")
        sale.payment_term, sale.sale_date = term, FIRST_SALE + dt.timedelta(days=3 * number)
        sale.cost_centre = COST_CENTRES[number % len(COST_CENTRES)]
        for position in range(1 + number % 2):
            line = sale.lines.new()
            line.product = products[(number + 4 * position) % len(products)]
            line.quantity = 1 + (number + position) % 5
        made.append(sale)
    sale_class.save(made)
    # A quarter stays a draft, half is quoted, a quarter is confirmed and so on its way; two were called off.
    sale_class.click([sale for i, sale in enumerate(made) if i % 4 >= 1], "quote")
    sale_class.click([sale for i, sale in enumerate(made) if i % 4 == 3], "confirm")
    sale_class.click(made[4:9:4], "cancel")


main(*sys.argv[1:])
