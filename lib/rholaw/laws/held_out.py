"""How well a law predicts runs that it did not see: a format, a size, or all larger models left out."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .. import runs as run_tables
from . import registry
from .fitted import summary
from .fitting import fit

COLUMNS = ["fold", "train", "test", "log_rmse", "low", "high", "bias", "worst", "status", "reason"]


def counted(runs: pd.DataFrame, count: int) -> pd.DataFrame:
    """``runs``, if they are ``count`` rows: a selection that changes unnoticed changes every number after it."""
    if len(runs) != count:
        raise ValueError(f"the selection has {len(runs)} runs, {count} were expected")
    return runs


def split(runs: pd.DataFrame, max_params: float, least: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of at most ``max_params`` parameters, ``least`` of them, and the larger ones; ValueError for none."""
    small = runs["n_params"] <= max_params
    if small.sum() < least or small.all():
        sizes = f"{runs['n_params'].min():.3g} to {runs['n_params'].max():.3g}"
        raise ValueError(f"it must leave {least} runs to fit and some larger ones to predict; runs have {sizes}")
    return runs[small], runs[~small]


def leave_one_format_out(law: str, runs: pd.DataFrame, **settings: Any) -> pd.DataFrame:
    """``cross_validate``, a fold for each pair of formats; dense runs always stay, since a ρ is relative to them."""
    run_tables.check(runs)
    pairs = runs["weights"] + "|" + runs["activations"]
    return cross_validate(
        law, runs, {pair: pairs == pair for pair in pairs.unique() if pair != "dense|dense"}, **settings
    )


def leave_one_size_out(law: str, runs: pd.DataFrame, **settings: Any) -> pd.DataFrame:
    """``cross_validate``, a fold for each n_params."""
    run_tables.check(runs)
    sizes = runs["n_params"]
    return cross_validate(law, runs, {f"{size:.4g}": sizes == size for size in np.unique(sizes)}, **settings)


def small_to_large(law: str, runs: pd.DataFrame, max_params: float, **settings: Any) -> pd.DataFrame:
    """``cross_validate`` with one fold: the runs of more than ``max_params`` parameters, predicted from the others."""
    run_tables.check(runs)
    return cross_validate(law, runs, {f"> {max_params:.4g}": runs["n_params"] > max_params}, **settings)


def cross_validate(law: str, runs: pd.DataFrame, folds: Mapping[str, ArrayLike], **settings: Any) -> pd.DataFrame:
    """A row for each fold, fitted to the runs outside it, and a last row "all" over every run that was predicted.

    folds: {name: boolean array, True for the runs left out}.  settings: of ``fit``; with n_bootstrap, low and high are
    the 95 % range of log_rmse over refits to resamples of the training runs, else nan.  log_rmse, bias and worst: root
    mean square, mean, and largest magnitude of log predicted − log observed.  A fold that the law cannot predict has
    no numbers, and its ``reason``.  Compare laws only over folds that all of them predict.
    """
    run_tables.check(runs)
    registry.find(law)
    rows, errors, spreads, reasons = [], [], [], []
    for name, left_out in folds.items():
        left_out = np.asarray(left_out, dtype=bool)
        if not 0 < left_out.sum() < len(runs):
            raise ValueError(f"fold {name!r} leaves out {left_out.sum()} of {len(runs)} runs: it needs some, not all")
        row = {"fold": name, "train": int((~left_out).sum()), "test": int(left_out.sum())}
        try:
            fitted = fit(law, runs[~left_out], **settings)
            error, spread = fitted.log_errors(runs[left_out])
        except ValueError as refusal:
            reasons.append(name)
            rows.append(row | {"reason": str(refusal)})
            continue
        errors.append(error)
        spreads.append(spread)
        rows.append(row | summary(error, spread) | {"status": fitted.status, "reason": ""})
    total = {"fold": "all", "test": sum(map(len, errors))}
    total["reason"] = f"without {', '.join(reasons)}" if reasons else ""
    if errors:
        total |= summary(np.concatenate(errors), np.concatenate(spreads, axis=1))
    table = pd.DataFrame([*rows, total], columns=COLUMNS)
    return table.astype({"train": "Int64", "status": object}).fillna({"status": ""})


def random_folds(runs: pd.DataFrame, whole: str | None = None, count: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Folds for ``cross_validate``: each run, or all with one value of the column ``whole``, in one of ``count``."""
    values = np.arange(len(runs)) if whole is None else runs[whole].to_numpy()
    units, unit_of = np.unique(values, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(np.arange(len(units)) % count)[unit_of]
    return {str(number): fold == number for number in range(count)}


def covered(law: str, runs: pd.DataFrame, folds: Mapping[str, ArrayLike], **settings: Any) -> pd.DataFrame:
    """A row for each run that a fit to the runs outside its fold predicts: whether its loss is in the 95 % interval.

    Columns: noise, with the noise of a run in the interval, and mean, without.  settings: of ``fit``, with n_bootstrap.
    A fold that the law cannot predict has no rows.
    """
    parts = [pd.DataFrame({"noise": [], "mean": []}, dtype=bool)]
    for left_out in folds.values():
        unseen = runs[left_out]
        try:
            fitted = fit(law, runs[~np.asarray(left_out)], **settings)
            intervals = {"noise": fitted.predict_interval(unseen), "mean": fitted.predict_interval(unseen, noise=False)}
        except ValueError:
            continue
        parts.append(pd.DataFrame({name: unseen["loss"].between(*ends) for name, ends in intervals.items()}))
    return pd.concat(parts)


def compare(laws: Iterable[str], runs: pd.DataFrame, max_params: float, **settings: Any) -> pd.DataFrame:
    """A row for each law: in sample, from small models to those above ``max_params``, and with each format left out.

    Columns: free (parameters), aic, seen (log rmse), then for ``size`` and ``format`` the log rmse of unseen runs, its
    low and high, and the number of runs predicted; ``reason`` says what a law cannot do.
    """
    rows = []
    for law in laws:
        row = {"law": law}
        try:
            fitted = fit(law, runs, **settings)
        except ValueError as refusal:
            rows.append(row | {"reason": str(refusal)})
            continue
        row |= {"free": len(fitted.standard_errors), "aic": fitted.aic, "seen": fitted.rmse, "status": fitted.status}
        tests = {
            "size": small_to_large(law, runs, max_params, **settings),
            "format": leave_one_format_out(law, runs, **settings),
        }
        for name, table in tests.items():
            last = table.iloc[-1]
            row |= {name: last.log_rmse, f"{name}_low": last.low, f"{name}_high": last.high, f"{name}_runs": last.test}
        reasons = [reason for table in tests.values() for reason in table.reason[:-1] if reason]
        rows.append(row | {"reason": reasons[0] if reasons else ""})
    return pd.DataFrame(rows).set_index("law")
