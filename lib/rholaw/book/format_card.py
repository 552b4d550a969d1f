"""A format on one card: what it stores, its error, how far that is from the bound, its capacity, who runs it."""

import math

import pandas as pd

from .. import tables
from ..error.measure import gmse
from ..formats.grammar import Format, parse
from ..laws.curves import effective_bits
from ..laws.fitting import Fit
from .webtable import digits

FIGURES = {
    "format": ("format", str),
    "bits": ("stored bits a weight", digits(3)),
    "GMSE": ("error (GMSE)", digits(3)),
    "± s.e.": ("standard error of the error", digits(1)),
    "method": ("exact or sampled", str),
    "effective bits": ("effective bits", digits(3)),
    "gap, bits": ("wasted bits", digits(3)),
    "gap, dB": ("distance from Shannon's bound, dB", digits(2)),
    "ρ": ("capacity ρ", digits(3)),
    "ρ low": ("capacity, low end of 95 %", digits(3)),
    "ρ high": ("capacity, high end of 95 %", digits(3)),
}
"""What a page calls the figures of a card, and what writes them."""


def card(format: str | Format, fit: Fit | None = None) -> pd.Series:
    """A Series of figures about ``format``: bits a weight, GMSE on N(0,1), the gap to Shannon's bound.

    fit: a Fit of the unified law with a bootstrap; adds the capacity ρ and its 95 % interval where it has the curve.
    ValueError for a text that is no format.
    """
    format = parse(format)
    measured = gmse(format)
    gap = format.bits - float(effective_bits(measured.value))
    facts = {
        "format": str(format),
        "bits": format.bits,
        "GMSE": measured.value,
        "± s.e.": measured.stderr,
        "method": measured.method,
        "effective bits": format.bits - gap,
        "gap, bits": gap,
        "gap, dB": gap * 20 * math.log10(2),
    }
    if fit is not None:
        known = all(part.family in fit.families for part in format.parts)
        capacity = fit.capacity(format) if known else (math.nan,) * 3
        facts |= dict(zip(("ρ", "ρ low", "ρ high"), capacity, strict=True))
    return pd.Series(facts)


def shown(card: pd.Series) -> pd.DataFrame:
    """A card as a page shows it: a row a figure, called by FIGURES or as it is; none where there is nothing to say."""
    known = {name: value for name, value in card.items() if value == value and (name != "± s.e." or value)}
    said = [FIGURES.get(name, (name, digits(3))) for name in known]
    rows = {words: write(value) for (words, write), value in zip(said, known.values(), strict=True)}
    return pd.DataFrame({"value": rows}).rename_axis("figure")


def table(formats: dict[str, Format], fit: Fit | None = None) -> pd.DataFrame:
    """A card a row: ``formats`` is {name: Format}, as ``catalogue()`` gives; fit: as for ``card``."""
    return pd.DataFrame({name: card(format, fit) for name, format in formats.items()}).T.rename_axis("name")


def support(name: str) -> str:
    """The libraries and hardware that run the format called ``name``, as text; "" where none is known."""
    rows = tables.read("hardware/format_support").query("format == @name")
    return "; ".join(f"{r.library}: {r.hardware} ({r.kernel})" for r in rows.itertuples())
