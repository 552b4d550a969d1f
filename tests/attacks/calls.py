"""Public functions of the laws with wild arguments: numbers, text, tables whose columns lack, repeat, hold anything."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import rholaw as rl

PROMISE = "numbers that are finite, or a ValueError or TypeError of at most 500 characters"
SECONDS = 10
MEGABYTES = 300
SLICE = 60

NUMBERS = [0, 1, -1, 0.5, 1e-9, 1e-300, 1e9, 1e300, -0.0, math.inf, -math.inf, math.nan, 10**400, True]
THINGS = [None, "", "3", "x" * 9000, [], [1.0, math.nan], {}, b"", object(), np.array([]), np.array(["a"]), pd.NaT]


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """One call."""
    name = str(rng.choice(list(CALLS)))
    with np.errstate(all="ignore"):  # what comes out is looked at instead
        try:
            result = CALLS[name](rng)
        except (ValueError, TypeError) as error:
            assert 0 < len(str(error)) <= 500, f"{name}: {len(str(error))} characters: {str(error)[:300]}"
            return f"{name} refused"
    values = np.concatenate([np.asarray(part, dtype=float).ravel() for part in result])
    assert np.isfinite(values).all(), f"{name}: {values}"
    return name


def _number(rng: np.random.Generator, low: float = 0.05, high: float = 2.0) -> object:
    """Mostly a number between the limits, on a scale of logarithms, else anything."""
    if rng.random() < 0.85:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    several = [*NUMBERS, *NUMBERS, *THINGS]
    return several[rng.integers(len(several))]


def _table(rng: np.random.Generator, columns: dict[str, Callable[[], object]], most: int = 12) -> object:
    """A table with these columns, in one of three ways not quite."""
    rows = int(rng.choice([0, 1, 2, most], p=[0.05, 0.1, 0.15, 0.7]))
    frame = pd.DataFrame({name: [make() for _ in range(rows)] for name, make in columns.items()})
    way, name = rng.random(), str(rng.choice(list(columns)))
    if way < 0.1:
        return frame.drop(columns=name)
    if way < 0.2:
        return pd.concat([frame, frame[[name]]], axis=1)
    if way < 0.3:
        return frame.assign(**{name: frame[name].astype(object if rng.random() < 0.5 else str)})
    return [frame.to_dict("records"), None, {}, "quest2025", 3][rng.integers(5)] if way < 0.35 else frame


def _law(rng: np.random.Generator) -> rl.Law:
    return rl.Law(*(_number(rng, low, high) for low, high in ((1, 1e3), (0.1, 0.9), (1, 1e3), (0.1, 0.9), (0.1, 3))))


def _loss(rng: np.random.Generator) -> list:
    return [_law(rng).loss(_number(rng, 1e5, 1e12), _number(rng, 1e6, 1e14), _number(rng, 0.05, 1))]


def _inverse(rng: np.random.Generator) -> list:
    law, loss = _law(rng), _number(rng, 1, 8)
    way = rng.integers(3)
    if way == 0:
        return [law.params_for(loss, _number(rng, 1e6, 1e14), _number(rng, 0.05, 1))]
    if way == 1:
        return [law.tokens_for(loss, _number(rng, 1e5, 1e12), _number(rng, 0.05, 1))]
    return [*law.compute_optimal(_number(rng, 1e15, 1e27), _number(rng, 0.05, 1))]


def _curve(rng: np.random.Generator) -> list:
    form = [rl.Curve, rl.Logistic][rng.integers(2)]
    curve = form(_number(rng), _number(rng))
    if rng.random() < 0.5:
        return [curve(_number(rng, 1e-6, 1.2))]
    return [1 / (1 + curve.inverse(_number(rng, 0.05, 1)))]  # infinite where ρ is 0


def _fit(rng: np.random.Generator) -> list:
    columns = {
        "n_params": lambda: _number(rng, 1e6, 1e9) if rng.random() < 0.05 else float(rng.choice([1e7, 3e7, 1e8])),
        "n_tokens": lambda: float(rng.choice([1e9, 3e9, 1e10])),
        "loss": lambda: _number(rng, 2, 4) if rng.random() < 0.05 else float(rng.uniform(2, 4)),
        "weights": lambda: str(rng.choice(["dense", "int4", "int2", "2:4", "int9"], p=[0.4, 0.3, 0.2, 0.09, 0.01])),
        "activations": lambda: "dense",
    }
    law = str(rng.choice(["chinchilla", "unified", "decoupled", "kumar", "x"], p=[0.35, 0.25, 0.2, 0.15, 0.05]))
    fit = rl.fit(law, _table(rng, columns, 30), fixed={"E": _number(rng, 0.5, 2)} if rng.random() < 0.3 else None)
    return [list(fit.params.values()), fit.objective]


def _measured(rng: np.random.Generator) -> list:
    formats = ["q4_k", "q8_0", "int4", "nvfp4", "2:4", "dense", "q3_k", "int9"]
    columns = {
        "format": lambda: str(rng.choice(formats)) if rng.random() < 0.97 else _number(rng, 1e-4, 0.1),
        "rise": lambda: float(np.exp(rng.uniform(-7, 0))) if rng.random() < 0.95 else _number(rng),
    }
    fit = rl.fit_sensitivity(_table(rng, columns, 6))
    return [fit.kappa, fit.floor, *fit.predict_interval(["q4_k", "nvfp4"]), fit.predict([_number(rng, 1e-6, 1)])]


def _prior(rng: np.random.Generator) -> list:
    method = str(rng.choice(["rtn", "gptq", "x"], p=[0.6, 0.3, 0.1]))
    active = _number(rng, 1e6, 1e9) if rng.random() < 0.3 else None
    fit = rl.prior_sensitivity(_number(rng, 1e6, 1e12), _number(rng, 1e9, 1e13), method, active)
    return [fit.kappa, fit.floor, *fit.predict_interval([_number(rng, 1e-6, 1)], _number(rng, 0.3, 0.99))]


def _sensitivity(rng: np.random.Generator) -> list:
    known = rl.Sensitivity(_number(rng, 0.1, 100), _number(rng, 1e-6, 1e-2))
    return [
        known.rise(_number(rng, 1e-6, 1)),
        known.measured(_number(rng, 1e-6, 1)),
        known.gmse_for(_number(rng, 1e-3, 1)),
    ]


def _allocate(rng: np.random.Generator) -> list:
    names = iter(f"blk.{i}.ffn_up.weight" if rng.random() < 0.995 else "a" for i in range(99))
    columns = {
        "tensor": lambda: next(names),
        "weights": lambda: float(2 ** rng.integers(10, 24)) if rng.random() < 0.98 else _number(rng, 1, 1e9),
        "kappa": lambda: float(np.exp(rng.uniform(-6, 2))) if rng.random() < 0.98 else _number(rng),
    }
    types = rng.choice(
        ["q2_k", "q4_k", "q6_k", "q8_0", "bf16", "Q4_K", "int9", ""], rng.integers(1, 5), p=[*[0.16] * 6, 0.02, 0.02]
    )
    chosen = rl.allocate(_table(rng, columns), types.tolist(), _number(rng, 1e6, 1e9))
    return [chosen.bytes, chosen.bits, chosen.rise, chosen.bound, *chosen.interval(_number(rng, 0.3, 0.95))]


CALLS = {
    "loss": _loss,
    "inverse": _inverse,
    "curve": _curve,
    "fit": _fit,
    "measured": _measured,
    "prior": _prior,
    "sensitivity": _sensitivity,
    "allocate": _allocate,
}
"""What is called, by a word for it: a function that makes its arguments and gives the numbers that come out."""
