"""What is on record of real checkpoints: surveys of three, and what rounding cost one whose weights lay on a grid.

The tables are measured/real_checkpoints, post_training and group_errors; bench/ wrote them.
"""

import numpy as np
import pandas as pd

from .. import tables
from ..error.measure import gmse
from . import opening
from .packaged import installed
from .roles import KEPT

MODEL = "SmolLM2-135M-Instruct"
"""The one whose loss was measured; its weights are stored in STORED, an error on whose grid says nothing."""
STORED = "q4_1"


def surveys() -> pd.DataFrame:
    """The surveys of three checkpoints, of their matrices but embeddings and heads: a row per tensor and format."""
    table = tables.read("measured/real_checkpoints")
    return table[~table.role.isin(KEPT)]


def kurtoses(surveys: pd.DataFrame) -> pd.DataFrame:
    """Least, median and largest excess kurtosis of the matrices of each checkpoint, plain and rotated."""
    called = {"excess_kurtosis": "matrices", "row_kurtosis": "their rows"}
    called |= {"rotated_kurtosis": "matrices, rotated", "rotated_row_kurtosis": "their rows, rotated"}
    matrices = surveys.drop_duplicates(["checkpoint", "name"]).rename(columns=called)
    return matrices.groupby("checkpoint", sort=False)[[*called.values()]].agg(["min", "median", "max"])


def row_lengths() -> pd.Series:
    """{matrix of MODEL, embedding included: the length of its rows}; it has to be installed."""
    with opening.open(installed()[MODEL]) as checkpoint:
        matrices = {tensor.name: tensor.matrix[1] for tensor in checkpoint.tensors if len(tensor.shape) > 1}
    return pd.Series(matrices)


def error_as_stored() -> float:
    """The largest relative squared error of a group of MODEL's matrices on the grid that they are stored on."""
    groups = tables.read("measured/group_errors").query("format == @STORED and rotation == 0")
    return float(groups.error.max())


def rounded(text: str = "shakespeare") -> pd.DataFrame:
    """What rounding all matrices cost MODEL on a text, as stored and rotated, beside the law after training.

    A row a (format, rotation), rotation 0 for weights as they are stored.  rise, stderr: of the loss, nats per token;
    gmse: of the format; times: rise over κ · GMSE, where κ is the median of rise / GMSE over rotated weights and rises
    from .02 to 1 nat.
    """
    losses = tables.read("measured/post_training")
    table = losses[losses.text.eq(text) & losses.format.ne("dense")].set_index(["format", "rotation"])[
        ["rise", "stderr"]
    ]
    table["gmse"] = [gmse(name).value for name in table.index.get_level_values("format")]
    usual = table[(table.index.get_level_values("rotation") > 0) & table.rise.between(0.02, 1)]
    return table.assign(times=table.rise / (table.gmse * (usual.rise / usual.gmse).median()))


def typical(rounded: pd.DataFrame) -> pd.Series:
    """{rotation: by which factor the law is off in the median, either way} over rises from .02 to 1 nat."""
    moderate = rounded[rounded.rise.between(0.02, 1)]
    return np.exp(np.log(moderate.times).abs().groupby(level="rotation").median())
