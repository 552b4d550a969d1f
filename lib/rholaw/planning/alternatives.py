"""Training on in the format instead of rounding: where it would end, and how many tokens it may cost before it pays.

It is assumed that a model which is trained on in a format ends where the law of training has one that was trained in it
from the start.  What it costs is compared with the best that rounding alone can do.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from . import outcomes, rows
from .cases import Case
from .outcomes import Outcome
from .remarks import Alternative
from .scenario import Scenario

OF_LOSS = {"loss_unsettled", "loss_too_high"}
"""Reasons that training on may take away."""


def tokens(case: Case, outcome: Outcome, rival: np.ndarray | float) -> np.ndarray:
    """P10, median and P90 of the tokens that training on may cost, (B, 3), as ``outcomes.affordable`` has them.

    rival: USD of net present value of what is recommended without training, 0 where that is to leave all as it is.
    """
    affordable = np.atleast_2d(outcomes.affordable(outcome, rival))
    return np.broadcast_to(rows.quantiles(affordable), (len(case.batches), 3))


def trainable(table: pd.DataFrame, reasons: pd.Series) -> pd.Series:
    """Whether training on may help each row: one of compressed products, against which nothing but its loss stands."""
    codes = reasons.map(lambda against: {reason.code for reason in against})
    return (table[["weights", "activations"]] != "dense").any(axis=1) & codes.map(lambda own: own <= OF_LOSS)


def alternatives(scenario: Scenario, table: pd.DataFrame, reasons: pd.Series) -> Iterator[Alternative]:
    """How training on compares, for each option that has a ``trainable`` row."""
    project = scenario.project
    free = table[trainable(table, reasons) & table.qat_tokens.notna()]
    for row in free.sort_values("qat_tokens", ascending=False).drop_duplicates("option").sort_index().itertuples():
        data = {"option": row.option, "rise": row.dloss, "ends": row.dloss_trained}
        data |= {"low": row.dloss_trained_p10, "high": row.dloss_trained_p90}
        if row.feasible:
            yield Alternative("qat_not_needed", data)
        elif row.dloss_trained_p90 > project.tolerance:
            yield Alternative("qat_not_enough", data | {"tolerance": project.tolerance})
        elif row.dloss_trained >= row.dloss:
            yield Alternative("qat_no_better", data)
        elif row.qat_tokens == 0:
            yield Alternative("qat_never_pays", data)
        else:
            spread = {"tokens": row.qat_tokens, "tokens_low": row.qat_tokens_p10, "tokens_high": row.qat_tokens_p90}
            yield Alternative("qat_pays", data | spread | {"anew": scenario.model.n_tokens})
