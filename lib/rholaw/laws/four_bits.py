"""Computes the table of `sources`: the capacity of four bits by series, trainer, counting of N and definition."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from .. import runs, tables
from ..formats.grammar import parse
from .fitting import fit
from .intervals import mean_interval
from .ladder import capacities, fit_ladder
from .law import Law
from .sources import BANDS, NAMES

COUNTINGS = {"without embeddings": lambda table: table, "with embeddings": runs.with_embeddings}
PER_ROW = str(parse("int4/row:fp32:rms"))  # how this project's own trainer rounds activations to int4
FORWARDS = {"AlbertTsengDeterministic": "nearest", "AlbertTsengQuantizer": "stochastic"}
FORWARDS |= {"QuESTNoQuantScale": "QuEST, no scale"}  # Quartet's names of rounding, and what they say
LARGEST = 1e6  # of gpu2026 at 4M tokens: above, the dense loss no longer falls with N
HELD = 1.5  # E, in nats per token, where it is held
PRINTED = {"E": "none", "low": np.nan, "high": np.nan}

Count = Callable[[pd.DataFrame], pd.DataFrame]
Pair = tuple[str, str]


def computed(n_bootstrap: int = 200) -> pd.DataFrame:
    """The table, from the series and the printed tables; it takes minutes, and `sources.recorded` reads it at once.

    Columns: series, trainer, weights, activations, definition; counting of N, with or without embeddings; E: "fitted",
    "at its bound", "held" at 1.5, or "none"; n_low, n_high: sizes, and d_low, d_high: tokens per parameter, both of N
    without embeddings; runs; rho, low, high: 95 %, by resampling whole sizes for "curve" and "free", Student's t over
    sizes for "paired" and over seeds for "ladder", nan where printed without one; source.
    """
    rows = []
    for counting, count in COUNTINGS.items():
        parts = [*_of_quest(count, n_bootstrap), *_of_quartet(count, n_bootstrap), *_of_cpu(count), *_of_gpu(count)]
        rows += [{"counting": counting} | row for row in parts]
    rows += [{"counting": "without embeddings"} | row for row in _printed()]
    columns = ["series", "trainer", "weights", "activations", "definition", "counting", "E"]
    columns += ["n_low", "n_high", "d_low", "d_high", "runs", "rho", "low", "high", "source"]
    return pd.DataFrame(rows)[columns]


def _of_quest(count: Count, n_bootstrap: int) -> Iterator[dict]:
    """Rotated runs by curve, free and paired; those without a rotation paired: their D/N is one, no fit holds on it."""
    table = count(_load("quest2025"))
    rotated = runs.one_estimator(table)
    dense = table[table["weights"] == "dense"]
    plain = table[~table["rotated"] & (table["weights"] != "dense")]
    about = {"series": "quest2025", "source": "runs/quest2025"}
    for held in ({}, {"E": HELD}):
        yield from _fitted("unified", rotated, held, n_bootstrap, about | {"trainer": "QuEST", "definition": "curve"})
        yield from _fitted("decoupled", rotated, held, n_bootstrap, about | {"trainer": "QuEST", "definition": "free"})
        law = fit("decoupled", rotated, fixed=held)
        for trainer, chosen in {"QuEST": rotated[rotated["weights"] != "dense"], "QuEST, not rotated": plain}.items():
            yield from _paired(law.law(), chosen, dense, about | {"trainer": trainer, "E": _of_E(law.status, held)})


def _of_quartet(count: Count, n_bootstrap: int) -> Iterator[dict]:
    """Each rounding of the forward pass, with gradients in 16 bits: free, and paired in each band of D/N."""
    table = count(_load("quartet2025"))
    table = table[table["backward"] == "BF16"]
    dense = table[table["weights"] == "dense"]
    about = {"series": "quartet2025", "source": "runs/quartet2025"}
    for held in ({}, {"E": HELD}):
        law = fit("chinchilla", dense, fixed=held)
        for forward, chosen in table[table["weights"] != "dense"].groupby("forward"):
            own = about | {"trainer": FORWARDS.get(forward, forward)}
            both = pd.concat([dense, chosen])
            yield from _fitted("decoupled", both, held, n_bootstrap, own | {"definition": "free"})
            for low, high in BANDS.values():
                band = chosen[chosen["ratio"].between(low, high)]
                yield from _paired(law.law(), band, dense, own | {"E": _of_E(law.status, held)})


def _of_cpu(count: Count) -> Iterator[dict]:
    """The ladder of cpu2026, a row a size, with the gradient of QuEST."""
    table = count(_load("cpu2026"))
    chosen = table[(table["method"] == "trust") & (table["backward"] == "fw") & (table["schedule"] == "magnitude")]
    about = {"series": "cpu2026", "trainer": "trust", "definition": "ladder", "E": "none", "source": "runs/cpu2026"}
    for row in capacities(chosen).itertuples():
        if pair := _pair(row.weights, row.activations):
            same = (chosen["weights"] == row.weights) & (chosen["activations"] == row.activations)
            here = chosen[same & (chosen["n_params"] == row.n_params)]
            yield _row(here, pair, (row.rho, row.low, row.high), about)


def _of_gpu(count: Count) -> Iterator[dict]:
    """The ladder of gpu2026 at its fewest tokens, all dense seeds in one: two seeds of it have three sizes only."""
    table = count(_load("gpu2026"))
    table = table[(table["n_tokens"] == table["n_tokens"].min()) & (table["n"] < LARGEST)]
    about = {"series": "gpu2026", "trainer": "trust", "definition": "ladder", "E": "none", "source": "runs/gpu2026"}
    dense = table[table["weights"] == "dense"]
    rungs = fit_ladder(dense["n_params"], dense["loss"])
    twins = dense.set_index(["n_params", "seed"])["loss"]
    for (weights, activations), chosen in table.groupby(["weights", "activations"]):
        if pair := _pair(weights, activations):
            own = twins[pd.MultiIndex.from_frame(chosen[["n_params", "seed"]])].to_numpy()
            ln_rho = pd.Series(np.log(rungs.equivalent(chosen["loss"]) / rungs.equivalent(own)), chosen.index)
            yield _row(chosen, pair, _mean(ln_rho.groupby(chosen["seed"]).mean().dropna()), about)


def _printed() -> Iterator[dict]:
    """The papers' own numbers.  Where a table does not say for which N and D it holds, those of the runs behind it."""
    quest = tables.read("published/quest2025_constants").query("quantity == 'efficiency' and weights != 'dense'")
    about = {"series": "quest2025", "definition": "constant", "source": "published/quest2025_constants"} | PRINTED
    names = {"quest": "QuEST", "quest-unrotated": "QuEST, not rotated", "lsq": "LSQ"}
    for row in quest.itertuples():
        if pair := _pair(row.weights, row.activations):
            whole = {"n_low": 30482560, "n_high": 822151168, "d_low": 25, "d_high": 100, "runs": np.nan}
            yield _plain(pair, row.value) | whole | about | {"trainer": names[row.estimator]}
    whole = {"n_low": 30482560, "n_high": 203188480, "d_low": 25, "d_high": 800, "runs": np.nan}
    about |= {"series": "quartet2025", "source": "published/quartet2025_constants"}
    names = {"effN QuEST": "QuEST", "effN SR": "stochastic", "effN RTN": "nearest", "effN Eden128": "Eden128"}
    for row in tables.read("published/quartet2025_constants").query("quantity in @names").itertuples():
        yield _plain(("mxfp4", "mxfp4"), row.value) | whole | about | {"trainer": names[row.quantity]}
    about["source"] = "published/quartet2025_efficiency"
    names = {"SR AbsMax": "stochastic", "RTN AbsMax": "nearest", "QuEST": "QuEST"}
    for row in tables.read("published/quartet2025_efficiency").itertuples():
        yield _plain(("mxfp4", "mxfp4"), row.effN) | whole | about | {"trainer": names[row.rounding]}
    about |= {"series": "panferov2025", "definition": "figure", "source": "published/panferov2025_capacities"}
    whole |= {"d_low": 100, "d_high": 100}
    figures = tables.read("published/panferov2025_capacities")
    four = "weight_bits == 4 and weight_sparsity == 0 and activation_sparsity == 0 and activation_bits in (4, 16)"
    for row in figures.query(four).itertuples():
        pair = "int4", "dense" if row.activation_bits == 16 else "int4"
        own = {"trainer": {"quest": "QuEST"}.get(row.quantizer, row.quantizer)}
        yield _plain(pair, row.rho) | whole | about | own | {"source": f"{about['source']}, figure {row.figure}"}


def _fitted(law: str, chosen: pd.DataFrame, held: dict[str, float], n_bootstrap: int, about: dict) -> Iterator[dict]:
    """A row for each pair of four bits of a fit."""
    fitted = fit(law, chosen, fixed=held, n_bootstrap=n_bootstrap)
    for (weights, activations), here in chosen.groupby(["weights", "activations"]):
        if pair := _pair(weights, activations):
            rho = fitted.capacity(weights, activations)
            yield _row(here, pair, rho, about | {"E": _of_E(fitted.status, held)})


def _paired(law: Law, chosen: pd.DataFrame, dense: pd.DataFrame, about: dict) -> Iterator[dict]:
    """A row for each pair of four bits; runs without a dense one of their N and D are left out."""
    keys = ["n_params", "n_tokens"]
    twins = chosen.merge(dense[[*keys, "loss"]], on=keys, suffixes=("", "_dense"))
    for (weights, activations), here in twins.groupby(["weights", "activations"]):
        if pair := _pair(weights, activations):
            ln_rho = pd.Series(np.log(law.capacity(here["loss"], here["loss_dense"], here["n_params"])), here.index)
            yield _row(here, pair, _mean(ln_rho.groupby(here["n"]).mean()), about | {"definition": "paired"})


def _mean(ln_rho: pd.Series) -> tuple[float, float, float]:
    """(ρ, low, high) of independent ln ρ, by Student's t."""
    return tuple(np.exp(mean_interval(ln_rho)))


def _of_E(status: str, held: dict[str, float]) -> str:
    """How a fit came to its E."""
    return "held" if held else "at its bound" if status.startswith("bound hit") else "fitted"


def _pair(weights: str, activations: str) -> Pair | None:
    """The formats as `sources` calls them; None unless weights have four bits and activations four or sixteen."""
    rounded = str(parse(activations))
    names = NAMES.get(str(parse(weights))), "int4" if rounded == PER_ROW else NAMES.get(rounded, rounded)
    return names if names[0] and names[1] in ("dense", *NAMES.values()) else None


def _plain(pair: Pair, rho: float) -> dict:
    return {"weights": pair[0], "activations": pair[1], "rho": rho}


def _row(chosen: pd.DataFrame, pair: Pair, rho: tuple[float, float, float], about: dict) -> dict:
    """A row of the table, of these runs; sizes and D/N by their ``n`` and ``ratio``."""
    ends = {f"{short}_{end}": getattr(chosen[name], function)() for short, name in (("n", "n"), ("d", "ratio"))
            for end, function in (("low", "min"), ("high", "max"))}  # fmt: skip
    return _plain(pair, rho[0]) | {"low": rho[1], "high": rho[2], "runs": len(chosen)} | ends | about


def _load(series: str) -> pd.DataFrame:
    """A series with n, its N without embeddings, and ratio, D/n, whatever N is counted as afterwards."""
    table = runs.load(series)
    return table.assign(n=table["n_params"], ratio=table["n_tokens"] / table["n_params"])
