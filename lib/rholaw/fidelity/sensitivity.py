"""The law after training for one model: KL(model → R) = floor + κ · GMSE(R), in nats per token.

damage = fit_sensitivity(pd.DataFrame({"format": ["q4_0", "q3_k"], "rise": [0.037, 0.095]}))
damage.kappa, damage.predict(["q2_k"]), damage.predict_interval(["q2_k"])
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .. import tables
from ..checked import listed, shown
from ..error.measure import gmse as error_of
from ..formats.format import Format
from ..formats.named import catalogue
from ..laws.intervals import percentiles
from ..laws.law import numbers
from . import posterior
from .posterior import Prior

Formats = str | Format | float | Sequence[str | Format | float] | np.ndarray | pd.Series
"""One format or GMSE, or several."""

NOT_PROPORTIONAL = 3.0  # scatter, in those of the median model, from which a model does not follow
FAR, FAR_SHARE = 1.6, 0.25  # nor one of which this share of the measurements is this factor away
FEW = 4  # rows: with as many, scatter tells more than the ends do
STEEP = 1.6  # rises that outgrow GMSE by this factor cannot be floor + κ · GMSE
COARSE = 1e-3  # GMSE of 6 bits and less: below it a rise is mostly floor
LOUD = 0.03  # nats: no reference of 16 or 8 bits has such a floor; half of that share is then enough
NOISY = 0.4  # share of the floor in the middle rise of coarse formats


@cache
def inferred() -> dict[str, float]:
    """{name: GMSE} of types by the damage that their files did (data/fidelity/inferred)."""
    table = tables.read("fidelity/inferred")
    return dict(zip(table["format"], table["gmse"].astype(float), strict=True))


def errors(formats: Formats, files: bool = False) -> np.ndarray:
    """The GMSE of each format, (n,): numbers stay, names without a definition here have what damage says of them.

    files: for types whose files hold more error than their definition needs, what their damage says as well.  Raises
    ValueError for an unknown format and for a number that is not from 0 to 1e3.
    """
    one = isinstance(formats, str | Format | int | float)
    return np.array([_error(item, files) for item in ([formats] if one else formats)], dtype=float)


@cache
def file_error(name: str) -> float:
    """The GMSE of a type as files of GGUF have it: by the damage they did where that is known, else by definition."""
    return float(errors(name, files=True)[0])


def per_row_scale(formats: Iterable[str | Format | float]) -> np.ndarray:
    """Whether each is the name of a format with one scale a row, (n,)."""
    return np.array(["/row" in str(item) for item in formats])


def _error(item: str | Format | float, files: bool) -> float:
    if isinstance(item, str | Format):
        name = str(item)
        return inferred()[name] if name in inferred() and (files or name not in catalogue()) else float(error_of(item))
    value = numbers("GMSE", item)
    if value.ndim or not 0 <= value <= 1e3:
        raise ValueError(f"a GMSE is a share of the variance, from 0 up; not {shown(item)}")
    return float(value)


@dataclass(frozen=True)
class Sensitivity:
    """What a finished model pays for rounding: κ in nats per token and unit of GMSE, and what the measurement adds.

    floor: nats that appear even where nothing is compressed; the engine's own rounding, and the reference's.  Raises
    ValueError for values that are negative or not finite.
    """

    kappa: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("kappa", "floor"):
            value = numbers(name, getattr(self, name))
            if value.ndim or not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number from 0 up, in nats per token, not {shown(value)}")

    def rise(self, formats: Formats) -> np.ndarray | float:
        """κ · GMSE of formats or of GMSEs: what compression costs. A float for one, (n,) for several."""
        return self._as_given(formats, self.kappa * errors(formats))

    def measured(self, formats: Formats) -> np.ndarray | float:
        """floor + κ · GMSE: what a measurement would print."""
        return self._as_given(formats, self.floor + self.kappa * errors(formats))

    def gmse_for(self, rise: ArrayLike) -> np.ndarray | float:
        """The largest GMSE that costs at most ``rise`` nats, floor aside. ValueError for a rise below 0 or κ = 0."""
        rise = numbers("rise", rise)
        if not (np.isfinite(rise) & (rise >= 0)).all():
            raise ValueError(f"a rise is a number of nats from 0 up, not {shown(rise)}")
        if not self.kappa:
            raise ValueError("kappa is 0: any format would do, which no model has shown")
        gmse = rise / self.kappa
        return gmse if rise.ndim else float(gmse)

    @staticmethod
    def _as_given(formats: Formats, values: np.ndarray) -> np.ndarray | float:
        return float(values[0]) if isinstance(formats, str | Format | int | float) else values


@dataclass(frozen=True)
class SensitivityFit:
    """κ and floor of a model as far as they are known: measured, or guessed from other models.

    kappa, floor: medians.  intervals: {name: (low, high)}, 80 %, also of "scatter", the relative spread of single
    measurements.  status: "converged", "prior" where nothing was measured, or what is wrong.  identified: {name:
    whether the measurements narrow it to less than half of the spread between models}.  residuals: log measured −
    log predicted, (n,), nan for a rise that is not above 0.  draws: κ, floor and scatter, (4000, 3).
    per_row: what formats with one scale a row cost beyond their GMSE, as a factor; 1 where a model was measured.
    """

    kappa: float
    floor: float
    intervals: dict[str, tuple[float, float]]
    status: str
    identified: dict[str, bool]
    residuals: np.ndarray = field(repr=False)
    draws: np.ndarray = field(repr=False)
    per_row: float = 1.0

    @property
    def sensitivity(self) -> Sensitivity:
        """The medians as a law to compute with."""
        return Sensitivity(self.kappa, self.floor)

    def rise(self, formats: Formats) -> np.ndarray:
        """κ · GMSE of each format, (n,), in nats per token: what compression costs, floor aside."""
        return self.kappa * self._errors(formats)

    def rise_interval(self, formats: Formats, level: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of what compression costs, each (n,): the spread of κ, and of formats about the law."""
        costs = posterior.one_measurement(self.draws * [1.0, 0.0, 1.0], self._errors(formats))
        return percentiles(costs, level)

    def predict(self, formats: Formats) -> np.ndarray:
        """What the same measurement would print for each format, (n,), floor included, in nats per token."""
        return self.floor + self.kappa * self._errors(formats)

    def predict_interval(self, formats: Formats, level: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of what it would print, each (n,): κ, floor, and the scatter of a single measurement."""
        return percentiles(posterior.one_measurement(self.draws, self._errors(formats)), level)

    def _errors(self, formats: Formats) -> np.ndarray:
        one = [formats] if isinstance(formats, str | Format | int | float) else formats
        return errors(formats, files=True) * np.where(per_row_scale(one), self.per_row, 1.0)


def fit_sensitivity(measured: pd.DataFrame, prior: Prior | None = None) -> SensitivityFit:
    """κ and floor of a model from what one or more formats cost it, beside what all models of the atlas say.

    measured: a row a format, with ``format`` (its name, or a type that GGUF engines know) or ``gmse``, ``rise`` in nats
    per token (mean KL divergence, or the logarithm of a perplexity ratio, all from one reference, text, context and
    engine), and if known its ``stderr``.  Two rows are enough for a prediction: the interval then leans on the models
    of the atlas, or on ``prior``.  Raises ValueError for missing columns, no rows, no compressed row, and values that
    cannot be.
    """
    gmse, rise, stderr = _checked(measured)
    draws = posterior.from_measurements(gmse, rise, stderr, prior or posterior.any_model())
    kappa, floor, _ = np.median(draws, axis=0)
    predicted = floor + kappa * gmse
    return _fit(draws, _status(gmse, rise, stderr, draws, predicted), _logs(rise) - np.log(predicted))


def guess(prior: Prior) -> SensitivityFit:
    """The same for a model of which nothing was measured."""
    return _fit(posterior.from_prior(prior), "prior", np.array([]))


def _fit(draws: np.ndarray, status: str, residuals: np.ndarray) -> SensitivityFit:
    low, high = percentiles(draws, 0.8)
    spread, prior = np.log(draws).std(axis=0), posterior.any_model()
    return SensitivityFit(
        kappa=float(np.median(draws[:, 0])),
        floor=float(np.median(draws[:, 1])),
        intervals={name: (float(low[i]), float(high[i])) for i, name in enumerate(posterior.NAMES)},
        status=status,
        identified={
            name: status != "prior" and bool(spread[i] < getattr(prior, name)[1] / 2)
            for i, name in enumerate(posterior.NAMES[:2])
        },
        residuals=residuals,
        draws=draws,
    )


def _logs(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


# --- what cannot be, and what should not be relied on -------------------------------------------------------------


def _checked(measured: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """GMSE, rise and standard error of each row, each (n,)."""
    if "rise" not in measured or not {"format", "gmse"} & set(measured):
        raise ValueError(
            f"measured needs the columns format (or gmse) and rise, in nats per token; it has {listed(measured)}"
        )
    if not len(measured):
        raise ValueError("measured has no rows: one format is the least, two are enough")
    gmse = errors(measured["gmse" if "gmse" in measured else "format"], files=True)
    rise = numbers("rise", measured["rise"])
    stderr = numbers("stderr", measured["stderr"].fillna(0.0)) if "stderr" in measured else np.zeros(len(rise))
    for row, (value, noise) in enumerate(zip(rise, stderr, strict=True)):
        if not np.isfinite(value):
            raise ValueError(f"row {row}: rise is {value}: leave out what was not measured")
        if not (np.isfinite(noise) and noise >= 0):
            raise ValueError(f"row {row}: stderr is {noise}: a standard error is a number from 0 up, or missing")
        if value <= 0 and not noise:
            raise ValueError(f"row {row}: rise is {value:g} nats without a stderr: compression adds to the loss or the "
                             "KL divergence, unless the measurement is noisy; give its standard error")  # fmt: skip
    if not gmse.max() > 0:
        raise ValueError("no row is compressed: all have GMSE 0, which says nothing about κ")
    return gmse, rise, stderr


def _status(gmse: np.ndarray, rise: np.ndarray, stderr: np.ndarray, draws: np.ndarray, predicted: np.ndarray) -> str:
    """ "converged", or why the law should not be relied on for this model."""
    _, floor, scatter = np.median(draws, axis=0)
    coarse = gmse >= COARSE
    if not (rise > 2 * stderr).any():
        return "reference too noisy: no rise is above two standard errors; measure a coarser format or more text"
    if not coarse.any():
        return ("reference too noisy: only fine formats were measured, and their rise is mostly floor; measure one "
                f"with a GMSE above {COARSE:g}, such as q4_0 or q3_k")  # fmt: skip
    share = floor / np.median(rise[coarse])
    if len(gmse) > 1 and share > (NOISY if floor < LOUD else NOISY / 2):
        return (f"reference too noisy: the floor of {floor:.3f} nats is {share:.0%} of what "
                "the middle format costs; compare with 16-bit weights, or measure coarser formats")  # fmt: skip
    away = np.where(np.abs(rise - predicted) > 3 * stderr, np.abs(_logs(rise) - np.log(predicted)), 0.0)
    worst, usual = int(np.argmax(np.nan_to_num(away))), np.exp(posterior.any_model().scatter[0])
    if len(gmse) > 2 and (scatter > NOT_PROPORTIONAL * usual or (away > np.log(FAR)).mean() >= FAR_SHARE):
        return (f"not proportional: the row at GMSE {gmse[worst]:.3g} is ×/÷ {np.exp(away[worst]):.2f} away from floor "
                f"+ κ · GMSE; single measurements of models that follow scatter by {np.exp(usual):.2f}")  # fmt: skip
    fine, rough = np.argmin(gmse), np.argmax(gmse)
    if len(gmse) < FEW and gmse[rough] > 1.5 * gmse[fine] and rise[fine] > 0:
        growth, allowed = rise[rough] / rise[fine], gmse[rough] / gmse[fine] if gmse[fine] else np.inf
        noise = 1 + 3 * np.hypot(stderr[rough], stderr[fine]) / rise[fine]
        if growth > STEEP * noise * allowed:
            return f"not proportional: the rise grows by ×{growth:.2f} where GMSE grows by ×{allowed:.2f}"
        if growth * noise < 1 / 1.25:
            return f"not proportional: the format with ×{allowed:.2f} the GMSE costs less, {rise[rough]:.4f} nats after {rise[fine]:.4f}"  # noqa: E501
    return "converged"
