"""Why damage follows GMSE: KL to second order, on models of this project that were rounded and disturbed by noise.

For small errors δ of the weights KL = ½ δᵀFδ, with Fisher's information F.  Errors that are independent of the weights
and of one another leave ½ Σ mean(δ²) tr F of it over the matrices.  A format that errs by GMSE in each of them so costs
κ · GMSE, and gradients alone tell κ = ½ Σ mean(w²) tr F.
"""

import numpy as np
import pandas as pd
from scipy import stats

from .. import tables
from ..error.measure import gmse
from ..formats.format import Format
from ..formats.ggml import Ggml
from ..formats.grammar import parse
from ..formats.grids import Float
from .sensitivity import fit_sensitivity

MODEL = ["n_params", "n_tokens", "schedule"]
"""What names a model: its size, its training, and whether the learning rate fell to zero in the end."""
LARGE = 1.0  # nats: above, damage saturates
SURE = 3.0  # standard errors that a rise has to lie above 0
ENOUGH = 10  # formats in blocks, from which they tell κ


def kind(format: Format) -> str:
    """What decides how it errs: "pruned", "outliers apart", "blocks", "rows", or one scale for "floats" or "grids"."""
    if format.sparsity:
        return "pruned"
    if format.outliers:
        return "outliers apart"
    if isinstance(format.element, Ggml) or (format.block and format.multiple > 1):
        return "blocks"
    if format.block and str(format.block).startswith("row"):
        return "rows"
    return "floats" if isinstance(format.element, Float) else "grids"


def disturbed() -> pd.DataFrame:
    """measured/rounded_cpu: models trained here, with formats and with noise in their matrices, a row for each.

    Beside the columns of the table: gmse, of the format or of the noise, and of, the `kind` of format or of noise.
    """
    table = tables.read("measured/rounded_cpu")
    of, errors = _formats(table.loc[table["kind"] == "format", "name"])
    return table.assign(
        gmse=[errors.get(name) or float(name) for name in table["name"]], of=table["name"].map(of).fillna(table["kind"])
    )


def rounded() -> pd.DataFrame:
    """κ of the GPU's dense models, which were rounded as well: a row for each that ENOUGH formats in blocks divide.

    Their learning rate fell by a cosine to a tenth, schedule "cosine"; columns as `models` has them from formats.
    """
    table = tables.read("measured/gpu2026_rounded").dropna(subset=["rise"]).assign(schedule="cosine")
    of, errors = _formats(table["format"])
    table = table.assign(gmse=table["format"].map(errors), of=table["format"].map(of), stderr=table["rise_stderr"])
    rows = {name: {"dense_loss": part["dense_loss"].iloc[0]} | _in_blocks(part) for name, part in table.groupby(MODEL)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(MODEL).reset_index().dropna(subset=["blocks"])


def _formats(names: pd.Series) -> tuple[dict[str, str], dict[str, float]]:
    """({format: its kind}, {format: its GMSE})."""
    formats = {name: parse(name) for name in names.unique()}
    return {name: kind(f) for name, f in formats.items()}, {name: gmse(f).value for name, f in formats.items()}


def models(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each model of ``disturbed``: κ by three ways that share no number, nats per token and unit of error.

    kappa, kappa_stderr: by gradients.  noise, noise_stderr: what noise cost over its error, in the limit of small
    noise, over its draws.  blocks, blocks_low, blocks_high, status: `fit_sensitivity` of the formats in blocks and
    their exact GMSE, with its 80 % interval.  slope, slope_stderr: of log KL on log GMSE over these.  Missing where
    fewer than ENOUGH of them divide the rows.
    """
    rows = {}
    for name, part in table.groupby(MODEL):
        noise = part[part["kind"] == "noise"]
        slopes = (noise["quadratic"] / noise["error"]).to_numpy()
        row = part.iloc[0][["dense_loss", "kappa", "kappa_stderr"]].to_dict()
        row |= {"noise": slopes.mean(), "noise_stderr": stats.sem(slopes)}
        rows[name] = row | _in_blocks(part.assign(rise=part["kl"], stderr=part["kl_stderr"]))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(MODEL).reset_index()


def _in_blocks(part: pd.DataFrame) -> dict[str, float | str]:
    """κ of one model by its formats in blocks, from columns gmse, of, rise and stderr; nothing where they are few."""
    part = part[(part["of"] == "blocks") & (part["rise"] < LARGE)]
    if len(part) < ENOUGH:
        return {}
    fit = fit_sensitivity(part[["gmse", "rise", "stderr"]])
    low, high = fit.intervals["kappa"]
    sure = part[part["rise"] > SURE * part["stderr"]]
    line = stats.linregress(np.log(sure["gmse"]), np.log(sure["rise"]))
    row = {"blocks": fit.kappa, "blocks_low": low, "blocks_high": high, "status": fit.status}
    return row | {"slope": line.slope, "slope_stderr": line.stderr}


def factors(table: pd.DataFrame) -> pd.DataFrame:
    """KL over κ · GMSE, total, of each row of ``disturbed``, as a product of three: the table with these columns.

    size: the error that it makes on these weights, as the κ of each matrix weighs it, over GMSE.  direction: ½ δᵀFδ of
    its errors over that of independent ones of this size.  beyond: KL over ½ δᵀFδ, all higher orders.
    """
    expected = table["kappa"] * table["gmse"]
    return table.assign(
        size=table["fisher"] / expected,
        direction=table["quadratic"] / table["fisher"],
        beyond=table["kl"] / table["quadratic"],
        total=table["kl"] / expected,
    )


def growth(models: pd.DataFrame, kappa: str = "kappa", level: float = 0.95) -> pd.DataFrame:
    """Exponents of κ ∝ N^n · (D/N)^d over ``models``, with intervals by Student's t; rows "N", "D/N" and "scatter".

    scatter: the factor by which a model lies off, one standard deviation.  ValueError for fewer than four models.
    """
    if len(models) < 4:
        raise ValueError(f"two exponents and a constant need four models, and there are {len(models)}")
    sizes = np.log(models["n_params"].to_numpy(float))
    inputs = np.column_stack([np.ones(len(models)), sizes, np.log(models["n_tokens"].to_numpy(float)) - sizes])
    logs = np.log(models[kappa].to_numpy(float))
    solution = np.linalg.lstsq(inputs, logs, rcond=None)[0]
    freedom = len(models) - 3
    variance = ((logs - inputs @ solution) ** 2).sum() / freedom
    half = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance * np.diag(np.linalg.inv(inputs.T @ inputs)))
    rows = {"exponent": solution, "low": solution - half, "high": solution + half}
    table = pd.DataFrame(rows, index=["", "N", "D/N"]).drop(index="")
    return pd.concat([table, pd.DataFrame({"exponent": np.exp(np.sqrt(variance))}, index=["scatter"])])


def decay(models: pd.DataFrame) -> pd.DataFrame:
    """By which factor the decay of the learning rate raises κ, at each n_tokens: a model after it over one without.

    factor: the geometric mean over the sizes of models; least and most: of one size; sizes: how many.
    """
    pairs = models.pivot(index=["n_params", "n_tokens"], columns="schedule", values="kappa")
    factors = (pairs["decayed"] / pairs["constant"]).dropna().groupby("n_tokens")
    return pd.DataFrame(
        {"factor": factors.agg(stats.gmean), "least": factors.min(), "most": factors.max(), "sizes": factors.size()}
    )


def rounded_before(table: pd.DataFrame) -> pd.DataFrame:
    """Models of ``disturbed`` whose weights had been rounded before all else, over the same models untouched.

    A row for each format and such a model: stored, the format that they were in; error and kl, of this over that of
    the untouched model; kappa, the same of the κ of gradients; lost, the rise that stays unseen, nats per token.
    """
    table = table[table["kind"] == "format"].set_index([*MODEL, "name"])
    first, untouched = table[table["stored"] != "dense"], table[table["stored"] == "dense"]
    untouched = untouched.loc[first.index]
    ratios = first[["error", "kl", "kappa"]] / untouched[["error", "kl", "kappa"]]
    lost = first["dense_loss"] - untouched["dense_loss"]
    return ratios.assign(stored=first["stored"], lost=lost).reset_index()
