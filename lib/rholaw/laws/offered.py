"""Tables of runs as others offer them: read where their meaning is plain, refused with what would be right elsewhere.

runs = read("mine.csv")                      losses in nats per token, formats as this library names them
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from .. import tables
from ..checked import POWERS, closest, limited, listed, shown, unknown
from ..formats.grammar import parse
from .law import Law

NEEDED = ("n_params", "n_tokens", "weights", "activations", "loss")
COUNTS, FORMATS = NEEDED[:2], NEEDED[2:4]
LOSSES = ("loss", "dense_loss", "loss_stderr", "dense_loss_stderr")  # all in the unit of the loss
UNITS = ("nats", "bits", "bits-per-byte")  # of a loss: per token, but the last
LEAST, MOST = 1.5, 12.0  # nats per token: less is no loss of a text in tokens, more that of no trained model
LOW, HIGH = 0.5, 1.15  # of what is typical: less, or more in the median, and losses or counts are in another unit
LARGE, SMALL = 1e7, 1e5  # parameters: from here on losses are near the typical; less, and none came below TINY
TINY = 2.5  # nats per token
LONG = 1e4  # tokens per parameter, beyond which a low loss says that N was counted in thousands
FEWEST, GREATEST = 1e3, 1e16  # parameters and tokens; what is less was counted in millions or billions
SHORTEST, LONGEST = 0.1, 1e6  # tokens per parameter: beyond, one of the two was counted otherwise
SURE = 0.1  # of a loss: a larger standard error is that of single tokens, or in another unit
TYPICAL = Law(A=406.4, alpha=0.34, B=410.7, beta=0.28, E=1.69)  # Hoffmann et al. 2022, approach 3
ROWS = 100_000
FINISHED = {"", "complete", "completed", "converged", "done", "finished", "ok", "success"}
DENSE = {"none", "16", "32", "16.0", "32.0", "16bit", "32bit", "a16", "w16"}
DENSE |= {"bf16", "fp16", "fp32", "bfloat16", "float16", "float32"}
OTHERS = {
    "n_params": {"n", "params", "parameters", "size"},
    "n_tokens": {"d", "tokens"},
    "weights": {"w", "format", "wbits"},
    "activations": {"a", "abits"},
    "loss": {"val_loss", "eval_loss", "nats"},
}
"""What others call a column; it is not taken for ours, which says more: N without embeddings, a loss in nats."""
SPELLINGS = {
    r"": "write dense for what is not compressed",
    r"(awq|gptq|hqq|lsq|ptq|qat|quest|quip|rtn|spinquant).*": "it is a method: write the format that it rounds to, "
    "such as sint4/g128",
    r"w\d.*a\d.*": "it says both: write the format of the weights under weights, that of the activations, or dense "
    "for 16 bits, under activations",
    r"(bitnet)?w?b?1\.58.*": "write ternary, or bitnet_b158 for weights that are scaled by their mean magnitude",
    r"\d+(\.\d+)?%.*|0?\.\d+": "of what is pruned write the share, as s0.5 for 50%",
    r"[wa]?[2-8](\.0)?(bits?)?": "say how the bits are used: int4 has no zero level, sint4 has one, e2m1 is a float; "
    "/g128 is a scale for 128 weights",
    r"i?q\dk[sml]": "it gives its tensors several types: write that of most weights, such as q4_k",
    r"fp4.*": "write e2m1 with one scale a tensor, mxfp4 or nvfp4 with scales of blocks",
    r"fp8.*": "write fp8_row or fp8_tensor by its scales, or mxfp8_e4m3",
}
"""{what a format is called, without spaces and hyphens: what to write}."""
OTHER_N = {
    r"(n_?)?(params_?|parameters_?)?(active|activated)(_?params|_?parameters)?": "the frozen laws were fitted to "
    "dense decoders, and say nothing of mixtures of experts",
    r".*(non|no|without)_?emb.*": "n_params is to be N without embeddings: put that there, and leave this column out",
}
"""{a column that counts parameters otherwise than n_params: what follows where the two differ}."""


def read(path: str | Path, unit: str | None = None, bytes_per_token: float | None = None) -> pd.DataFrame:
    """The runs of a CSV with NEEDED and, where there are any, the rest of LOSSES and others; losses in nats per token.

    Commas, semicolons or tabs between the cells; the index is the line.  n_params: without embeddings.  unit: of UNITS;
    None is nats, and then losses that can hardly be nats are refused.  Raises ValueError, with the line, for what is no
    such table.
    """
    frame = _table(path)
    _ended(path, frame)
    for name in [name for name in (*COUNTS, *LOSSES) if name in frame]:
        frame[name] = [_number(f"{path}, line {line}, {name}", cell) for line, cell in frame[name].items()]
    _counted(path, frame)
    for name in FORMATS:
        formats = {cell: _format(cell) for cell in frame[name].unique()}
        for line, cell in frame[name].drop_duplicates().items():
            try:
                parse(formats[cell])
            except ValueError as error:
                raise ValueError(f"{path}, line {line}, {name}: {_spelling(cell) or error}") from None
        frame[name] = frame[name].map(formats)
    factor = _nats(path, frame, unit, bytes_per_token)
    for name in {*LOSSES} & {*frame}:
        frame[name] *= factor
    if (twice := frame.duplicated([name for name in frame if name not in LOSSES])).any():
        raise ValueError(
            f"{path}, line {twice.idxmax()}: this run is there twice; a column such as seed tells two of a kind apart"
        )
    return frame


def doubts(runs: pd.DataFrame, unit: str | None = None) -> list[str]:
    """What numbers in the runs of `read` may mean otherwise, a sentence each; they are taken, since none is sure.

    Of the series of `rholaw.runs` only images raise one, whose loss is none of tokens.  unit: as `read` was told.
    """
    of_typical, ratio = runs["loss"] / _typical(runs), runs["n_tokens"] / runs["n_params"]
    of_models = of_typical.groupby([runs[name] for name in COUNTS]).min().median()
    told = []
    if unit is None and of_models > HIGH:
        told.append(
            f"the losses are {of_models:.2f} times what dense models of these sizes usually reach in nats per token: "
            "if they are bits per token, give --unit bits"
        )
    if (odd := (ratio > LONG) & (of_typical < LOW)).any():
        told.append(_counts_of(runs, odd, "was n_params counted in thousands?"))
    if (odd := (runs["n_params"] < SMALL) & (runs["loss"] < TINY)).any():
        told.append(_counts_of(runs, odd, "was n_params counted in millions?"))
    if (odd := ratio < 1).any():
        told.append(_counts_of(runs, odd, "n_tokens are all tokens of the training, written out"))
    return told


def _counts_of(runs: pd.DataFrame, odd: pd.Series, hint: str) -> str:
    """The first of the odd runs, and what may have been meant."""
    row = runs.loc[odd.idxmax()]
    return (
        f"line {odd.idxmax()}: {row['n_params']:.3g} parameters that saw {row['n_tokens']:.3g} tokens reach "
        f"{row['loss']:.3g} nats per token; {hint}"
    )


def _ended(path: str | Path, frame: pd.DataFrame) -> None:
    """ValueError for a run whose column ``status`` says that it came to no end."""
    for line, status in frame["status"].items() if "status" in frame else ():
        if status.lower() not in FINISHED:
            raise ValueError(f"{path}, line {line}: its status is {shown(status)}; leave out runs that did not finish")


def _counted(path: str | Path, frame: pd.DataFrame) -> None:
    """ValueError where sizes and tokens do not go together, or another column says that N is counted otherwise."""
    ratio = frame["n_tokens"] / frame["n_params"]
    if (odd := ~ratio.between(SHORTEST, LONGEST)).any():
        raise ValueError(
            f"{path}, line {odd.idxmax()}: {ratio[odd.idxmax()]:.3g} tokens a parameter are hardly a training; "
            "n_tokens are all tokens seen, n_params the parameters without embeddings, and both are written out"
        )
    for name in frame:
        hint = next((hint for pattern, hint in OTHER_N.items() if re.fullmatch(pattern, name)), None)
        other = pd.to_numeric(frame[name], errors="coerce") if hint else frame["n_params"]
        if (apart := other.notna() & (other != frame["n_params"])).any():
            raise ValueError(f"{path}, line {apart.idxmax()}: {name} is {other[apart.idxmax()]:.4g}; {hint}")


def _table(path: str | Path) -> pd.DataFrame:
    """The cells as text, by line, without empty rows and columns that have no name."""
    raw = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw[:1000]:
        raise ValueError(f"{path} is no plain text, but packed, of Excel or UTF-16: save it as CSV in UTF-8")
    first = raw.splitlines()[0].decode(errors="replace") if raw else ""
    lines, wrong = tables.records(raw, max(",;\t", key=first.count))
    lines = [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(lines, 1) if any(cells)]
    if wrong or len(lines) > ROWS + 1:
        raise ValueError(f"{path}: {'; '.join(wrong) or f'{len(lines) - 1} runs; at most {ROWS} are compared'}")
    header = [name.lower() for name in lines[0][1]] if lines else []
    if missing := [name for name in NEEDED if name not in header]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}{_meant(missing, header)}")
    named = [name for name in header if name]
    if len({*named}) < len(named):
        raise ValueError(f"{path}: the column {shown(max(named, key=named.count))} is there more than once")
    if ragged := [number for number, cells in lines if len(cells) != len(header)]:
        hint = "; a number has a decimal point, and no commas" if first.count(",") == len(header) - 1 else ""
        raise ValueError(f"{path}, line {ragged[0]}: it does not have {len(header)} cells{hint}")
    numbers, rows = zip(*lines, strict=True)
    frame = pd.DataFrame(rows[1:], columns=header, index=numbers[1:], dtype=str)[named]
    if frame.empty:
        raise ValueError(f"{path} has columns but no run")
    return frame


def _meant(missing: list[str], header: list[str]) -> str:
    """Which columns a table may have meant by others, what it has, or what becomes a loss."""
    if "loss" in missing and {"bpb", "bits_per_byte"} & {*header}:
        return "; bits per byte are a loss too: name them loss, and give --unit bits-per-byte"
    if "loss" in missing and {"ppl", "perplexity"} & {*header}:
        return "; a loss is the natural logarithm of a perplexity"
    if missing == ["activations"]:
        return "; where none are compressed, write dense in it"
    near = {name: next((one for one in header if one in OTHERS[name]), closest(name, header)) for name in missing}
    if any(near.values()):
        return f"; did you mean {', '.join(f'{shown(one)} for {name}' for name, one in near.items() if one)}?"
    return f"; it has {listed(header, 120) or 'none'}"


def _bare(cell: str) -> str:
    """A format without what people put between its parts."""
    return re.sub(r"[\s_-]", "", cell.lower())


def _format(cell: str) -> str:
    """A format as the grammar has it; dense for what people call 16 and 32 bits."""
    return "dense" if _bare(cell) in DENSE else cell.lower()


def _spelling(cell: str) -> str | None:
    """What to write for a format that people write so; None for one that only the grammar can judge."""
    bare = _bare(cell)
    hint = next((hint for pattern, hint in SPELLINGS.items() if re.fullmatch(pattern, bare)), None)
    return f"{shown(cell)}: {hint}" if hint and cell else hint


def _number(where: str, cell: str) -> float:
    """A positive number; nan for an empty cell in a column that need not be there."""
    name = where.rpartition(" ")[2]
    if not cell:
        if name not in NEEDED:
            return float("nan")
        raise ValueError(f"{where}: the cell is empty; leave the run out, or give its {name}")
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{where}: {shown(cell)} is no number; write {_plainly(cell, name)}") from None
    try:
        value = float(limited(value, name, above=not name.endswith("stderr")))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if name in COUNTS and not FEWEST <= value <= GREATEST:
        hint = "; write millions and billions out, 0.75 billion as 750000000 or 7.5e8" if value < FEWEST else ""
        raise ValueError(f"{where}: {value:g} is hardly a count{hint}")
    return value


def _plainly(cell: str, name: str) -> str:
    """How to write what looks like a number: 20B, 10,000,000 or 3,14; else an example for the column."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", cell.lower()):
        number, letters = match.groups()
        return f"it as {number}e{POWERS[letters]}" if letters in POWERS else f"the number alone, {number}"
    if re.fullmatch(r"\d{1,3}(?:([., '’\xa0\u202f])\d{3})(?:\1\d{3})*", cell):
        return f"it as {''.join(filter(str.isdigit, cell))}"
    if re.fullmatch(r"\d+,\d+(e[+-]?\d+)?", cell.lower()):
        return f"it with a point, {cell.replace(',', '.')}"
    if re.fullmatch(r"\d+x\d+(\.\d+)?b|\d+(\.\d+)?b-a\d+(\.\d+)?b", cell.lower()):
        return "that of a dense decoder: the frozen laws say nothing of mixtures of experts"
    return "it as 124000000 or 1.24e8" if name in COUNTS else "one such as 3.15"


def _nats(path: str | Path, frame: pd.DataFrame, unit: str | None, bytes_per_token: float | None) -> float:
    """By what losses in their unit are multiplied to be nats per token. ValueError where that is not known."""
    if unit not in (None, *UNITS):
        raise ValueError(unknown(unit, UNITS, "unit"))
    losses = frame[[name for name in LOSSES[:2] if name in frame]]
    for name in [name for name in LOSSES[2:] if name in frame]:
        if (unsure := frame[name] > SURE * losses[name.removesuffix("_stderr")]).any():
            raise ValueError(
                f"{path}, line {unsure.idxmax()}: a {name} of {frame[name][unsure.idxmax()]:.4g} is more than "
                f"{SURE:.0%} of the loss; give the standard error of the mean, in the unit of the loss"
            )
    if unit == "bits-per-byte":
        if bytes_per_token is None:
            raise ValueError("bits per byte become nats per token by the bytes of a token: give --bytes-per-token")
        return float(np.log(2) * limited(bytes_per_token, "bytes a token", 0.5, 100.0))
    if bytes_per_token is not None:
        raise ValueError("--bytes-per-token serves losses in bits per byte: give --unit bits-per-byte with it")
    if unit is None:
        _plausible(path, losses, frame["n_params"], _typical(frame))
    return float(np.log(2)) if unit == "bits" else 1.0


def _typical(runs: pd.DataFrame) -> pd.Series:
    """What dense models of these sizes reach after so many tokens of English text, nats per token."""
    return pd.Series(TYPICAL.loss(runs["n_params"], runs["n_tokens"]), runs.index)


def _plausible(path: str | Path, losses: pd.DataFrame, n_params: pd.Series, typical: pd.Series) -> None:
    """ValueError for losses that can hardly be nats per token.

    A loss nearer to the exponential of the typical one, by their ratio, is a perplexity, or that of a run which came to
    nothing.
    """
    least, most = losses.min(axis=1), losses.max(axis=1)
    if (low := (least < LEAST) | ((n_params >= LARGE) & (least < LOW * typical))).any():
        line = least[low].idxmin()
        raise ValueError(
            f"{path}, line {line}: a loss of {least[line]:.4g} is hardly nats per token; say what it is by "
            "--unit bits-per-byte, --unit bits (per token), or --unit nats if it is that"
        )
    limits = np.minimum(np.exp((typical + np.log(typical)) / 2), MOST)
    if (over := most > limits).any():
        line = over.idxmax()
        raise ValueError(
            f"{path}, line {line}: a loss of {most[line]:.4g} is hardly nats per token, where a dense model of this "
            f"size has about {typical[line]:.2g}; of a perplexity take the natural logarithm, leave out a run that "
            "diverged, or say --unit nats if it is that"
        )
