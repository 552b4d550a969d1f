"""Mixed recipes with measured perplexity, predicted from the parts of their tensors.

Perplexity was measured on another text than the KL divergence, without the model at 16 bits.  So each model has two
unknowns, the logarithm of its perplexity uncompressed and how many of these nats go with one of KL; they are fitted to
its *other* recipes, and the recipe left out is told by them how much KL it did.
"""

import numpy as np
import pandas as pd

from . import tensors
from .allocation import assigned
from .parts import tensor_sensitivities

LEAST = 0.02  # nats: a recipe that costs less is within what repeated perplexities differ by
NOISE = 0.03  # nats: errors are relative above it


def predicted() -> pd.DataFrame:
    """A row a recipe: recipe, model, bits, failed, log_ppl, kl, low, high (80 %), and kl as bits and plain errors say.

    plain: as if every weight counted the same; its κ is that of the model.  A recipe with a type whose error is not
    known is left out.
    """
    types, rows = tensors.recipe_tensors().set_index("tensor").groupby("recipe")["type"], []
    sensitivities = {}
    for recipe in tensors.recipes().itertuples():
        given = types.get_group(recipe.recipe)
        if recipe.model not in sensitivities:
            sensitivities[recipe.model] = tensor_sensitivities(recipe.model)
        try:
            done = assigned(sensitivities[recipe.model], dict(zip(given.index.tolist(), given.tolist(), strict=True)))
        except ValueError:
            continue
        table = done.table[done.table["kappa"].notna()]
        kappa, mean = table["kappa"].sum(), np.average(table["gmse"], weights=table["weights"])
        low, high = done.interval()
        rows.append({
            "recipe": recipe.recipe, "model": recipe.model, "bits": done.bits, "failed": recipe.failed,
            "log_ppl": np.log(recipe.perplexity), "kl": done.rise, "low": low, "high": high, "plain": kappa * mean,
            "by_bits": kappa * 4.0 ** -np.average(table["bits"], weights=table["weights"]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def left_out(table: pd.DataFrame, column: str = "kl") -> pd.DataFrame:
    """`predicted` with ``implied``: the KL that a recipe's perplexity implies by the other recipes of its model.

    And ``base``, the logarithm of the perplexity uncompressed, and ``slope``, nats of perplexity for one of KL; of
    models with three recipes and more.
    """
    parts = [_implied(group, column) for _, group in table.groupby("model") if len(group) > 2]
    done = pd.concat(parts)
    return done.assign(off=np.log(done["implied"].clip(lower=1e-3) / done[column]), counts=done[column] > LEAST)


def _implied(group: pd.DataFrame, column: str) -> pd.DataFrame:
    lines = [_line(group.drop(at), column) for at in group.index]
    base, slope = np.array(lines).T
    return group.assign(base=base, slope=slope, implied=(group["log_ppl"] - base) / slope)


def _line(group: pd.DataFrame, column: str) -> tuple[float, float]:
    weights = 1 / (group[column] + NOISE)
    slope, base = np.polyfit(group[column], group["log_ppl"], 1, w=weights)
    return float(base), float(slope)


def ordered(table: pd.DataFrame, column: str = "kl", near: float = 0.02, apart: float = 1.1) -> tuple[int, int]:
    """(pairs told right, pairs): of recipes of a model with bits as near as that, whose perplexities differ by NOISE.

    apart: and which the prediction tells apart by this factor.
    """
    right = total = 0
    for _, group in table.groupby("model"):
        rows = list(group.itertuples())
        for at, one in enumerate(rows):
            for other in rows[:at]:
                close = abs(one.bits / other.bits - 1) <= near and abs(one.log_ppl - other.log_ppl) >= NOISE
                ratio = np.log(getattr(one, column) / getattr(other, column))
                if close and abs(ratio) >= np.log(apart):
                    total += 1
                    right += (ratio > 0) == (one.log_ppl > other.log_ppl)
    return int(right), total
