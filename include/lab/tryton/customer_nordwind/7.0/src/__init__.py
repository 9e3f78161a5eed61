"""Nordwind Trading's own module, for Tryton 7.0."""

from trytond.pool import Pool

from . import sale  # noqa: TID252 - how every module of Tryton does it


def register():
    Pool.register(sale.Sale, module="customer_nordwind", type_="model")
