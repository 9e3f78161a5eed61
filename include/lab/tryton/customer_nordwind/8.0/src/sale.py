"""What Nordwind adds to a sale."""

from trytond import config
from trytond.model import fields
from trytond.pool import PoolMeta


class Sale(metaclass=PoolMeta):
    __name__ = "sale.sale"

    cost_centre = fields.Char("Cost Centre", help="The internal department that a sale is booked on.")

    @classmethod
    def default_cost_centre(cls):
        return config.get("customer_nordwind", "cost_centre", default=None)
