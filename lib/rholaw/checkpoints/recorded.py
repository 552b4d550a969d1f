"""What is on record of real checkpoints: surveys of three, and what rounding cost one, beside what laws say it costs.

The tables are measured/real_checkpoints, post_training, group_errors and sensitivity; bench/ wrote them.  A frame here
has a row for each (format, rotation), rotation 0 for weights as they are stored.
"""

import numpy as np
import pandas as pd

from .. import tables
from ..laws.draws import Draws
from ..laws.law import capacity_explaining, rise_in_training
from . import opening
from .noise import NoiseCost, predicted
from .packaged import installed
from .surveying import KEPT

MODEL = "SmolLM2-135M-Instruct"
"""The one whose loss was measured; its weights are stored in STORED, an error on whose grid says nothing."""
STORED = "q4_1"
TEXTS = {"plays": "shakespeare", "python": "python"}
MEASURES = {"error": "weights", "weighted_error": "weighted by the inputs", "output_error": "outputs"}
"""Relative squared errors: of the weights, of these weighed by the squares of their inputs, of what they put out."""


def surveys() -> pd.DataFrame:
    """The surveys of three checkpoints, of their matrices but embeddings and heads: a row per tensor and format."""
    table = tables.read("measured/real_checkpoints")
    return table[~table.role.isin(KEPT)]


def kurtoses(surveys: pd.DataFrame) -> pd.DataFrame:
    """Least, median and largest excess kurtosis of the matrices of each checkpoint, plain and rotated."""
    columns = ["excess_kurtosis", "row_kurtosis", "rotated_kurtosis", "rotated_row_kurtosis"]
    matrices = surveys.drop_duplicates(["checkpoint", "name"])
    return matrices.groupby("checkpoint", sort=False)[columns].agg(["min", "median", "max"])


def row_lengths() -> pd.Series:
    """{matrix of MODEL, embedding included: the length of its rows}; it has to be installed."""
    with opening.open(installed()[MODEL]) as checkpoint:
        matrices = {tensor.name: tensor.matrix[1] for tensor in checkpoint.tensors if len(tensor.shape) > 1}
    return pd.Series(matrices)


def rounded(law: Draws, text: str = "shakespeare") -> pd.DataFrame:
    """What rounding all matrices cost MODEL on a text, and what the law for training says of it.

    rise, stderr: of the loss, nats per token.  law, law_low, law_high: median and 95 % interval of what training in
    the format would cost; rho: its capacity; rho_needed: the ρ at which training would cost as much; times: rise / law,
    where the loss rose.  And the MEASURES of the error, means over groups of matrices.
    """
    losses = tables.read("measured/post_training")
    table = losses[losses.text.eq(text) & losses.format.ne("dense")].set_index(["format", "rotation"])
    matrices = surveys().query("checkpoint == @MODEL").drop_duplicates("name")
    rows = {}
    for (name, rotation), row in table.iterrows():
        rho, _ = law.capacity(name)
        costs = rise_in_training(law, int(matrices.parameters.sum()), rho)
        needed = capacity_explaining(law, int(matrices.parameters.sum()), row.rise)
        rows[name, rotation] = [*np.quantile(costs, [0.5, 0.025, 0.975]), np.median(rho), np.median(needed)]
    table[["law", "law_low", "law_high", "rho", "rho_needed"]] = list(rows.values())
    table["times"] = (table.rise / table.law).where(table.rise > 0)
    return table.join(by_group().groupby(["format", "rotation"])[list(MEASURES)].mean())


def both_texts(law: Draws, least: float = 0.05) -> pd.DataFrame:
    """The rise on Shakespeare's ``plays`` and on ``python`` sources, of formats that cost more than ``least`` there."""
    rises = {name: rounded(law, text).rise.xs(0, level="rotation") for name, text in TEXTS.items()}
    return pd.DataFrame(rises).query("plays > @least")


def turned(table: pd.DataFrame, most: float = 1.5) -> tuple[list[str], list[str]]:
    """Formats that a rotation (helps, hurts), by more than two standard errors, of those that cost up to ``most``."""
    plain, rotated = (table.xs(turn, level="rotation").drop(STORED) for turn in _turns(table))
    plain = plain.query("rise < @most")
    gain = rotated.rise[plain.index] - plain.rise
    sure = gain.abs() > 2 * np.hypot(rotated.stderr[plain.index], plain.stderr)
    return list(plain.index[sure & (gain < 0)]), list(plain.index[sure & (gain > 0)])


def by_group() -> pd.DataFrame:
    """The MEASURES of the error in each group of matrices, and what rounding it alone cost, where that was measured."""
    return tables.read("measured/group_errors")


def noise() -> tuple[pd.DataFrame, pd.DataFrame]:
    """α of Gaussian noise, nats per unit of error: (in all matrices, by error; in one group at a time)."""
    table = tables.read("measured/sensitivity")
    return table[table.group == "all"], table[table.group != "all"]


def linear() -> pd.DataFrame:
    """Σ α t² by each of the MEASURES, with α from noise in groups: columns ("rise" | "stderr", measure)."""
    errors, (_, groups) = by_group(), noise()
    spread = errors[errors["rotation"] > 0]  # after a rotation errors lie like noise
    unit = spread[list(MEASURES)].div(spread.error, axis=0).groupby(spread.group).median()
    sums = {}
    for (name, rotation), part in errors.groupby(["format", "rotation"], sort=False):
        for measure in MEASURES:
            costs = [
                NoiseCost((row.group,), *np.array([row.alpha, row.stderr]) / unit[measure][row.group])
                for row in groups.itertuples()
            ]
            means = pd.DataFrame({"name": part.group, "error": part[measure]})
            sums[name, rotation, measure] = predicted(costs, means)
    table = pd.DataFrame(sums, index=["rise", "stderr"]).T.unstack()
    return table.rename_axis(["format", "rotation"])


def quotients(table: pd.DataFrame, sums: pd.DataFrame) -> pd.DataFrame:
    """The rise of ``rounded`` over that of ``linear``, by measure, where that is .02 to 1 nat and the rise is sure."""
    moderate = sums["rise", "error"].between(0.02, 1) & (table.rise > 2 * table.stderr)
    return sums["rise"].rdiv(table.rise, axis=0)[list(MEASURES)][moderate]


def factors(quotients: pd.DataFrame) -> pd.DataFrame:
    """By which factor the sums are off, either way, "typical" and "largest": rows "as stored" and "rotated"."""
    table = np.exp(np.log(quotients).abs()).groupby(level="rotation").agg(["median", "max"])
    table.index = ["as stored", "rotated"]
    table.columns = [f"{label}, {how}" for label in MEASURES.values() for how in ("typical", "largest")]
    return table


def alone() -> pd.DataFrame:
    """Groups of matrices that were rounded alone: alpha = rise_alone / error, and ``by_noise`` that of the noise."""
    table = by_group().dropna(subset=["rise_alone"])
    alpha = noise()[1].set_index("group").alpha
    return table.assign(alpha=table.rise_alone / table.error, by_noise=table.group.map(alpha))


def _turns(table: pd.DataFrame) -> tuple[int, int]:
    """The rotations on record: 0 and one more."""
    plain, rotated = sorted(table.index.unique("rotation"))
    return plain, rotated
