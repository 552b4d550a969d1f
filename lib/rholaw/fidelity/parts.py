"""Each tensor's part of a model's κ: measured alone, or predicted from what it does and its depth.

Parts are scaled to the κ of the whole model, which fits the atlas: of what one tensor costs only its share counts.
From GGUF Tool Suite by Thireus and its contributors.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from ..checked import unknown
from . import atlas, names, tensors
from .evidence import SATURATED
from .sensitivity import SensitivityFit, file_error, fit_sensitivity

RELATIVE, REPEATED = 0.15, 0.1  # error of a part: of the rank-one product; of the floor, when it is measured again
TOGETHER = 0.8  # kinds of tensors that agree in this share of the layers were compressed in one measurement
FAINT = 1e-5  # a share that is as good as none
SHRINK = 1.0  # of a kind towards all kinds, in tensors
A_MODEL = 300  # tensors that each model counts for
MORE = ("all", "depth", "depth²", "log layers")  # terms beside the kinds


@lru_cache
def models() -> tuple[str, ...]:
    """The models whose tensors were measured one by one."""
    return tuple(tensors.models()["model"])


@lru_cache
def whole(model: str) -> SensitivityFit:
    """κ and floor of a measured model, from the formats of the atlas that it was compressed to as a whole."""
    return fit_sensitivity(_wholes(_known(model)))


def _wholes(model: str) -> pd.DataFrame:
    rows = _atlas()
    rows = rows[(rows["model"] == model) & rows["purity"].isin(["pure", "mostly"]) & rows["format"].notna()]
    rows = rows[(rows["rise"] < SATURATED) & rows["format"].map(_has_error)]
    return rows.assign(gmse=rows["format"].map(file_error))


def tensor_sensitivities(model: str) -> pd.DataFrame:
    """κ of every tensor of a measured model, in the order of its file: tensor, weights, kappa, stderr.

    kappa: nats per token and unit of GMSE, in sum that of the whole model; NaN for what stays as it is (norms, biases,
    routers), 0 for the layer of multi-token prediction.  A matrix that was not measured has the predicted share.
    attrs: "scale", the relative error that all share, and "known", the types that the whole was measured in.  Raises
    ValueError for a model that is not in `models`.
    """
    measured, sizes = shares(model), _sizes()
    table = sizes[sizes["model"] == model].merge(measured, on="tensor", how="left")
    guess = predicted_shares(table["tensor"].tolist(), without=model)
    table["stderr"] = table["stderr"].fillna(pd.Series(guess, index=table.index))
    table["share"] = table["share"].fillna(pd.Series(guess, index=table.index))
    table.loc[table["tensor"].str.contains("nextn"), ["share", "stderr"]] = 0.0
    fit = whole(model)
    factor = fit.kappa / table["share"].sum()
    table = table.assign(kappa=table["share"] * factor, stderr=table["stderr"] * factor)
    return _told(table, float(np.log(fit.draws[:, 0]).std()), _wholes(model)["format"].tolist())


def predicted_sensitivities(matrices: pd.DataFrame, kappa: float, scale: float = 0.0) -> pd.DataFrame:
    """The same for a model of which no tensor was measured: kinds and depths count as in the measured models.

    matrices: tensor (GGUF's names), weights and, if known, row, the weights of a row.  kappa: of the whole model;
    scale: its relative error.  Raises ValueError where no tensor is known.
    """
    kappas = predicted_shares(matrices["tensor"].tolist()) * kappa
    error = kappas * np.expm1(population()[1])
    return _told(matrices.assign(kappa=kappas, stderr=error), scale, [])


def _told(table: pd.DataFrame, scale: float, known: list[str]) -> pd.DataFrame:
    columns = ["tensor", "weights", *(["row"] if "row" in table else []), "kappa", "stderr"]
    table = table[columns].reset_index(drop=True)
    table.attrs = {"scale": scale, "known": known}
    return table


# --- measured -----------------------------------------------------------------------------------------------------


@lru_cache
def shares(model: str) -> pd.DataFrame:
    """Each measured tensor's share of the model's κ, in sum 1: tensor, share, stderr; the mean over its types."""
    single = []
    for rows in alone(model).values():
        error = np.hypot(RELATIVE * rows["part"], REPEATED * rows["floor"] * rows["portion"])
        share = pd.DataFrame({"tensor": rows["tensor"], "share": rows["part"], "stderr": error})
        single.append(share.set_index("tensor") / rows["part"].sum())
    return pd.concat(single).groupby("tensor", as_index=False).mean()


@lru_cache
def alone(model: str) -> dict[str, pd.DataFrame]:
    """{type: what compressing each tensor alone to it cost}: tensor, kl, floor, portion, part, in nats per token.

    floor: the least of all tensors.  Tensors that were compressed in one measurement have one value: portion is by
    weights.  part: (kl − floor) · portion.
    """
    rows = _everything()
    rows = rows[(rows["model"] == _known(model)) & ~rows["type"].str.contains("_bn")]  # those are for BitNet models
    rows = rows.assign(type=rows["type"].str.replace(r"_r\d$", "", regex=True))  # _r4: the same, stored in other order
    rows = rows.groupby(["type", "tensor"], as_index=False)[["kl", "weights"]].mean()
    return {name: _parts(group.reset_index(drop=True)) for name, group in rows.groupby("type")}


def _parts(rows: pd.DataFrame) -> pd.DataFrame:
    listed = rows["tensor"].tolist()
    kinds, layers = (pd.Series([of(tensor) for tensor in listed]) for of in (names.kind, names.layer))
    group = layers.map(str) + kinds.map(_together(rows["kl"], kinds, layers))
    portion = rows["weights"] / rows["weights"].groupby(group).transform("sum")
    floor = rows["kl"].min()
    return rows.assign(floor=floor, portion=portion, part=(rows["kl"] - floor) * portion)


def _together(kl: pd.Series, kinds: pd.Series, layers: pd.Series) -> dict[str, str]:
    """{kind: the first kind that has the same values in most layers, often itself}."""
    wide = pd.DataFrame({"kl": kl, "kind": kinds, "layer": layers}).pivot_table("kl", "layer", "kind")
    values, first = wide.to_numpy(), {name: name for name in set(kinds)}
    for at, name in enumerate(wide):
        both = np.isfinite(values[:, : at + 1]) & np.isfinite(values[:, [at]])
        same = (values[:, : at + 1] == values[:, [at]]).sum(axis=0) > TOGETHER * np.maximum(both.sum(axis=0), 2)
        first[name] = first[wide.columns[int(np.argmax([*same[:at], True]))]]
    return first


def additive(model: str) -> pd.Series:
    """{type: the sum of the parts over what κ of the whole model says of that type}: 1 where damage adds up."""
    sums = {name: rows["part"].sum() for name, rows in alone(model).items() if _has_error(name)}
    kappa = whole(model).kappa
    return pd.Series({name: total / kappa / file_error(name) for name, total in sums.items()}, dtype=float)


# --- predicted ----------------------------------------------------------------------------------------------------


def predicted_shares(tensor_names: list[str], without: str = "") -> np.ndarray:
    """The share of each tensor in the κ of its model, in sum 1; NaN for what is no known matrix. without: a model."""
    terms, _ = population(without)
    kinds = _kinds(tensor_names)
    known = np.array([kind in terms for kind in kinds])
    if not known.any():
        raise ValueError(
            f"no tensor has a name that is known, such as blk.0.ffn_up.weight; the first is {tensor_names[:1]}"
        )
    share = np.where(
        known, np.exp(_features(tensor_names, kinds, list(terms)) @ np.array(list(terms.values()))), np.nan
    )
    return share / np.nansum(share)


@lru_cache
def population(without: str = "") -> tuple[dict[str, float], float]:
    """({term: coefficient} of the logarithm of a share, over the measured models but ``without``; its rms error there).

    Terms: a factor for each kind, shrunk towards all; depth, 0 in the first layer and 1 in the last, and its square;
    the logarithm of the number of layers.  A head that shares the embedding's matrix is a kind of its own.
    """
    terms, examples = _examples()
    chosen = [example for model, example in examples.items() if model != without]
    squares = sum(x.T @ x / len(y) for x, y in chosen) * A_MODEL
    products = sum(x.T @ y / len(y) for x, y in chosen) * A_MODEL
    ridge = np.where(np.isin(terms, MORE), 1e-6, SHRINK)
    fit = np.linalg.solve(squares + np.diag(ridge), products)
    rms = np.sqrt(np.mean([np.mean((y - x @ fit) ** 2) for x, y in chosen]))
    return dict(zip(terms, fit.tolist(), strict=True)), float(rms)


@lru_cache
def _examples() -> tuple[list[str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The terms, and {model: (their values, logarithms of shares)}."""
    tables = {model: shares(model) for model in models()}
    kinds = {model: _kinds(table["tensor"].tolist()) for model, table in tables.items()}
    terms = [*sorted(set().union(*kinds.values())), *MORE]
    examples = {
        model: (_features(table["tensor"].tolist(), kinds[model], terms), np.log(table["share"].to_numpy() + FAINT))
        for model, table in tables.items()
    }
    return terms, examples


def _kinds(tensor_names: list[str]) -> list[str]:
    tied = "output.weight" not in tensor_names
    return ["tied head" if tied and name == "token_embd.weight" else names.kind(name) for name in tensor_names]


def _features(tensor_names: list[str], kinds: list[str], terms: list[str]) -> np.ndarray:
    layers = np.array([names.layer(name) for name in tensor_names], dtype=float)  # nan outside
    inside, last = np.isfinite(layers), max(np.nanmax(layers, initial=1.0), 1.0)
    depth = np.where(inside, layers / last, 0.0)
    more = [np.ones(len(depth)), depth, depth**2, inside * np.log(last + 1)]
    is_kind = np.array(kinds)[:, None] == np.array(terms[: -len(MORE)])
    return np.column_stack([is_kind, *more]).astype(float)


_everything, _sizes = lru_cache(tensors.alone), lru_cache(tensors.sizes)


@lru_cache
def _atlas() -> pd.DataFrame:
    return atlas.load(usable=True, source="gguf_tool_suite", metric="kl")


def _known(model: str) -> str:
    if model not in models():
        raise ValueError(unknown(model, models(), "model with measured tensors"))
    return model


def _has_error(name: str) -> bool:
    try:
        return file_error(name) >= 0
    except ValueError:
        return False
