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


def kind(format: Format) -> str:
    """What decides how a format errs: "blocks", "rows", one scale for "floats" or "grids", "pruned", "outliers apart"."""
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
    return _named(tables.read("measured/rounded_cpu"), "name")


def rounded() -> pd.DataFrame:
    """measured/gpu2026_rounded, whose rates fell by a cosine to a tenth: with gmse, of, and its schedule."""
    return _named(tables.read("measured/gpu2026_rounded").assign(schedule="cosine"), "format")


def _named(table: pd.DataFrame, column: str) -> pd.DataFrame:
    formats = table["kind"].eq("format") if "kind" in table else pd.Series(True, table.index)
    known = {name: parse(name) for name in table.loc[formats, column].unique()}
    errors = {name: gmse(format).value for name, format in known.items()}
    kinds = {name: kind(format) for name, format in known.items()}
    table["gmse"] = [errors[name] if name in errors else float(name) for name in table[column]]
    table["of"] = table[column].map(kinds).fillna(table["kind"] if "kind" in table else "")
    return table


def models(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each model of ``disturbed``: κ by three ways that share no number, nats per token and unit of error.

    kappa, kappa_stderr: by gradients.  noise, noise_stderr: what noise cost over its error, in the limit of small
    noise, over its draws.  blocks, blocks_low, blocks_high: `fit_sensitivity` of the formats in blocks and their exact
    GMSE, with its 80 % interval.  slope: of log KL on log GMSE over these, and its standard error; dense_loss.
    """
    rows = {}
    for name, part in table.groupby(MODEL):
        noise = part[part["kind"] == "noise"]
        slopes = (noise["quadratic"] / noise["error"]).to_numpy()
        row = part.iloc[0][["dense_loss", "kappa", "kappa_stderr"]].to_dict()
        row |= {"noise": slopes.mean(), "noise_stderr": stats.sem(slopes)}
        rows[name] = row | in_blocks(part.assign(rise=part["kl"], stderr=part["kl_stderr"]))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(MODEL).reset_index()


def in_blocks(part: pd.DataFrame) -> dict[str, float]:
    """κ of one model by its formats in blocks: columns gmse, of, rise and stderr; what `models` says of blocks."""
    part = part[(part["of"] == "blocks") & (part["rise"] < LARGE)]
    fit = fit_sensitivity(part[["gmse", "rise", "stderr"]])
    low, high = fit.intervals["kappa"]
    sure = part[part["rise"] > SURE * part["stderr"]]
    line = stats.linregress(np.log(sure["gmse"]), np.log(sure["rise"]))
    row = {"blocks": fit.kappa, "blocks_low": low, "blocks_high": high, "status": fit.status}
    return row | {"slope": line.slope, "slope_stderr": line.stderr}


def factors(table: pd.DataFrame) -> pd.DataFrame:
    """KL over κ · GMSE, total, of each format and model of ``disturbed``, as a product of three: with its columns.

    size: the error that it makes on these weights, as each matrix's κ weighs it, over GMSE.  direction: ½ δᵀFδ of its
    errors over that of independent ones of this size.  beyond: KL over ½ δᵀFδ, all higher orders.
    """
    table = table[table["kind"] != "noise"].copy()
    expected = table["kappa"] * table["gmse"]
    table["size"], table["direction"] = table["fisher"] / expected, table["quadratic"] / table["fisher"]
    table["beyond"], table["total"] = table["kl"] / table["quadratic"], table["kl"] / expected
    return table


def growth(models: pd.DataFrame, kappa: str = "kappa", level: float = 0.95) -> pd.DataFrame:
    """Exponents of κ ∝ N^n · (D/N)^d over ``models``, with intervals by Student's t; rows "N", "D/N" and "scatter".

    scatter: the factor by which a model lies off, one standard deviation.  Raises ValueError for fewer than four models.
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
    rows = {name: (value, value - h, value + h) for name, value, h in zip(("", "N", "D/N"), solution, half, strict=True)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["exponent", "low", "high"])
    return pd.concat([table.iloc[1:], pd.DataFrame({"exponent": np.exp(np.sqrt(variance))}, index=["scatter"])])
