"""Money, time and power: what a month of serving, a training run and a project cost. Plain functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike

HOURS = 730.5
"""Of a month."""


def triangular(bounds: tuple[float, float, float], quantile: ArrayLike) -> np.ndarray:
    """The value at ``quantile`` of a triangular distribution with (lowest, likeliest, highest) ``bounds``.

    Where these are equal the value is certain: one number, whatever the quantiles, so that what follows from certain
    values alone is computed once and is the same in every draw.
    """
    low, mid, high = bounds
    if low == high:
        return np.asarray(mid, dtype=float)
    quantile = np.asarray(quantile, dtype=float)
    split = (mid - low) / (high - low)
    rising = low + np.sqrt(quantile * (high - low) * (mid - low))
    falling = high - np.sqrt((1 - quantile) * (high - low) * (high - mid))
    return np.where(quantile < split, rising, falling)


def per_million(tokens_per_second: ArrayLike, hourly: ArrayLike, utilisation: ArrayLike) -> np.ndarray:
    """USD per million tokens: 10⁶ P / (3600 tok/s u), P USD an hour of all devices, u the busy share of paid hours."""
    return 1e6 * hourly / (3600 * tokens_per_second * utilisation)


def kwh_per_million(tokens_per_second: ArrayLike, watts: ArrayLike, pue: ArrayLike) -> np.ndarray:
    """kWh per million tokens: 10⁶ PUE kW / (3600 tok/s)."""
    return 1e6 * pue * watts / 1000 / (3600 * tokens_per_second)


def training_usd(
    params: ArrayLike, tokens: ArrayLike, mfu: ArrayLike, peak: float, hourly: ArrayLike, slowdown: ArrayLike = 1.0
) -> np.ndarray:
    """USD of 6 N D FLOPs at a model FLOP utilisation ``mfu`` of ``peak`` FLOP/s (Hoffmann et al. 2022)."""
    return 6 * params * tokens * slowdown / (mfu * peak) / 3600 * hourly


def annuity(months: float, discount_rate: float) -> float:
    """How many payments today ``months`` monthly payments are worth, at a rate a year."""
    monthly = (1 + discount_rate) ** (1 / 12) - 1
    return months if monthly == 0 else (1 - (1 + monthly) ** -months) / monthly


def returns(saving: ArrayLike, one_off: ArrayLike, months: float, discount_rate: float) -> dict[str, np.ndarray]:
    """{"npv", "roi", "payback_months"} of a monthly saving for a cost once: USD, a share of that cost, and months.

    ROI is infinite, and the payback 0, where nothing has to be paid and something is saved; a saving that never comes
    pays back never.
    """
    saving, one_off = np.broadcast_arrays(np.asarray(saving, dtype=float), np.asarray(one_off, dtype=float))
    npv = saving * annuity(months, discount_rate) - one_off
    with np.errstate(divide="ignore", invalid="ignore"):
        roi = np.where(one_off > 0, npv / one_off, np.where(npv > 0, np.inf, np.where(npv < 0, -np.inf, 0.0)))
        payback = np.where(saving > 0, np.maximum(one_off, 0) / saving, np.where(one_off > 0, np.inf, 0.0))
    payback = np.where((saving <= 0) & (one_off <= 0), np.where(saving < 0, np.inf, 0.0), payback)
    unknown = np.isnan(saving) | np.isnan(one_off)
    return {"npv": npv, "roi": np.where(unknown, np.nan, roi), "payback_months": np.where(unknown, np.nan, payback)}
