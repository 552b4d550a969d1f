"""`rholaw fit`."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..checked import listed, shortened, shown
from ..command_line import Parser, add_output, show

if TYPE_CHECKING:
    import pandas as pd


def fit(arguments: list[str], prog: str) -> None:
    """A law fitted to a series of runs, or to a CSV of one's own."""
    examples = f"""\
  {prog} quest2025 --law decoupled --where "rotated or weights == 'dense'"
  {prog} mine.csv --law chinchilla --bootstrap 200 --json"""
    description = "Fits a scaling law to training runs: its parameters, and whether the runs identify them."
    parser = Parser(prog, description, examples)
    parser.add_argument("runs", help="a series, a store of runs, or a CSV with n_params, n_tokens, loss, …")
    parser.add_argument("--law", default="unified", help="chinchilla, unified, decoupled, kumar, frantar, …")
    parser.add_argument("--where", help="keep the runs for which this holds, in the columns' names")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="resamples for intervals (default: none)")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    import pandas as pd

    from .. import runs
    from ..laws.fitting import fit as fitted

    table = _read(chosen.runs) if Path(chosen.runs).suffix == ".csv" else runs.load(chosen.runs)
    runs.check(table)
    if chosen.where is not None:
        table = _subset(table, chosen.where)
    result = fitted(chosen.law, table, n_bootstrap=chosen.bootstrap, progress=True)
    rows = [
        {"parameter": name, "value": value, "low": low, "high": high, "identified": result.identified[name]}
        for name, value in result.params.items()
        for low, high in [result.intervals.get(name, (None, None))]
    ]
    show(pd.DataFrame(rows), chosen)
    if not (chosen.csv or chosen.json):
        print(f"{chosen.law} on {len(table)} runs: {result.status}; relative error of the loss {result.rmse:.2%}")
        if not chosen.bootstrap:
            print("what is identified is told by the curvature alone; --bootstrap 200 tells it better, with intervals")


def _read(path: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        with open(path, errors="replace") as file:
            separator = max(",;\t", key=file.readline().count)
        return pd.read_csv(path, sep=separator)
    except ValueError as error:  # also pandas' own, which do not say of which file they speak
        raise ValueError(f"{path} is no table of runs: {error}") from None


def _subset(table: "pd.DataFrame", condition: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        kept = table.eval(condition)
    except Exception as error:  # pandas hands on whatever its parser and its evaluation raise
        why = shortened(str(error), 150)
        raise ValueError(
            f"--where {shown(condition)} cannot be asked of the columns {listed(table, 200)}: {why}"
        ) from None
    if not (isinstance(kept, pd.Series) and kept.dtype == bool):
        raise ValueError(f"--where {shown(condition)} says neither yes nor no of a run, as loss < 3 does")
    return table[kept]
