"""A provider's rate card: what an hour of each role costs, from which day on, and whose time a wait costs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from changeover.domain.estate import Document, Name
from changeover.domain.window import Day

Money = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,4})(\.[0-9]{2})?$")]
"""An amount as text, in quotes: a number of YAML is a float, and a float is not money."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Measured = Literal["plan", "go_no_go", "sign_off", "hypercare", "support", "rework", "back_out"]
"""What the ledger measures by itself: the wait for each answer, steps done again, back-outs."""


class Attended(Document):
    """Whose time is spent while something is waited for or repeated, and how much of it."""

    role: Name
    """Role whose rate counts."""
    percent: int = Field(ge=0, le=100)
    """How much of the measured time it costs: 100 where somebody stands by, 0 where nobody does."""


class RateCard(Document):
    """`include/rates/<provider>.yaml`."""

    schema_version: Literal[1]
    """Version of this format."""
    provider: Name
    """Provider, as the file is named."""
    currency: Currency
    """Currency of every rate, as ISO 4217 writes it."""
    valid_from: Day
    """First day of these rates; rates recorded before hold until the day before."""
    rates: Mapping[Name, Money] = Field(min_length=1)
    """Role → cost of an hour, in quotes."""
    attended: Mapping[Measured, Attended] = Field(default_factory=dict)
    """Measured time → whose it is; what is left out counts for the upgrade manager, wholly."""

    @model_validator(mode="after")
    def _roles_have_rates(self) -> RateCard:
        faults = [
            f"attended.{key}.role: {who.role!r} has no rate on this card; known: {', '.join(self.rates)}"
            for key, who in self.attended.items()
            if who.role not in self.rates
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def cents(self, role: str) -> int:
        """Cost of an hour, in hundredths of the currency."""
        return int(Decimal(self.rates[role]) * 100)
