"""`rholaw fit`."""

from pathlib import Path

from ..checked import listed, shortened, shown
from ..command_line import Parser, add_output, show


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

    table = pd.read_csv(chosen.runs) if Path(chosen.runs).suffix == ".csv" else runs.load(chosen.runs)
    runs.check(table)
    if chosen.where:
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


def _subset(table, condition):
    try:
        return table.query(condition)
    except Exception as error:  # pandas hands on whatever its parser and its evaluation raise
        why = shortened(str(error), 150)
        raise ValueError(
            f"--where {shown(condition)} cannot be asked of the columns {listed(table, 200)}: {why}"
        ) from None
