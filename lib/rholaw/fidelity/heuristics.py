"""The least damage against what people do at the same bytes: one type for all, llama.cpp's mixtures, equal parts.

Each rule gives types to the tensors; what that costs is told by their κ, and beside it stands the least that the same
types cost in as many bytes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..checked import unknown
from . import names
from .allocation import Allocation, allocate, assigned, bits_of
from .parts import predicted_shares

MORE = {  # mixture → {kind: its type; with a second, that of the layers which are not given more bits}
    "q2_k": {"attn_v": ("q4_k",), "attn_output": ("q3_k",), "ffn_down": ("q3_k",)},
    "q3_k_m": {"attn_v": ("q4_k",), "attn_output": ("q4_k",), "ffn_down": ("q4_k",)},
    "q4_k_m": {"attn_v": ("q6_k", "q4_k"), "ffn_down": ("q6_k", "q4_k")},
    "q5_k_m": {"attn_v": ("q6_k", "q5_k"), "ffn_down": ("q6_k", "q5_k")},
}
"""From `llama_tensor_get_type` of llama.cpp, the first layers of q3_k_m as the others; experts go by their kind."""

BETWEEN = (3.0, 4.0, 5.0)  # bits that no single K-type has: there is something to choose


def mixture(tensors: Sequence[str], name: str) -> dict[str, str]:
    """{tensor: type} as llama.cpp's mixture of that name gives them; the head has q6_k. ValueError for another name."""
    if name not in MORE:
        raise ValueError(unknown(name, MORE, "mixture"))
    base = name.removesuffix("_m")
    last = max((names.layer(tensor) or 0 for tensor in tensors), default=0) + 1
    head = "output.weight" if "output.weight" in tensors else "token_embd.weight"
    types = {}
    for tensor in tensors:
        kind = names.kind(tensor).removesuffix("_exps").removesuffix("_shexp")
        choice = MORE[name].get(kind, (base,))
        layer = names.layer(tensor) or 0
        more = layer < last // 8 or layer >= 7 * last // 8 or (layer - last // 8) % 3 == 2
        types[tensor] = "q6_k" if tensor == head else choice[0 if more else -1]
    return types


def compare(sensitivities: pd.DataFrame, types: Sequence[str], model: str = "") -> pd.DataFrame:
    """A row a rule: rule, bits, rise, and ``best``, the least rise of ``types`` in the same bytes; gain is their ratio.

    Rules: each of the types alone; llama.cpp's mixtures; "equal parts", the least damage as if every weight counted the
    same; "by kind", as if no tensor of this model had been measured.  Rules of fewer bytes than ``types`` take at least
    are left out.  model: its name, where it is among the measured.
    """
    table = sensitivities[sensitivities["kappa"].notna()].reset_index(drop=True)
    table.attrs = sensitivities.attrs
    matrices = table["tensor"].tolist()
    rules = {name: dict.fromkeys(matrices, name) for name in types}
    rules |= {f"llama.cpp {name}": mixture(matrices, name) for name in MORE}
    beliefs = {"equal parts": table["weights"], "by kind": pd.Series(predicted_shares(matrices, without=model))}
    least = assigned(table, rules[min(types, key=bits_of)]).bytes
    for bits in BETWEEN:
        budget = table["weights"].sum() * bits / 8
        for rule, kappa in beliefs.items() if budget >= least else ():
            rules[f"{rule}, {bits:g} bits"] = allocate(table.assign(kappa=kappa.fillna(0.0)), types, budget).types
    told = {rule: assigned(table, given) for rule, given in rules.items()}
    return pd.DataFrame([_row(rule, table, done, types) for rule, done in told.items() if done.bytes >= least])


def _row(rule: str, table: pd.DataFrame, done: Allocation, types: Sequence[str]) -> dict[str, object]:
    best = allocate(table, types, done.bytes)
    gain = done.rise / best.rise if best.rise else np.nan
    return {"rule": rule, "bits": done.bits, "rise": done.rise, "best": best.rise, "gain": gain}
