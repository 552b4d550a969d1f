"""Single tensors of the models in the atlas: what compressing one costs, how large each is, and measured recipes.

From GGUF Tool Suite by Thireus and its contributors; tensors have GGUF names, `blk.7.ffn_up.weight`.
"""

import pandas as pd

from .. import tables


def alone() -> pd.DataFrame:
    """KL, in nats per token, of one tensor compressed alone: model, type, tensor, kl, weights."""
    return tables.read("fidelity/tensors").merge(sizes(), on=["model", "tensor"], how="left", validate="many_to_one")


def sizes() -> pd.DataFrame:
    """The weights of every tensor: model, tensor, weights, in the order of the files."""
    return _spread(tables.read("fidelity/tensor_sizes"))


def recipes() -> pd.DataFrame:
    """Recipes with measured perplexity: recipe, model, bits, perplexity, file, failed, tensors, of."""
    return tables.read("fidelity/recipes")


def recipe_tensors() -> pd.DataFrame:
    """The type of each tensor in the recipes: recipe, type, tensor, weights."""
    types = _spread(tables.read("fidelity/recipe_tensors")).merge(recipes()[["recipe", "model"]], on="recipe")
    return types.merge(sizes(), on=["model", "tensor"], how="left", validate="many_to_one").drop(columns="model")


def models() -> pd.DataFrame:
    """The models of these tables: architecture, sizes, perplexity at bf16 where it was measured, and how."""
    return tables.read("fidelity/models")


def _spread(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each tensor that a row stands for: `blk.*.ffn_up.weight` with layers "0-2 5" is four."""
    layers = [_layers(text) if text else [None] for text in frame["layers"].fillna("")]
    frame = frame.assign(layers=layers).explode("layers", ignore_index=True)
    pairs = zip(frame["tensor"].tolist(), frame["layers"], strict=True)
    names = [name.replace("*", str(layer)) for name, layer in pairs]  # a name without layers has no star
    return frame.assign(tensor=names).drop(columns="layers")


def _layers(text: str) -> list[int]:
    """ "0-2 5" → [0, 1, 2, 5]."""
    runs = [[int(number) for number in part.split("-")] for part in text.split()]
    return [layer for run in runs for layer in range(run[0], run[-1] + 1)]
