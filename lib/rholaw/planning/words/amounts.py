"""Texts of a language, and amounts as its people write them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

LANGUAGES = ("en", "ja")
WHOLE = {"JPY"}
"""Currencies without hundredths."""
LARGE = 1e4
"""From where on Japanese counts an amount in ten thousands."""


@cache
def texts(language: str) -> Mapping[str, Mapping[str, str]]:
    """{section: {key: text}} of a language. Raises ValueError for one that has no file."""
    if language not in LANGUAGES:
        raise ValueError(f"{language}: there are words in {', '.join(LANGUAGES)}")
    return tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text(encoding="utf-8"))


def phrase(key: str, language: str, **data: object) -> str:
    """A phrase of a language, filled with its data."""
    return texts(language)["phrases"][key].format(**data)


def money(value: float, currency: str, language: str = "en") -> str:
    """An amount to three significant digits: "USD 12,300", or "1.23万米ドル"; "–" if it is not finite.

    currency: its ISO 4217 code.
    """
    if not np.isfinite(value):
        return "–"
    cents = 0 if currency in WHOLE else 2
    small = 0 < value < 10.0**-cents
    shown = three(10.0**-cents if small else value)
    amount = f"{abs(shown):,.{cents if 0 < abs(shown) < 100 else 0}f}"
    amount = phrase("minus", language) + amount if shown < 0 else amount
    key = "money_small" if small else "money_large" if abs(shown) >= LARGE else "money"
    data = {"amount": amount, "large": large(shown, language, 3), "currency": unit(currency, language)}
    return phrase(key, language, **data)


def large(value: float, language: str = "en", digits: int = 2) -> str:
    """A number to so many significant digits, with the words of its language for large ones: "2.4 billion"."""
    rounded = float(f"{abs(value):.{digits}g}")
    scales = {float(scale): text for scale, text in texts(language)["scales"].items()}
    scale = next((scale for scale in scales if rounded >= scale), min(scales))
    sign = phrase("minus", language) if value < 0 < rounded else ""
    return sign + scales[scale].format(value=rounded / scale)


def unit(currency: str, language: str = "en") -> str:
    """How a currency is written beside an amount: by its name where it has one, else by its code."""
    return texts(language)["currencies"].get(currency, phrase("currency_code", language, currency=currency))


def months(value: float, language: str = "en") -> str:
    """A time to pay back, in months; 0 or less is at once, and what is not finite never."""
    key = "months_never" if not np.isfinite(value) else "months_none" if value <= 0 else "months_few"
    return phrase("months" if key == "months_few" and value >= 0.05 else key, language, value=value)


def share(value: float, language: str = "en") -> str:
    """A share of what was drawn, in whole percent; none is told as sure or as impossible; "–" if it is not finite."""
    if not np.isfinite(value):
        return "–"
    whole = f"{value:.0%}"
    return phrase({"100%": "share_most", "0%": "share_least"}.get(whole, "share"), language, value=whole)


def three(value: float) -> float:
    """Rounded to three significant digits."""
    return round(value, 2 - int(np.floor(np.log10(abs(value))))) if value else 0.0


def counted(key: str, count: float, language: str, **data: str) -> str:
    """A phrase of a count, which has one of its own for one."""
    return phrase(key if count != 1 else f"{key}_one", language, count=count, **data)


def paid(row: pd.Series, language: str, spread: bool = False) -> str:
    """All devices that a row pays, of all replicas together; a mean, where hours are paid as used; spread: the median
    with P10 and P90, where these differ."""
    count, low, high = (
        f"{three(value):,.12g}" if np.isfinite(value) else "–"
        for value in row[["devices_paid", "devices_paid_p10", "devices_paid_p90"]]
    )
    key = "paid" if row.devices_paid == round(row.devices_paid) else "paid_mean"
    key = "paid_few" if row.devices_paid < 0.01 else "paid_spread" if spread and low != high else key
    return phrase(key, language, count=count, low=low, high=high, device=row.device)


def until(milliseconds: float, language: str) -> str:
    """A time, to three significant digits; "–" if it is not finite."""
    if not np.isfinite(milliseconds):
        return "–"
    key, value = ("seconds", milliseconds / 1000) if milliseconds >= 1000 else ("milliseconds", milliseconds)
    return phrase(key, language, value=f"{three(value):,.12g}")


def hours(row: pd.Series, part: str = "") -> str:
    """Device hours a month of a row, to three significant digits."""
    return f"{three(row.gpus * row['hours_month' + part]):,.12g}"
