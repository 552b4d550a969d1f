"""Runs of others against laws that never saw them: extra losses, intervals, comparisons within a model, verdicts.

runs = read("mine.csv")                      a checked table, losses in nats per token
table = predicted(runs, load("frozen2026"))  a row a law and run
verdicts(runs, table)                        a row a law
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import bdtr

from .. import runs as run_tables
from .. import tables
from ..checked import closest, limited, listed, shortened, shown, unknown
from ..formats.grammar import parse
from .frozen import FrozenLaw

NEEDED = ("n_params", "n_tokens", "weights", "activations", "loss")
LOSSES = ("loss", "dense_loss", "loss_stderr", "dense_loss_stderr")  # all in the unit of the loss
SAME = ("series", "model", "architecture", "corpus", "n_params", "n_tokens", "seed")  # where there: one model
UNCOMPRESSED = ("", "none", "bf16", "fp16", "fp32", "bfloat16", "float16", "float32", "baseline")
UNITS = ("nats", "bits", "bits-per-byte")  # of a loss: per token, but the last
LEAST, MOST = 1.5, 12.0  # nats per token: less is no loss of a text in tokens, more that of no trained model
FEWEST = 1_000  # parameters and tokens; what is less was counted in millions or billions
ROWS = 5_000  # each is compared with all others of its model
RIGHT = 0.9  # share of comparisons within a model that a law should get right
COLUMNS = (*("law", "row", "n_params", "n_tokens", "weights", "activations"),
           *("extra", "predicted", "low", "high", "inside", "reason"))  # fmt: skip


def read(path: str | Path, unit: str | None = None, bytes_per_token: float | None = None) -> pd.DataFrame:
    """The runs of a CSV with NEEDED and, where there are any, the rest of LOSSES and SAME; losses in nats per token.

    n_params: without embeddings.  unit: of UNITS; None is nats, and then losses that can hardly be nats are refused.
    Raises ValueError, with the line, for what is no such table.
    """
    lines, wrong = tables.records(Path(path).read_bytes())
    header, *rows = lines or [[]]
    if wrong or len(rows) > ROWS:
        raise ValueError(
            f"{path}: {'; '.join(wrong) or f'{len(rows)} runs; at most {ROWS} are compared, so take some models'}"
        )
    if missing := [name for name in NEEDED if name not in header]:
        meant = [f"{shown(near)} for {name}" for name in missing if (near := closest(name, header))]
        hint = f"; did you mean {', '.join(meant)}?" if meant else f"; it has {listed(header, 120) or 'none'}"
        if "loss" in missing and {"bpb", "bits_per_byte"} & {*header}:
            hint = "; bits per byte are a loss too: name them loss, and give --unit bits-per-byte"
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}{hint}")
    if len({*header}) < len(header):
        raise ValueError(f"{path}: the column {shown(max(header, key=header.count))} is there more than once")
    if ragged := [number for number, row in enumerate(rows, 2) if len(row) != len(header)]:
        raise ValueError(f"{path}, line {ragged[0]}: it does not have {len(header)} cells")
    frame = pd.DataFrame(rows, columns=header, dtype=str).map(str.strip)
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    if frame.empty:
        raise ValueError(f"{path} has columns but no run")
    for name in ("weights", "activations"):
        frame[name] = frame[name].str.lower()
        for cell, line in frame.reset_index().groupby(name, sort=False)["index"].min().items():
            try:
                parse(cell)
            except ValueError as error:
                hint = "write dense for what is not compressed; " if cell in UNCOMPRESSED else ""
                raise ValueError(f"{path}, line {line}, {name}: {hint}{error}") from None
    for name in ({"n_params", "n_tokens"} | set(LOSSES)) & {*header}:
        needed = name in NEEDED
        frame[name] = [_number(f"{path}, line {line}, {name}", cell, needed) for line, cell in frame[name].items()]
    for name in ("n_params", "n_tokens"):
        if (few := frame[name] < FEWEST).any():
            line = few.idxmax()
            hint = "write millions and billions out, 0.75 billion as 750000000 or 7.5e8"
            raise ValueError(f"{path}, line {line}, {name}: {frame[name][line]:g} is hardly a count; {hint}")
    factor = _nats(str(path), frame["loss"], unit, bytes_per_token)
    for name in set(LOSSES) & {*header}:
        frame[name] *= factor
    if (twice := frame.duplicated([name for name in header if name not in LOSSES])).any():
        raise ValueError(
            f"{path}, line {twice.idxmax()}: this run is there twice; a column such as seed tells two of a kind apart"
        )
    return frame


def with_dense(runs: pd.DataFrame) -> pd.DataFrame:
    """The compressed runs, with ``dense_loss`` where the table has it or a dense run of the same model (its mean)."""
    run_tables.check(runs)
    dense = (runs["weights"] == "dense") & (runs["activations"] == "dense")
    same = [name for name in SAME if name in runs]
    twins = runs[dense].groupby(same)["loss"].mean()
    there = pd.Series(twins.reindex(pd.MultiIndex.from_frame(runs[same])).to_numpy(), runs.index)
    given = runs["dense_loss"].fillna(there) if "dense_loss" in runs else there
    return runs.assign(dense_loss=given)[~dense]


def predicted(runs: pd.DataFrame, laws: dict[str, FrozenLaw], level: float = 0.95) -> pd.DataFrame:
    """COLUMNS, a row a law and compressed run; row: its index in ``runs``.

    extra: the loss above that of the dense run, nats per token, nan where none is known; predicted, low and high: what
    the law says of it; inside: whether the interval holds it.  reason: why a law says nothing.
    """
    runs = with_dense(runs)
    extra = runs["loss"] - runs["dense_loss"]
    errors = [runs[name].fillna(0.0) for name in ("loss_stderr", "dense_loss_stderr") if name in runs]
    variance = sum((error**2 for error in errors), pd.Series(0.0, runs.index))
    rows = []
    for name, law in laws.items():
        for _, part in runs.groupby(["weights", "activations"], sort=False):
            row = part[["n_params", "n_tokens", "weights", "activations"]].assign(law=name, row=part.index, reason="")
            try:
                middle, low, high = law.extra_interval(part, level, variance[part.index].to_numpy())
                rows.append(row.assign(predicted=middle, low=low, high=high))
            except ValueError as error:
                rows.append(row.assign(predicted=np.nan, low=np.nan, high=np.nan, reason=shortened(str(error), 200)))
    if not rows:
        raise ValueError("all of these runs are dense: there is no format to predict")
    table = pd.concat(rows).sort_values(["law", "row"], key=lambda column: column.map(_place(laws, column)))
    table["extra"] = extra.reindex(table["row"]).to_numpy()
    known = table["extra"].notna() & table["predicted"].notna()
    table["inside"] = table["extra"].between(table["low"], table["high"]).astype("boolean").where(known)
    return table[[*COLUMNS]].reset_index(drop=True)


def compared(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Of `predicted`: a row a law and pair of runs of one model in two formats: first, second, observed and predicted.

    Both are the loss of the first less that of the second, in nats per token; ``right``: whether the signs agree.
    """
    same = [name for name in SAME if name in runs]
    group, rows = runs.groupby(same, sort=False, dropna=False).ngroup(), []
    pair = runs["weights"] + "|" + runs["activations"]
    said = table[table["predicted"].notna()]
    for (law, _), part in said.groupby(["law", group.reindex(said["row"]).to_numpy()], sort=False):
        one, two = np.triu_indices(len(part), 1)
        first, second, says = part["row"].to_numpy()[one], part["row"].to_numpy()[two], part["predicted"].to_numpy()
        differs = (pair[first].to_numpy() != pair[second].to_numpy()) & (np.abs(says[one] - says[two]) > 1e-9)
        columns = {"first": first, "second": second, "predicted": says[one] - says[two]}
        columns["observed"] = runs["loss"][first].to_numpy() - runs["loss"][second].to_numpy()
        rows.append(pd.DataFrame(columns)[differs].assign(law=law))
    table = pd.concat(rows) if rows else pd.DataFrame(columns=["first", "second", "predicted", "observed", "law"])
    return table.assign(right=np.sign(table["predicted"]) == np.sign(table["observed"])).reset_index(drop=True)


def verdicts(runs: pd.DataFrame, table: pd.DataFrame, laws: dict[str, FrozenLaw], level: float = 0.95) -> pd.DataFrame:
    """Of `predicted`: a row a law, with how much it predicts, how well, and a verdict.

    predicted: runs that it says something of; of them with a known ``extra``, coverage: the share inside the interval;
    factor: median of observed over predicted; off: the median of that, either way up.  pairs and right: comparisons
    within a model, and the share with the right sign; clear and clear_right: those that differ by more than twice the
    law's noise.
    """
    pairs, rows = compared(runs, table), []
    for name, law in laws.items():
        own, its = table[(table["law"] == name) & table["predicted"].notna()], pairs[pairs["law"] == name]
        known = own[own["extra"].notna()]
        clear = its[its["observed"].abs() > 2 * law.noise]
        positive = known[(known["extra"] > 0) & (known["predicted"] > 0)]
        logs = np.log(positive["extra"] / positive["predicted"])
        inside = int(known["inside"].sum())
        row = {"law": name, "predicted": len(own), "extra": len(known), "coverage": inside / max(len(known), 1)}
        row |= {"factor": np.exp(logs.median()), "off": np.exp(logs.abs().median())}
        row |= {"pairs": len(its), "right": its["right"].mean()}
        row |= {"clear": len(clear), "clear_right": clear["right"].mean()}
        rows.append(row | {"verdict": _verdict(len(own), inside, len(known), row["right"], level)})
    result = pd.DataFrame(rows)
    return result.assign(coverage=result["coverage"].where(result["extra"] > 0))


def _verdict(count: int, inside: int, known: int, right: float, level: float) -> str:
    """Sizes hold where so few inside the interval would come about in 5 % of cases were its level true."""
    if not count:
        return "says nothing of these formats"
    order = "" if np.isnan(right) else "order holds" if right >= RIGHT else "order fails"
    sizes = "" if not known else "sizes hold" if bdtr(inside, known, level) >= 0.05 else "sizes fail"
    return ", ".join(part for part in (sizes, order) if part) or "nothing to compare with"


def _number(where: str, cell: str, needed: bool) -> float:
    """A positive number; nan for an empty cell that need not be filled."""
    if not cell and not needed:
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{where}: {shown(cell)} is no number; write it as 124000000 or 1.24e8") from None
    try:
        return float(limited(value, where.rpartition(" ")[2], above=not where.endswith("stderr")))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _nats(path: str, loss: pd.Series, unit: str | None, bytes_per_token: float | None) -> float:
    """By what a loss in its unit is multiplied to be nats per token. ValueError where that is not known."""
    if unit not in (None, *UNITS):
        raise ValueError(unknown(unit, UNITS, "unit"))
    if unit == "bits-per-byte":
        if bytes_per_token is None:
            raise ValueError("bits per byte become nats per token by the bytes of a token: give --bytes-per-token")
        return float(np.log(2) * limited(bytes_per_token, "bytes a token", 0.5, 100.0))
    if bytes_per_token is not None:
        raise ValueError("--bytes-per-token serves losses in bits per byte: give --unit bits-per-byte with it")
    if unit is None and loss.min() < LEAST:
        raise ValueError(
            f"{path}, line {loss.idxmin()}: a loss of {loss.min():.4g} is hardly nats per token; say what it is by "
            "--unit bits-per-byte, --unit bits (per token), or --unit nats if it is that"
        )
    if unit is None and loss.max() > MOST:
        raise ValueError(
            f"{path}, line {loss.idxmax()}: a loss of {loss.max():.4g} is hardly nats per token; of a perplexity take "
            "the natural logarithm, or say --unit nats if it is that"
        )
    return float(np.log(2)) if unit == "bits" else 1.0


def _place(laws: dict[str, FrozenLaw], column: pd.Series) -> dict:
    """{value: its place in the order of ``laws``, or of the runs}."""
    values = laws if column.name == "law" else sorted({*column})
    return {value: place for place, value in enumerate(values)}
