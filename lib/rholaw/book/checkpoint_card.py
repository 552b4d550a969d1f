"""A checkpoint on one page: how Gaussian it is, what each format does to it, and what to choose, with reasons."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .. import files, tables
from ..checkpoints.surveying import KEPT, totals
from .figures import COLOURS, GREY, plain_log, plt

DISTURBED = 1.2  # the ratio of real to Gaussian error from which on a matrix resists a format


def harmless_error(tolerance: float) -> float:
    """The relative squared error at which noise in its weights cost SmolLM2-135M ``tolerance`` nats per token.

    Between the recorded points both are logarithms; ValueError for a tolerance beyond them.
    """
    noise = tables.read("measured/sensitivity").query("group == 'all'")
    rise = (noise.alpha * noise.error).to_numpy()
    top = rise.argmax() + 1
    if not rise[0] <= tolerance <= rise[top - 1]:
        raise ValueError(f"it must be between {rise[0]:.2g} and {rise[top - 1]:.2g} nats per token")
    return float(np.exp(np.interp(math.log(tolerance), np.log(rise[:top]), np.log(noise.error.to_numpy()[:top]))))


def compressed(survey: pd.DataFrame) -> pd.DataFrame:
    """The rows of a ``survey`` that ``totals`` counts as compressed, with rotated_ratio."""
    inside = survey[survey.error.notna() & ~survey.role.isin(KEPT)]
    return inside.assign(rotated_ratio=inside.rotated_error / inside.gmse)


def kurtoses(survey: pd.DataFrame) -> pd.DataFrame:
    """Least, median and largest excess kurtosis of the compressed matrices, plain and rotated: a DataFrame."""
    columns = ["excess_kurtosis", "row_kurtosis", "rotated_kurtosis", "rotated_row_kurtosis"]
    return compressed(survey).drop_duplicates("name")[columns].agg(["min", "median", "max"])


def resisting(survey: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The matrices whose error is the most times that of Gaussian weights, DISTURBED at least; a DataFrame."""
    inside = compressed(survey).sort_values("ratio", ascending=False)
    columns = ["name", "format", "excess_kurtosis", "peak", "ratio", "rotated_ratio"]
    return inside[inside.ratio >= DISTURBED].head(count)[columns]


def choices(
    survey: pd.DataFrame, stored: int, tolerance: float, rises: dict[str, tuple[float, float]] | None = None
) -> pd.DataFrame:
    """A row per format of a ``survey``: the columns of ``totals``, then rise, stderr, acceptable and reason.

    stored: bytes of the checkpoint as it is.  rises: {format: (rise, standard error)} in nats per token, where the loss
    was measured.  acceptable: smaller than ``stored``, and loses ``tolerance`` at most, by two standard errors; where
    no loss was measured, the mean error is at most ``harmless_error``, by analogy with another model.
    """
    limit, rows = harmless_error(tolerance), {}
    formats = totals(survey)
    for name, row in formats.iterrows():
        rise, stderr = (rises or {}).get(name, (math.nan, math.nan))
        reason = _refusal(row, stored, tolerance, limit, rise + 2 * stderr)
        rows[name] = {"rise": rise, "stderr": stderr, "acceptable": not reason, "reason": reason}
    return formats.join(pd.DataFrame.from_dict(rows, orient="index"))


def _refusal(row, stored, tolerance, limit, highest):
    """Why a format is not to be had, or ""; ``highest`` is the upper end of what it costs, or nan."""
    if not row.compressed:
        return "divides none of the matrices"
    if row.bytes >= stored:
        return f"takes {_few(row.bytes / 1e6)} MB, no less than the {_few(stored / 1e6)} MB as stored"
    if highest > tolerance:
        return f"may cost {highest:.2g} nats per token"
    if math.isnan(highest) and not row.error <= limit:
        return f"errs by {row.error:.3g}, above {limit:.2g}"
    return ""


def recommendation(choices: pd.DataFrame, stored: int, tolerance: float) -> str:
    """A paragraph of Markdown: the smallest acceptable format, or "do not compress", with reasons.

    choices: of the function of that name; stored: bytes; tolerance: nats per token.
    """
    accepted = choices[choices.acceptable]
    refused = "; ".join(f"`{name}` {reason}" for name, reason in choices.reason.items() if reason)
    measured = choices.rise.notna().any()
    said = [f"A format may cost {tolerance:g} nats per token."]
    if not measured:
        said.append(
            f"No loss of this model was measured; independent noise cost SmolLM2-135M as much at an error of "
            f"{harmless_error(tolerance):.2g}, which is taken as the limit here."
        )
    if accepted.empty:
        said.insert(0, "**Do not compress it in any of these without training.**")
    else:
        best = accepted.loc[accepted.bytes.idxmin()]
        cost = f"a rise of {best.rise:.3f} ± {best.stderr:.3f}" if measured else f"an error of {best.error:.2g}"
        said.insert(0, f"**`{best.name}`**, with {best.bytes / stored:.0%} of the bytes and {cost}.")
    said += [f"Refused: {refused}."] if refused else []
    trained = choices[choices.rho.notna()]
    if len(trained):
        best = trained.loc[trained.bytes.idxmin()]
        share = f"{best.rho:.0%} [{best.rho_low:.0%}, {best.rho_high:.0%}]"
        said.append(f"A model trained in `{best.name}` would count as one with {share} of the parameters.")
    if choices.quantised.any():
        said.append("These weights were rounded before: errors are against them, not against what was trained.")
    return " ".join(said)


def card(
    name: str, survey: pd.DataFrame, choices: pd.DataFrame, stored: int, tolerance: float, figure: str = ""
) -> str:
    """The page as Markdown, headed by ``name``.

    choices: of the function of that name; stored: bytes; tolerance: nats per token.
    figure: where the picture of ``draw`` lies, or "" for none.
    """
    parameters, inside = choices.parameters.max(), choices.compressed.max()
    matrices = compressed(survey).name.nunique()
    lines = [
        f"## {name}",
        f"{_few(parameters / 1e6)} million parameters, {_few(stored / 1e6)} MB as stored. {matrices} matrices with "
        f"{inside / max(parameters, 1):.0%} of the parameters are compressed below, the rest is in 16 bits.",
        f"**Choice.** {recommendation(choices, stored, tolerance)}",
    ]
    lines += [f"**How Gaussian.** {_kurtosis(survey)}"] if matrices else []
    lines.append("\n".join(_table(choices)))
    if len(worst := resisting(survey, 3)):
        told = zip(worst.name, worst.format, worst.ratio, worst.rotated_ratio, strict=True)
        said = [
            f"`{tensor}` in {format} {_few(ratio)}, rotated {_few(turned)}" for tensor, format, ratio, turned in told
        ]
        lines.append(f"**What resists.** Error over that of Gaussian weights: {'; '.join(said)}.")
    lines += [f"![Kurtosis and errors of the matrices]({figure})"] if figure else []
    return "\n\n".join([*lines, ABOUT])


ABOUT = """*Error*: Σ (ŵ − w)² / Σ w²; *rotated*: after a Hadamard rotation along the rows; *ratio*: to the error of
Gaussian weights. *ρ*: the share of its parameters that a model trained in the format has in effect, by the law of
Panferov et al. fitted to QuEST's runs, with a 95 % interval; it does not describe rounding after training. *Rise*: of
the loss, in nats per token, when rounded now, with its standard error.
"""


def _table(choices):
    """Lines of a Markdown table."""
    lines = [
        "| format | MB | error | rotated | ratio | ρ if trained | rise now | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in choices.itertuples():
        rho = f"{row.rho:.2f} [{row.rho_low:.2f}, {row.rho_high:.2f}]" if row.rho == row.rho else "–"
        rise = f"{row.rise:.3f} ± {row.stderr:.3f}" if row.rise == row.rise else "–"
        cells = [f"`{row.Index}`", _few(row.bytes / 1e6), _few(row.error), _few(row.rotated_error)]
        cells += [_few(row.ratio), rho, rise, row.reason or "acceptable"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _kurtosis(survey):
    """A sentence on ``kurtoses``."""
    matrices = kurtoses(survey)
    plain, turned = matrices.excess_kurtosis, matrices.rotated_row_kurtosis
    said = (
        f"Excess kurtosis of the matrices {_few(plain['min'])} to {_few(plain['max'])}, median {_few(plain['median'])}"
    )
    if turned.notna().all():
        said += f"; of their rows after a Hadamard rotation {_few(turned['min'])} to {_few(turned['max'])}"
    return said + "."


def _few(value):
    """About three digits, or a dash for what is missing."""
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def told(survey: pd.DataFrame, choices: pd.DataFrame) -> str:
    """Markdown on what a ``survey`` found: how many matrices are disturbed, what a rotation does, and its notes."""
    inside = compressed(survey)
    disturbed = inside[inside.ratio >= DISTURBED].name.nunique()
    turned = []
    for name, part in inside[inside.rotated_error.notna()].groupby("format", sort=False):
        share, means = (part.rotated_error < part.error).mean(), choices.loc[name, ["error", "rotated_error"]]
        turned.append(f"{share:.0%} of the matrices in `{name}` (all: {means.iloc[0]:.3g} → {means.iloc[1]:.3g})")
    notes = survey[survey.note.ne("") & ~survey.note.str.startswith("no rho")].groupby("note", sort=False)
    lines = [f"- {count} tensor{'s' * (count > 1)}: {note}." for note, count in notes.name.nunique().items()]
    return (
        f"Disturbed by a ratio of {DISTURBED:g} or more: {disturbed} of {inside.name.nunique()} matrices. "
        f"A rotation lowers the error of {', '.join(turned) or 'none: no rotation fits'}.\n\n"
    ) + "\n".join(lines)


def draw(survey: pd.DataFrame) -> Figure:
    """A Figure: the kurtosis of each matrix and, by format, its error over the Gaussian one; plain and rotated."""
    inside = compressed(survey)
    matrices, formats = inside.drop_duplicates("name"), list(dict.fromkeys(inside.format))
    height = 1.2 + 0.35 * len(formats)
    figure, (upper, lower) = plt.subplots(2, figsize=(5.6, 3 + height), height_ratios=(3, height))
    looks = {"plain": {"marker": "o", "color": COLOURS[0]}, "rotated": {"marker": "x", "color": COLOURS[1]}}
    for (label, look), kurtosis, ratio, shift in zip(
        looks.items(), ("excess_kurtosis", "rotated_kurtosis"), ("ratio", "rotated_ratio"), (-0.15, 0.15), strict=True
    ):
        upper.plot(np.sort(matrices[kurtosis].dropna()), linestyle="none", markersize=4, label=label, **look)
        places = inside.format.map(formats.index) + shift
        lower.plot(inside[ratio], places, linestyle="none", markersize=4, **look)
    upper.set(yscale="symlog", xlabel="matrices, in order", ylabel="excess kurtosis")
    upper.legend()
    lower.axvline(1, color=GREY, linewidth=1)
    lower.set(xscale="log", xlabel="error / Gaussian error", yticks=range(len(formats)), yticklabels=formats)
    lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    plain_log(lower.xaxis)
    return figure


def destination(path: str | Path) -> Path:
    """``path`` as a Path. Raises ValueError unless it ends in .md, in a folder that is there."""
    path = Path(path).expanduser()
    if path.suffix != ".md" or not path.parent.is_dir():
        raise ValueError("a card is a file that ends in .md, in a folder that is there")
    return path


def save(path: Path, name: str, survey: pd.DataFrame, choices: pd.DataFrame, stored: int, tolerance: float) -> None:
    """``card`` and ``draw`` as files: the page at ``path``, its picture beside it."""
    picture = draw(survey)
    write(path, card(name, survey, choices, stored, tolerance, path.with_suffix(".svg").name), picture)
    plt.close(picture)


def write(path: Path, text: str, figure: Figure) -> None:
    """The page at ``path`` and its picture beside it, under the same name as SVG; each whole or not at all."""
    with files.replacing(path.with_suffix(".svg")) as draft:
        figure.savefig(draft, format="svg")
    files.write(path, text)
