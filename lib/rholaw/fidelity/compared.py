"""Runs of one model beside their reference: what each type costs, in a table that `fit_sensitivity` takes.

compared = compare(logs.read("my.log"))
compared.table, compared.refused
given(["q4_k=0.03", "q3_k_m=0.12"])      the same table without a log
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from ..checked import limited, shortened
from ..formats.named import catalogue
from . import mixtures
from .logs import EXAMPLE, Run, read
from .sensitivity import file_error

COLUMNS = ["format", "gmse", "rise", "stderr", "tokens", "place", "doubt"]


@dataclass(frozen=True)
class Compared:
    """What the runs of one model cost beside their reference.

    table: format (its name), gmse, rise and stderr (nats per token), tokens, place, doubt ("" or what is uncertain).
    metric: "kl", or "ppl" for the logarithm of a ratio of perplexities.  refused: why runs do not count, a line each.
    """

    table: pd.DataFrame
    metric: str
    reference: str
    refused: tuple[str, ...]
    n_params: float | None


def compare(runs: Iterable[Run]) -> Compared:
    """What each type costs, in nats per token: the divergence where every run has it, else by perplexities.

    Runs of 16 bits are the reference of perplexities, or those of q8_0, with a doubt.  Raises ValueError where no run
    is left, for perplexities without a reference, and for runs of several models.
    """
    runs, refused = list(runs), []
    sizes = sorted(run.n_params for run in runs if run.n_params)
    if sizes and sizes[-1] > 1.01 * sizes[0]:
        raise ValueError(f"these are runs of several models, of {sizes[0]:.3g} and {sizes[-1]:.3g} parameters")
    whole = _without(runs, refused, _unfinished)
    text = Counter((run.context, run.chunks) for run in whole if run.tokens).most_common(1)
    whole = _without(whole, refused, lambda run: _elsewhere(run, text[0][0] if text else None))
    packed = [run for run in whole if not run.plain]
    kl = all(run.kl for run in packed)
    base = None if kl else _reference(whole, packed)
    mixed = len({run.importance for run in packed if run.types}) > 1
    rows = []
    for run in packed:
        try:
            low, high = run.error()
            rise, stderr = run.kl if kl else _rise(run, base)
        except ValueError as error:
            refused.append(f"{run.place}: {run.name or 'a type'}: {error}")
            continue
        unsure = math.hypot((high - low) / (high + low), mixtures.SPREAD if run.clever else 0.0)
        stderr = math.hypot(stderr, unsure * rise) if unsure else stderr
        if run is not base:
            cells = {"format": run.name, "gmse": (low + high) / 2, "rise": rise, "stderr": stderr}
            rows.append(
                cells | {"tokens": run.tokens, "place": run.place, "doubt": _doubt(run, low, high, base, mixed)}
            )
    if not rows:
        raise ValueError("\n".join(["no run of a compressed model can be used:", *refused]))
    reference = base.name if base else "the model whose logits were stored"
    return Compared(
        pd.DataFrame(rows, columns=COLUMNS),
        "kl" if kl else "ppl",
        reference,
        tuple(refused),
        sizes[0] if sizes else None,
    )


def given(costs: Iterable[str]) -> pd.DataFrame:
    """The columns format, gmse, rise and stderr of texts like "q4_k=0.03", nats per token; mixes by name as well.

    Raises ValueError for other text, for an unknown format and for a cost that is not above 0.
    """
    rows = []
    for text in costs:
        name, _, value = (part.strip() for part in text.partition("="))
        try:
            rise = limited(float(value), "nats per token", high=100, above=True)
        except ValueError as error:
            raise ValueError(
                f"{shortened(text)}: must be a format, = and the nats per token that it costs: {error}"
            ) from None
        mix = name in mixtures.MIXES and name not in catalogue()
        gmse, unsure = mixtures.worth(name) if mix else (file_error(name), 0.0)
        rows.append([name, gmse, rise, unsure * rise])
    if not rows:
        raise ValueError("no cost is given: q4_k=0.03, for example")
    return pd.DataFrame(rows, columns=COLUMNS[:4])


def costs(log: str, measured: str) -> tuple[pd.DataFrame, Compared | None]:
    """The table of the logs, or of the costs, that are named with commas between; of logs also what `compare` tells.

    Of the example `logs.EXAMPLE` where neither is named.  ValueError as `compare`, `given` and `read` have
    them, and ValueError for both.
    """
    if log and measured:
        raise ValueError("give a log or what was measured, not both")
    if measured:
        return given(measured.split(",")), None
    compared = compare(run for name in log.split(",") for run in read(name.strip() or EXAMPLE))
    return compared.table, compared


def published(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns format, gmse and rise of rows of the atlas that name a mix of `llama-quantize` (`mixtures.MIXES`)."""
    names = [mixtures.named(f"x-{given}") for given in rows.given]
    told = rows.assign(format=names)[pd.Series(names, rows.index).isin(mixtures.MIXES)]
    return told.assign(gmse=[mixtures.worth(name)[0] for name in told["format"]])[["format", "gmse", "rise"]]


def _without(runs: list[Run], refused: list[str], reason: Callable[[Run], str]) -> list[Run]:
    """The runs for which ``reason`` gives none; the others are told in ``refused``."""
    reasons = [(run, reason(run)) for run in runs]
    refused += [f"{run.place}: {run.name or 'a model'}: {why}" for run, why in reasons if why]
    return [run for run, why in reasons if not why]


def _unfinished(run: Run) -> str:
    values = [pair[0] for pair in (run.ppl, run.kl) if pair]
    if not values:
        return "no result: it ends before its final estimate"
    if not all(math.isfinite(value) for value in values) or (run.ppl and run.ppl[0] <= 0):
        return "its perplexity is not a number"
    return "" if run.name else "which model or type it is of, the log does not say: keep it from its first line on"


def _elsewhere(run: Run, text: tuple | None) -> str:
    if not run.tokens or (run.context, run.chunks) == text:
        return ""
    return f"{run.chunks} chunks of {run.context} tokens, where most have {text[1]} of {text[0]}: not the same text"


def _reference(whole: list[Run], packed: list[Run]) -> Run | None:
    """The run whose perplexity the others are compared with; None where all have a ratio of their own."""
    if all(run.ratio for run in packed):
        return None
    candidates = [run for run in whole if run.plain] or [run for run in whole if run.name == "q8_0"]
    for run in candidates:
        if run.ppl:
            return run
    raise ValueError(
        "there are perplexities, and none of the model in f16, bf16 or q8_0 to compare them with: "
        "run that on the same text too, or use --kl-divergence"
    )


def _rise(run: Run, base: Run | None) -> tuple[float, float]:
    """ln of the ratio of perplexities and its standard error, which the differences of single tokens have.

    They vary by √(2 KL), and KL is about the rise itself; the errors that a log prints are of one perplexity, and 5 to
    10 times larger.
    """
    if run.ratio:
        return run.ratio
    rise = math.log(run.ppl[0] / base.ppl[0])
    return rise, math.sqrt(2 * abs(rise) / run.tokens) if run.tokens else math.nan


def _doubt(run: Run, low: float, high: float, base: Run | None, mixed: bool) -> str:
    doubts = ["an importance matrix made this one and not all"] if mixed and run.importance else []
    if base is not None and not base.plain:
        doubts.append("compared with q8_0, which has a loss of its own")
    if run.clever:
        doubts.append(f"a mix, taken to cost {mixtures.SPARED:g} of what its types' shares say")
    if not run.types:
        doubts.append("types and shares as in Llama 3 8B")
    elif high > 1.1 * low:
        doubts.append(f"its error lies between {low:.2g} and {high:.2g}")
    return "; ".join(doubts)
