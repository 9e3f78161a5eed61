"""Rate cards as files: `<provider>.yaml`."""

from __future__ import annotations

from pathlib import Path

from changeover.adapters.document_files import demand, read_document, unusable
from changeover.adapters.yaml_text import YamlText
from changeover.domain.fault import Reading
from changeover.domain.rate_card import RateCard


def load_rate_card(provider: str, *, rates: Path) -> RateCard:
    """Raise `DocumentFaults` with every fault of the card."""
    return demand(read_rate_card(provider, rates=rates), then="correct the rate card; docs/kpis.md tells what it holds")


def read_rate_card(provider: str, *, rates: Path) -> Reading[RateCard]:
    """Never raises for what is on the disk."""
    path = rates / f"{provider}.yaml"
    known = providers(rates)
    if provider not in known:
        return unusable(path, f"there is no rate card {provider!r}; known: {', '.join(known) or 'none'}")

    def also(document: YamlText, card: RateCard) -> None:
        if card.provider != provider:
            place = ("provider",)
            document.fault(document.line(place), place, f"is {card.provider!r}, and the file is {provider}.yaml")

    return read_document(path, RateCard, also=also)


def providers(rates: Path) -> tuple[str, ...]:
    """Those who have a rate card."""
    return tuple(sorted(found.stem for found in rates.glob("*.yaml")))
