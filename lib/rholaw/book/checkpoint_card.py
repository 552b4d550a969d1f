"""A checkpoint on one page: how Gaussian it is, what each format does to it, and what to choose, with reasons."""

import math
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from .. import files
from ..checked import limited
from ..checkpoints.summing import doubt, totals
from ..fidelity.population import LIMITS, prior_sensitivity
from ..fidelity.predicted import UNSAFE
from ..fidelity.sensitivity import SensitivityFit, fit_sensitivity
from ..planning import names
from .checkpoint_matrices import DISTURBED, compressed, draw, kurtoses, resisting
from .escaped import code, text
from .figures import plt
from .plain import plain

MOST = 5.0  # nats per token that anybody may want to lose


def bearable(value: float) -> float:
    """``value`` if it is a rise of the loss that somebody may bear; ValueError otherwise."""
    return limited(value, "nats per token", 0.0, MOST, above=True)


def sensitivity(
    survey: pd.DataFrame,
    rises: dict[str, tuple[float, float]] | None = None,
    measured: pd.DataFrame | None = None,
) -> SensitivityFit:
    """What rounding costs the model of a ``survey``: by its own ``rises``, else by ``measured``, else by its size.

    rises: {format: (rise of its loss, standard error)}, nats per token.  measured: as `fit_sensitivity` takes it.  Its
    size says what it would cost a language model.
    """
    formats = totals(survey)
    if rises:
        rows = formats.loc[list(rises), ["error"]].rename(columns={"error": "gmse"})
        rows[["rise", "stderr"]] = list(rises.values())
        return fit_sensitivity(rows[rows.gmse.notna() & (rows.rise.gt(0) | rows.stderr.gt(0))])
    if measured is not None:
        return fit_sensitivity(measured)
    return prior_sensitivity(max(LIMITS[0], float(formats.parameters.max())))  # nan where nothing was surveyed


def choices(
    survey: pd.DataFrame,
    stored: int,
    tolerance: float,
    fit: SensitivityFit,
    rises: dict[str, tuple[float, float]] | None = None,
    why: str = "",
) -> pd.DataFrame:
    """A row per format of a ``survey``: the columns of ``totals``, and what it costs, nats per token.

    stored: bytes of the checkpoint as it is.  rises: as `sensitivity` takes them; here the columns rise and stderr.
    Columns predicted, low and high: what ``fit`` says of its error in these weights, with 80 %.  acceptable: smaller
    than ``stored``, and loses ``tolerance`` at most: by two standard errors where it was measured, else by the upper
    end of the prediction; reason says why not, and doubt why nothing can be recommended, or predicted: ``why`` the
    rises say nothing, or what stands against the survey.
    """
    formats, rises, why = totals(survey), rises or {}, why or doubt(survey)
    known = formats[formats.error.notna() & (why == "")].index
    low, high = fit.rise_interval(formats.error[known])
    costs = pd.DataFrame({"predicted": fit.rise(formats.error[known]), "low": low, "high": high}, known)
    table = formats.join(costs)
    table["rise"], table["stderr"] = ([rises.get(name, (math.nan,) * 2)[i] for name in table.index] for i in (0, 1))
    table["doubt"] = why
    reasons = (_refusal(row, stored, tolerance) for row in table.itertuples())
    reasons = pd.Series(reasons, table.index, dtype=str)
    table["reason"] = "not recommended" if why else reasons
    return table.assign(acceptable=table.reason == "")


def _refusal(row, stored, tolerance):
    """Why a format is not to be had, or ""."""
    if not row.compressed:
        return "was measured on none of the matrices"
    if row.bytes >= stored:
        return f"takes {_few(row.bytes / 1e6)} MB, no less than the {_few(stored / 1e6)} MB as stored"
    if row.rise + 2 * row.stderr > tolerance:
        return f"may cost {row.rise + 2 * row.stderr:.2g} nats per token"
    if math.isnan(row.rise) and row.low > UNSAFE:
        return f"breaks it: more than {UNSAFE:g} nats per token"
    if math.isnan(row.rise) and row.low > tolerance:
        return f"costs {row.low:.2g} to {row.high:.2g} nats per token"
    if math.isnan(row.rise) and not row.high <= tolerance:
        return f"may cost {row.high:.2g} nats per token, or {row.low:.2g}: measure it"
    return ""


def recommendation(choices: pd.DataFrame, stored: int, tolerance: float, fit: SensitivityFit) -> str:
    """A paragraph of Markdown: the smallest acceptable format, or what to measure, or "do not compress", with reasons.

    choices: of the function of that name, by the same ``fit``; stored: bytes; tolerance: nats per token.
    """
    accepted = choices[choices.acceptable]
    refused = "; ".join(f"`{name}` {reason}" for name, reason in choices.reason.items() if reason)
    said = [f"A format may cost {tolerance:g} nats per token."]
    if fit.status == "prior":
        said.append(
            "Nothing of this model was measured: it may lose what other language models of its size lose, with 80 %. "
            "Two formats measured would narrow that."
        )
    elif fit.status != "converged":
        said.append(f"The law does not describe this model well: {fit.status}.")
    if choices.doubt.any():
        said = [f"**No recommendation.** {text(choices.doubt.iloc[0])}."]
    elif len(accepted):
        best = accepted.loc[accepted.bytes.idxmin()]
        said.insert(0, f"**`{best.name}`**, with {best.bytes / stored:.0%} of the bytes and a rise of {_cost(best)}.")
    elif choices.reason.str.endswith("measure it").any():
        unsure = choices[choices.reason.str.endswith("measure it")]
        said.insert(0, f"**Measure `{unsure.bytes.idxmin()}` first.**")
    elif not choices.compressed.any():
        said.insert(0, "**No recommendation.** None of its matrices was measured in any of these.")
    else:
        said.insert(0, "**Do not compress it in any of these without training.**")
    said += [f"Refused: {refused}."] if refused and not choices.doubt.any() else []
    trained = choices[choices.rho.notna() & (choices.doubt == "")]
    if len(trained):
        best = trained.loc[trained.bytes.idxmin()]
        share = f"{best.rho:.0%} [{best.rho_low:.0%}, {best.rho_high:.0%}]"
        said.append(f"A model trained in `{best.name}` would count as one with {share} of the parameters.")
    if choices.quantised.any():
        said.append("These weights were rounded before: errors are against them, not against what was trained.")
    return " ".join(said)


def answer(name: str, choices: pd.DataFrame, tolerance: float) -> str:
    """A sentence of Markdown: the smallest acceptable of ``choices`` for a checkpoint, or why there is none."""
    if why := "".join(choices.doubt.unique()):
        told = f"no format is recommended: {text(why[0].lower() + why[1:])}"
    elif choices.acceptable.any():
        best = choices[choices.acceptable].bytes.idxmin()
        called = names.format(best)
        called = code(best) if called == best else called
        told = f"the smallest format asked for that costs no more than {tolerance:g} nats a token is {called}"
    else:
        told = f"no format asked for is smaller and sure to cost no more than {tolerance:g} nats a token"
    return f"For {code(name)}, {told}."


def _cost(row) -> str:
    """What a format costs, as measured or as predicted."""
    if row.rise == row.rise:
        return f"{row.rise:.3f} ± {row.stderr:.3f}"
    if row.low > UNSAFE:  # where the law ends
        return f"above {UNSAFE:g}"
    return f"{row.predicted:.2g} [{row.low:.2g}, {row.high:.2g}]" if row.predicted == row.predicted else "–"


def card(
    name: str,
    survey: pd.DataFrame,
    choices: pd.DataFrame,
    stored: int,
    tolerance: float,
    fit: SensitivityFit,
    figure: str = "",
) -> str:
    """The page as Markdown, headed by ``name``.

    choices, fit: as `recommendation` takes them; stored: bytes; tolerance: nats per token.
    figure: where the picture of ``draw`` lies, or "" for none.
    """
    parameters, inside = choices[["parameters", "compressed"]].max().fillna(0)
    matrices = compressed(survey).name.nunique()
    codes = "numbers, some of which may be codes of several weights"
    counted = codes if survey.outcome.eq("unread").any() else "parameters"
    lines = [
        f"## {text(name)}",
        f"{_few(parameters / 1e6)} million {counted}, {_few(stored / 1e6)} MB as stored. {matrices} matrices with "
        f"{inside / max(parameters, 1):.0%} of them are compressed below, the rest is in 16 bits.",
        f"**Choice.** {recommendation(choices, stored, tolerance, fit)}",
    ]
    before = compressed(survey[survey.quantised]).drop_duplicates("name").dtype.value_counts()
    said = ", ".join(f"{count} {text(dtype)}" for dtype, count in before.items())
    lines += [f"**Already quantised:** {said}. Their errors are of rounding what was rounded."] if said else []
    if remarks := survey.attrs.get("remarks"):
        lines.append(f"**What else was there.** {text('; '.join(remarks))}.")
    lines += [f"**How Gaussian.** {_kurtosis(survey)}"] if matrices else []
    lines.append("\n".join(_table(choices)))
    if len(worst := resisting(survey, 3)):
        told = zip(worst.name, worst.format, worst.ratio, worst.rotated_ratio, strict=True)
        said = [
            f"{code(tensor)} in {format} {_few(ratio)}, rotated {_few(turned)}"
            for tensor, format, ratio, turned in told
        ]
        lines.append(f"**What resists.** Error over that of Gaussian weights: {'; '.join(said)}.")
    lines += [f"![Kurtosis and errors of the matrices]({quote(figure)})"] if figure else []
    return "\n\n".join([*lines, ABOUT])


ABOUT = """*Error*: Σ (ŵ − w)² / Σ w²; *rotated*: after a Hadamard rotation along the rows; *ratio*: to the error of
Gaussian weights. *ρ*: the share of its parameters that a model trained in the format has in effect, by the law of
Panferov et al. fitted to QuEST's runs, with a 95 % interval; it does not describe rounding after training. *Rise now*:
of the loss, in nats per token, when rounded without training: measured, with its standard error, or predicted by the
law after training, κ · error, with an 80 % interval.
"""


def _table(choices):
    """Lines of a Markdown table."""
    lines = [
        "| format | MB | rise now, nats | verdict | ratio | error | rotated | ρ if trained |",
        "|---|--:|--:|---" + "|--:" * 4 + "|",
    ]
    for row in choices.itertuples():
        rho = f"{row.rho:.2f} [{row.rho_low:.2f}, {row.rho_high:.2f}]" if row.rho == row.rho else "–"
        cells = [f"`{row.Index}`", _few(row.bytes / 1e6), _cost(row), row.reason or "acceptable"]
        cells += [_few(row.ratio), _few(row.error), _few(row.rotated_error), rho]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _kurtosis(survey):
    """A sentence on ``kurtoses``."""
    matrices = kurtoses(survey)
    own, turned = matrices.excess_kurtosis, matrices.rotated_row_kurtosis
    said = f"Excess kurtosis of the matrices {_few(own['min'])} to {_few(own['max'])}, median {_few(own['median'])}"
    if turned.notna().all():
        said += f"; of their rows after a Hadamard rotation {_few(turned['min'])} to {_few(turned['max'])}"
    return said + "."


def _few(value):
    """About three digits, or a dash for what is missing."""
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 1000 else plain(value, 3)


def told(survey: pd.DataFrame, choices: pd.DataFrame) -> str:
    """Markdown on what a ``survey`` found: how many matrices are disturbed, what a rotation does, and its notes."""
    inside = compressed(survey)
    disturbed = inside[inside.ratio >= DISTURBED].name.nunique()
    turned = []
    for name, part in inside[inside.rotated_error.notna()].groupby("format", sort=False):
        share, means = (part.rotated_error < part.error).mean(), choices.loc[name, ["error", "rotated_error"]]
        turned.append(f"{share:.0%} of the matrices in {names.format(name)} (over all: {' → '.join(map(_few, means))})")
    notes = survey[survey.note.ne("")].groupby("note", sort=False)
    lines = [f"- {count} tensor{'s' * (count > 1)}: {text(note)}." for note, count in notes.name.nunique().items()]
    if not len(inside):
        return "None of its matrices was measured.\n\n" + "\n".join(lines)
    return (
        f"Of {inside.name.nunique()} matrices {disturbed or 'none'} has a ratio of {DISTURBED:g} or more in any of the "
        f"formats. A rotation before rounding lowers the error of {', '.join(turned) or 'none: no rotation fits'}.\n\n"
    ) + "\n".join(lines)


def destination(path: str | Path) -> Path:
    """``path`` as a Path. Raises ValueError unless it ends in .md, in a folder that is there."""
    path = Path(path).expanduser()
    if path.suffix != ".md" or not path.parent.is_dir():
        raise ValueError("a card is a file that ends in .md, in a folder that is there")
    return path


def save(
    path: Path,
    name: str,
    survey: pd.DataFrame,
    choices: pd.DataFrame,
    stored: int,
    tolerance: float,
    fit: SensitivityFit,
) -> None:
    """``card`` and ``draw`` as files: the page at ``path``, its picture beside it."""
    picture = draw(survey)
    write(path, card(name, survey, choices, stored, tolerance, fit, path.with_suffix(".svg").name), picture)
    plt.close(picture)


def write(path: Path, text: str, figure: Figure) -> None:
    """The page at ``path`` and its picture beside it, under the same name as SVG; each whole or not at all."""
    with files.replacing(path.with_suffix(".svg")) as draft:
        figure.savefig(draft, format="svg")
    files.write(path, text)
