"""Which tensor gets which type: the least damage within a budget of bytes.

Each tensor costs κ · GMSE(type) nats and bits(type) · weights / 8 bytes.  For a price of a byte, each tensor's best
type is its own affair; the price at which the budget is just met gives the optimum up to less than one step of one
tensor (Everett 1963), and what is left then buys the best steps that still fit.

chosen = allocate(tensor_sensitivities("Qwen3.6-27B"), ["iq2_kt", "q3_k", "q4_k"], 10e9, {"output.weight": "q6_k"})
chosen.rise, chosen.interval(), chosen.table, chosen.measure_next()
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import ndtri

from .. import tables
from ..checked import limited, listed, unknown
from ..formats.grammar import parse
from .mixtures import PLAIN
from .sensitivity import file_error

INFERRED_BITS = {  # of types of ik_llama.cpp, which have no definition here; in blocks of 256
    **{"iq1_kt": 1.75, "iq2_kt": 2.125, "iq2_ks": 2.1875, "iq2_k": 2.375, "iq2_kl": 2.6875, "iq3_kt": 3.125},
    **{"iq3_ks": 3.1875, "iq3_k": 3.4375, "iq4_kss": 4.0, "iq4_kt": 4.0, "iq4_ks": 4.25, "iq4_k": 4.5},
    **{"iq5_ks": 5.25, "iq5_k": 5.5, "iq6_k": 6.625},
}
DOUBT = 0.1  # relative error of a type's damage where its GMSE is exact
MEASURED = 0.05  # and after the whole model, or a tensor, was measured in it
APART = 0.15  # relative, what mixtures depart by from the sum of their parts: from recipes with measured perplexity
Z80 = ndtri(0.9)


@dataclass(frozen=True)
class Allocation:
    """A type for each tensor, and what that costs.

    table: tensor, weights, type, bits, bytes, gmse, kappa, stderr, rise, a row a tensor.  bound: nats that no choice
    within the budget can stay below; nan where nothing was chosen.  scale: relative error that all κ share.
    known: types that the whole model was measured in, from which κ comes.
    """

    table: pd.DataFrame = field(repr=False)
    bound: float
    scale: float
    known: tuple[str, ...] = field(default=(), repr=False)

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return int(self.table["bytes"].sum())

    @property
    def bits(self) -> float:
        """Per weight, over all tensors."""
        return 8 * self.bytes / float(self.table["weights"].sum())

    @property
    def rise(self) -> float:
        """Predicted KL divergence from the uncompressed model, nats per token, floor aside."""
        return float(self.table["rise"].sum())

    @property
    def types(self) -> dict[str, str]:
        """{tensor: its type}."""
        # lists are far faster than columns
        return dict(zip(self.table["tensor"].tolist(), self.table["type"].tolist(), strict=True))

    def interval(self, level: float = 0.8) -> tuple[float, float]:
        """(low, high) of the rise: log-normal, from the errors of the sum, the scale, the types and each tensor."""
        if not 0 < level < 1:
            raise ValueError(f"level is the share of cases within the interval, above 0 and below 1, not {level!r}")
        factor = np.exp(ndtri((1 + level) / 2) * np.sqrt(APART**2 + sum(self._variances().values())))
        return self.rise / float(factor), self.rise * float(factor)

    def measure_next(self, count: int = 2) -> pd.DataFrame:
        """The measurements that would narrow the interval most: measure, type, share of the variance that would go.

        measure: a tensor, compressed alone, or "all": the whole model in that type, which also tells the scale.
        """
        parts = self._variances()
        total, left = APART**2 + sum(parts.values()), min(MEASURED, self.scale) ** 2
        gains = {}
        for what, name in parts:
            if name and not what and name not in self.known:
                gains["all", name] = parts["", name] + max(parts["", ""] - left, 0.0)
            elif what:
                gains[what, name] = parts[what, name]
        best = sorted(gains, key=gains.get, reverse=True)[:count]
        rows = [(*key, gains[key] / total) for key in best]
        return pd.DataFrame(rows, columns=["measure", "type", "share"])

    def _variances(self) -> dict[tuple[str, str], float]:
        """{(tensor, type): part of the relative variance of the rise}; ("", type): a type's; ("", ""): the scale's."""
        table, rise = self.table, self.rise or 1.0
        of_types = table.groupby("type")["rise"].sum() / rise
        of_tensors = (table["stderr"] * table["gmse"] / rise) ** 2
        parts = {("", ""): self.scale**2} | {("", name): (part * _doubt(name)) ** 2 for name, part in of_types.items()}
        return parts | dict(zip(self.types.items(), of_tensors.fillna(0.0).tolist(), strict=True))


def allocate(
    sensitivities: pd.DataFrame,
    types: Sequence[str],
    budget_bytes: float,
    fixed: Mapping[str, str] | None = None,
) -> Allocation:
    """The types with the least predicted damage within ``budget_bytes`` for all tensors together.

    sensitivities: tensor, weights, kappa (nats per unit of GMSE; NaN: stays in f32) and, if known, stderr and row, the
    weights of a row, which a type's blocks must divide.  types: names of formats, or of GGUF's types, "bf16" too.
    fixed: {tensor, or a regular expression for whole names: its type}.  Raises ValueError for unknown types, a pattern
    that fits no tensor, a row that no type divides, and a budget below the least possible, which it names.
    """
    table, names = checked(sensitivities), [plain(name) for name in types]
    if not names:
        raise ValueError("types is empty: name at least one, such as q4_k")
    bits, errors = (np.array([of(name) for name in names]) for of in (bits_of, _error))
    given = _given(table, fixed or {})
    free = given.isna().to_numpy()
    rest = _filled(table[~free], given[~free].tolist())
    weights, kappa = table["weights"].to_numpy(dtype=float)[free], table["kappa"].to_numpy(dtype=float)[free]
    size = np.ceil(weights[:, None] * bits / 8)
    cost = np.where(_divides(table[free], names), kappa[:, None] * errors, np.inf)
    left = float(limited(budget_bytes, "bytes: the budget")) - rest["bytes"].sum()
    chosen, bound = _optimum(size, cost, left)
    kinds = given.copy()
    kinds[free] = np.array(names)[chosen]
    return _allocation(sensitivities, _filled(table, kinds.tolist()), bound + float(rest["rise"].sum()))


def assigned(sensitivities: pd.DataFrame, types: Mapping[str, str]) -> Allocation:
    """What a recipe of others would cost: types is {tensor: type}; tensors that it lacks stay in f32."""
    table = checked(sensitivities)
    kinds = [plain(types.get(name, "f32")) for name in table["tensor"].tolist()]
    return _allocation(sensitivities, _filled(table, kinds), np.nan)


@cache  # a recipe names the same few types for hundreds of tensors
def plain(name: str) -> str:
    """A type as it is named here: q4_k for GGUF's Q4_K, iq5_k for iq5_k_r4, which stores the same in another order."""
    return re.sub(r"_r\d$", "", name.strip().lower())


def bits_of(name: str) -> float:
    """Bits a weight of a type, scales included. Raises ValueError for an unknown one."""
    known = PLAIN | INFERRED_BITS
    return known[name] if name in known else parse(name).bits


# --- the optimum --------------------------------------------------------------------------------------------------


def _optimum(size: np.ndarray, cost: np.ndarray, budget: float) -> tuple[np.ndarray, float]:
    """The column of each row, (n,), with the least sum of ``cost`` whose ``size`` fits, and a bound below that sum."""
    rows = np.arange(len(size))

    def at(price: float) -> np.ndarray:
        return (cost + price * size).argmin(axis=1)

    def total(chosen: np.ndarray) -> float:
        return float(size[rows, chosen].sum())

    free, dear = 1e-40, 1e10  # nats a byte: nothing weighs, and only bytes do
    if (least := total(at(dear))) > budget:
        raise ValueError(f"the budget leaves {budget:.4g} bytes for {len(size)} tensors, which take {least:.4g} at "
                         "least; raise it, or name smaller types")  # fmt: skip
    low, high = free, free if total(at(free)) <= budget else dear
    while high > low * (1 + 1e-12):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if total(at(middle)) <= budget else (middle, high)
    bound = (cost + high * size).min(axis=1).sum() - high * budget  # the dual of the problem
    return _spent(size, cost, at(high), budget), max(float(bound), 0.0)


def _spent(size: np.ndarray, cost: np.ndarray, chosen: np.ndarray, budget: float) -> np.ndarray:
    """``chosen`` after the steps that save most nats a byte, among those that still fit, until none is left."""
    rows, chosen = np.arange(len(size)), chosen.copy()
    while True:
        room = budget - size[rows, chosen].sum()
        more = size - size[rows, chosen][:, None]
        saved = cost[rows, chosen][:, None] - cost
        worth = np.where((more <= room) & (saved > 0), saved / np.maximum(more, 1.0), 0.0)
        row, column = np.unravel_index(worth.argmax(), worth.shape)
        if worth[row, column] <= 0:
            return chosen
        chosen[row] = column


# --- what is asked for --------------------------------------------------------------------------------------------


def checked(sensitivities: pd.DataFrame) -> pd.DataFrame:
    """Its columns tensor, weights, kappa, stderr, row; ValueError where they are missing or cannot be."""
    if not isinstance(sensitivities, pd.DataFrame):
        raise TypeError(f"sensitivities must be a DataFrame, not {type(sensitivities).__name__}")
    if missing := [name for name in ("tensor", "weights", "kappa") if name not in sensitivities]:
        raise ValueError(f"sensitivities lacks {', '.join(missing)}; it has {listed(sensitivities)}")
    if (twice := sensitivities.columns.duplicated()).any():
        raise ValueError(f"sensitivities has the column {sensitivities.columns[twice][0]} more than once")
    table = sensitivities.reset_index(drop=True)
    table.attrs = {}  # pandas copies them with every step
    if (again := table["tensor"].duplicated()).any():
        raise ValueError(f"sensitivities: {table['tensor'][again].iloc[0]} stands more than once")
    if table.empty:
        raise ValueError("sensitivities has no rows: name at least one tensor")
    able = {"weights": table["weights"] > 0, "kappa": (table["kappa"] >= 0) | table["kappa"].isna()}
    for name, right in able.items():
        if (wrong := ~right | np.isinf(table[name])).any():
            value, least = table[name][wrong].iloc[0], "above 0" if name == "weights" else "0 or more, or missing"
            raise ValueError(f"{table['tensor'][wrong].iloc[0]}: {name} is {value}, and must be {least}")
    return table.assign(stderr=table.get("stderr", 0.0), row=table.get("row", np.nan))


def _given(table: pd.DataFrame, fixed: Mapping[str, str]) -> pd.Series:
    """The type of each tensor that has no choice, else None: f32 without a κ; what is fixed, the first that fits."""
    given = pd.Series(np.where(table["kappa"].isna(), "f32", None), index=table.index, dtype=object)
    for pattern, name in reversed(list(fixed.items())):
        try:
            fits = [tensor == pattern or bool(re.fullmatch(pattern, tensor)) for tensor in table["tensor"]]
        except re.error as error:
            raise ValueError(f"fixed: {pattern!r} is no tensor and no regular expression: {error}") from None
        if not any(fits):
            raise ValueError(f"fixed: {unknown(pattern, table['tensor'], 'tensor')[:400]}")
        given[fits] = plain(name)
    return given


def _filled(table: pd.DataFrame, types: list[str]) -> pd.DataFrame:
    bits = {name: bits_of(name) for name in set(types)}
    errors = {name: _error(name) for name in bits}
    filled = table.assign(type=types, bits=[bits[name] for name in types], gmse=[errors[name] for name in types])
    filled["bytes"] = np.ceil(filled["weights"] * filled["bits"] / 8)
    filled["rise"] = filled["kappa"].fillna(0.0) * filled["gmse"]
    return filled[["tensor", "weights", "type", "bits", "bytes", "gmse", "kappa", "stderr", "rise"]]


def _error(name: str) -> float:
    return 0.0 if name in PLAIN else file_error(name)


def _divides(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Whether a type's blocks divide the rows of a tensor, (tensors, types); yes where the rows are not known."""
    blocks = np.array([_block(name) for name in names])
    rows = table["row"].to_numpy(dtype=float)[:, None]
    divides = np.isnan(rows) | (np.nan_to_num(rows) % blocks == 0)
    if (none := ~divides.any(axis=1)).any():
        tensor, row = table["tensor"][none].iloc[0], table["row"][none].iloc[0]
        raise ValueError(f"{tensor}: rows of {row:g} weights divide into blocks of none of these types, "
                         f"{', '.join(names)}; add q8_0 or bf16, or fix its type")  # fmt: skip
    return divides


def _block(name: str) -> int:
    if name in PLAIN:
        return 1
    return 256 if name in INFERRED_BITS else parse(name).multiple


@cache
def _doubt(name: str) -> float:
    """Relative error of what a type costs, of law and GMSE."""
    if name in PLAIN:
        return 0.0
    table = tables.read("fidelity/inferred").set_index("format")
    if name not in table.index:
        return DOUBT
    low, high = table.loc[name, ["low", "high"]]
    return max(DOUBT, math.log(high / low) / (2 * Z80))


def _allocation(sensitivities: pd.DataFrame, table: pd.DataFrame, bound: float) -> Allocation:
    about = sensitivities.attrs
    return Allocation(table, bound, float(about.get("scale", 0.0)), tuple(about.get("known", ())))
