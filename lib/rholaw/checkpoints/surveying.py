"""What formats do to a checkpoint's own weights: ``survey``, a row per tensor and format."""

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from .. import runs, threads
from ..checked import listed
from ..error.measure import gmse
from ..formats.format import DENSE_BITS, Format
from ..formats.grammar import parse
from ..laws.fitted import Fit
from ..laws.fitting import fit as fit_law
from . import counting, opening, resumable, ties
from .opening import Checkpoint
from .roles import UNTOLD, among, is_matrix
from .streaming import Measurement, NotFinite, measured
from .tensors import PLAIN, Tensor
from .ternary import ternary

MANY = 512  # values, of which some of a trained matrix lie on either side of zero
WIDE, FAR, NEAR = 30.0, 1e4, 1e-9  # in root mean square, as no matrix of codes, and none of floats, that was trained
OCTAVES = {"F16": (1.5, math.inf), "BF16": (0.0, 15.0)}  # from the tenth to the ninetieth part of its magnitudes
SAMPLE, FEW = 2**14, 64  # values that are looked at, and fewer magnitudes among them are a grid
GRID = 1e-12  # the error of what a format holds as it is


def survey(
    path: str | Path,
    formats: str | Iterable[str | Format],
    *,
    rotation: int = 128,
    device: str = "cpu",
    out: str | Path | None = None,
    fit: Fit | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """A DataFrame with a row for each tensor of the checkpoint at ``path`` and each of ``formats``.

    formats: text such as "nvfp4, 2:4+int4", or a list of texts and Formats.  rotation: the size of the Hadamard
    rotation that is tried along the rows, or the largest power of two below it that divides them; 0 for none.
    device: where to compute, on a CPU with as many threads as torch.get_num_threads() says.  out: a .parquet or .csv
    to write; beside it OUT.partial keeps the finished tensors, so that a survey of the same files and formats goes on
    where it was interrupted.  fit: a Fit of the unified law with a bootstrap (default: to QuEST's runs).

    ==================  ===============================================================================================
    name, shape, dtype  of the tensor; the shape as text, "384x1536", outputs first whatever the order in the file
    quantised           its values were rounded to 8 bits or fewer before: errors on that grid are misleadingly small
    stored              bits per value in the file, with all scales and other companions
    role                by the name: attention, mlp, embedding, head, norm, router, state, buffer or other; and senses,
                        what sees or hears beside a language model
    parameters          how many values; 0 for a buffer, and where the tensor is tied to another, which counts them
    outcome             measured; strange, where they are of a size that no trained matrix has besides; broken, where it
                        holds NaN or infinite values; unread, where its values cannot be had
                        or are whole numbers; tied; buffer; or empty
    excess_kurtosis     E[(w − mean)⁴] / σ⁴ − 3; 0 for a Gaussian
    row_kurtosis        the same of rows that are scaled to one RMS: what is left when rows may have scales of their own
    peak                largest |w − mean| / σ; about 5 among a million Gaussian weights
    rotation            the size of the rotation that was tried; 0 where none divides the rows
    rotated_kurtosis    and rotated_row_kurtosis: both after it
    format              as it was asked for
    error               Σ (w − ŵ)² / Σ w², where ŵ is what the format stores
    rotated_error       the same after the rotation; missing for formats that rotate
    gmse                ``rl.gmse`` of the format: the error of Gaussian weights
    ratio               error / gmse
    rho                 the capacity that the fit's curve has at ``error``, for formats of a family that it knows
    rho_low, rho_high   its 95 % interval over the fit's bootstrap: how well the runs hold the curve, and no more
    bits, bytes         stored, per value and in all; 16 bits where the format cannot hold the tensor, integers as in
                        the file, 0 where tied
    note                why a number is missing, or is not to be trusted; "" where all is well
    ==================  ===============================================================================================

    Memory: some chunks of 2^17 weights a thread, or of one row where that is longer, and a few of 2^24 where a file
    has a matrix as in × out; but formats that rank all weights of a tensor (sS, +outR) or share more within it than a
    largest magnitude or a root mean square (nf4_dq, bitnet_b158, tiles) hold several copies of it in float32.  Each
    tensor is read twice, the second time out of the system's cache.  Raises ValueError before any work for a wrong
    path, format, device or ``out`` and for a damaged file; a tensor that cannot be measured is a row with a note.  What
    is left out of the files, what lies beside them, and where a config counts other parameters is a UserWarning and in
    the table's attrs, a list "remarks", with what was assumed of how values lie, and which static scales of inputs and
    cache the file holds; "changes" there is what the model does beside its matrices, or "".
    """
    named = named_formats(formats)
    device, out = usable_device(device), resumable.destination(out)
    if rotation and (rotation < 2 or rotation & (rotation - 1)):
        raise ValueError(f"rotation is {rotation}, it must be a power of two from 2, as 128, or 0 for none")
    with opening.open(path) as checkpoint:
        if not checkpoint.tensors:
            raise ValueError(f"{path} holds no tensors: there is nothing to survey")
        if remarks := (*checkpoint.remarks, *filter(None, [counting.disagreement(checkpoint)])):
            warnings.warn(f"{path}: {'; '.join(remarks)}", stacklevel=2)
        gaussian = {name: gmse(format, progress=progress).value for name, format in named.items()}
        fit = fit or _default_fit()
        finished = resumable.Finished(out, _key(checkpoint, named, rotation, device))
        changes = checkpoint.changes or ternary(checkpoint.tensors)
        assumed = Counter(tensor.note for tensor in checkpoint.tensors if tensor.note)
        more = [f"{note} ({count} tensors)" for note, count in assumed.items()]
        more += [checkpoint.scales.remark, *checkpoint.scales.faults]
        tied = ties.among(checkpoint.tensors)
        does = among({tensor.name: tensor.shape for tensor in checkpoint.tensors})
        rows, total = [], sum(tensor.count for tensor in checkpoint.tensors)
        bar = tqdm(total=total, desc="survey", unit="w", unit_scale=True, disable=not progress)
        with bar, threads.alone() if device.type == "cpu" else nullcontext():
            for tensor in checkpoint.tensors:
                if tensor.name not in finished.rows:
                    same = tied.get(tensor.name, "")
                    finished.add(tensor.name, _rows(tensor, does[tensor.name], same, named, rotation, device))
                rows += finished.rows[tensor.name]
                bar.update(tensor.count)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["gmse"] = table.format.map(gaussian)
    table["ratio"] = table.error / table.gmse.where(table.gmse > 0)
    table = _with_capacity(table, named, fit)
    table.attrs |= {
        "checkpoint": str(path),
        "remarks": list(filter(None, (*remarks, *more))),
        "changes": str(changes),
    }
    if out:
        resumable.write(table, out)
        finished.remove()
    return table


COLUMNS = [
    *("name", "shape", "dtype", "quantised", "stored", "role", "parameters", "outcome"),
    *("excess_kurtosis", "row_kurtosis", "peak", "rotation", "rotated_kurtosis", "rotated_row_kurtosis"),
    *("format", "error", "rotated_error", "gmse", "ratio", "rho", "rho_low", "rho_high", "bits", "bytes", "note"),
]


def named_formats(formats: str | Iterable[str | Format]) -> dict[str, Format]:
    """{as it was asked for: Format}. ValueError for what ``parse`` refuses, and for none."""
    texts = formats.split(",") if isinstance(formats, str) else list(formats)
    names = [str(text).strip() for text in texts if str(text).strip()]
    named = {name: parse(name) for name in names}
    if not named:
        raise ValueError("name at least one format, for instance 'int4/g128, mxfp4'")
    return named


def usable_device(name: str) -> torch.device:
    """The device of that name; ValueError where it cannot be used here, or has no float64, as Apple's: sums need it."""
    try:
        torch.empty(0, dtype=torch.float64, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:  # without CUDA in torch, and without float64
        raise ValueError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return torch.device(name)


def _key(checkpoint: Checkpoint, named: dict[str, Format], rotation: int, device: torch.device) -> dict:
    """What must be the same for the rows of an interrupted survey to be of use."""
    texts, files = {name: str(format) for name, format in named.items()}, resumable.stamps(checkpoint.files)
    return {"files": files, "formats": texts, "rotation": rotation, "device": device.type}


@cache
def _default_fit() -> Fit:
    return fit_law("unified", runs.one_estimator(runs.load("quest2025")), n_bootstrap=100)


def _with_capacity(table: pd.DataFrame, named: dict[str, Format], fit: Fit) -> pd.DataFrame:
    """The table with rho and its interval, missing for formats of families that the runs of the fit hold none of."""
    for name, format in named.items():
        rows = (table.format == name) & table.error.notna()
        if not format.parts:
            table.loc[rows, ["rho", "rho_low", "rho_high"]] = 1.0
        elif format.family in fit.families and rows.any():
            errors = table.error[rows].to_numpy()
            table.loc[rows, "rho"] = fit.curve(format.family)(errors)
            if curves := fit.curves(format.family):
                spread = [curve(errors) for curve in curves]
                table.loc[rows, ["rho_low", "rho_high"]] = np.quantile(spread, [0.025, 0.975], axis=0).T
    return table


def _rows(
    tensor: Tensor, does: str, tied: str, named: dict[str, Format], rotation: int, device: torch.device
) -> list[dict]:
    """The rows of one tensor with the role ``does``, as dictionaries: all that no fit is needed for."""
    facts = {"name": tensor.name, "shape": "x".join(map(str, tensor.shape)) or "scalar", "dtype": tensor.dtype}
    facts |= {"quantised": tensor.quantised, "role": does, "parameters": tensor.count, "rotation": 0}
    facts["stored"] = float(tensor.bits)
    rounds, row = is_matrix(tensor.name, tensor.shape), tensor.matrix[1]
    fitting = {name: format for name, format in named.items() if rounds and row % format.multiple == 0}
    bits, outcome, note = tensor.bits, "empty", "empty"
    try:
        if tied:
            facts["parameters"], bits, outcome, note = 0, 0, "tied", f"tied to {tied}, which counts it"
        elif does == "buffer":
            facts["parameters"], outcome, note = 0, "buffer", "a buffer, no weight: kept as it is"
        elif tensor.count:
            outcome = "unread"
            if not tensor.rows(0, 1).is_floating_point():
                perhaps = ", or floats under another type" if tensor.dtype in ("I16", "U16") else ""
                raise ValueError(f"codes, indices or flags{perhaps}: no floating-point numbers, kept as they are")
            measurement = measured(tensor, fitting, rotation, device)
            if _are_codes(tensor, measurement):
                raise ValueError(f"codes, not measured: they fill the range of {tensor.dtype}, and have no scale")
            if rounds and does in UNTOLD and _one_signed(tensor, measurement):
                raise ValueError("all of its values have one sign, as codes have whose zero is not known")
            facts |= _moments(measurement) | {"outcome": "measured"}
            strange = _strange(tensor, measurement)
            return [facts | _outcome(tensor, format, name, measurement, strange) for name, format in named.items()]
    except NotFinite as error:
        bits, outcome, note = DENSE_BITS, "broken", str(error)
    except ValueError as error:
        note = str(error)
    stored = {"bits": float(bits), "bytes": tensor.count * bits / 8, "outcome": outcome, "note": note}
    return [facts | stored | {"format": name} for name in named]


def _are_codes(tensor: Tensor, measurement: Measurement) -> bool:
    """Whether floats of 8 bits reach the largest there is, as weights never do but what is scaled to fit."""
    plain = PLAIN.get(tensor.dtype)
    return tensor.dtype.startswith("F8") and plain is not None and measurement.plain.largest == torch.finfo(plain).max


def _one_signed(tensor: Tensor, measurement: Measurement) -> bool:
    """Whether no value of many is on the other side of zero than the rest, as never in a matrix that was trained."""
    plain = measurement.plain
    return tensor.quantised and tensor.count >= MANY and plain.peak > 0 and (plain.low >= 0 or plain.high <= 0)


def _moments(measurement: Measurement) -> dict:
    """The columns that describe a tensor, whatever the format."""
    plain, turned = measurement.plain, measurement.rotated
    columns = {"excess_kurtosis": plain.kurtosis, "row_kurtosis": plain.row_kurtosis, "peak": plain.peak}
    columns["rotation"] = measurement.rotation
    if turned:
        columns |= {"rotated_kurtosis": turned.kurtosis, "rotated_row_kurtosis": turned.row_kurtosis}
    return columns


def _strange(tensor: Tensor, measurement: Measurement) -> str:
    """That its values are as no trained matrix has them, or ""."""
    rms = math.sqrt(measurement.plain.square)
    if not is_matrix(tensor.name, tensor.shape):
        return ""
    if rms > (WIDE if tensor.quantised else FAR) or 0 < rms < NEAR:
        why = "a scale that is missing or inverted" if tensor.quantised else "floats of another type"
        return f"its values are {rms:.3g} in root mean square, as of {why}"
    if tensor.dtype not in OCTAVES:
        return ""
    some = tensor.load(0, min(tensor.count, SAMPLE)).float().abs()
    magnitudes = some[some > 0].log2()
    if len(magnitudes.unique()) < FEW:
        return ""
    low, high = magnitudes.quantile(torch.tensor([0.1, 0.9])).tolist()
    least, most = OCTAVES[tensor.dtype]
    if least <= high - low <= most:  # 3.7 of a Gaussian
        return ""
    other = "BF16" if tensor.dtype == "F16" else "F16"
    return f"most of its values span a factor of {2 ** (high - low):.3g}, as those of {other} named {tensor.dtype} do"


def _outcome(tensor: Tensor, format: Format, name: str, measurement: Measurement, strange: str) -> dict:
    """The columns of one format, for a tensor of finite numbers."""
    error, rotated = measurement.errors.get(name, (np.nan, np.nan))
    bits, notes = format.bits, [tensor.note] * bool(tensor.note)
    if name not in measurement.errors:
        bits, shape = DENSE_BITS, f"rows of {tensor.matrix[1]} weights are no multiple of {format.multiple}"
        notes += [f"{shape if is_matrix(tensor.name, tensor.shape) else 'no matrix'}: kept in {DENSE_BITS} bits"]
    if not tensor.quantised and measurement.plain.largest and error < GRID and format.bits < DENSE_BITS:
        notes.append("lies on this grid: it was rounded to it before")
    if measurement.plain.largest == 0:
        notes.append("all zeros, which every format holds exactly")
    notes += [strange] * bool(strange)
    if tensor.quantised:
        notes.append(f"already {tensor.dtype}" + ": errors on its own grid are misleadingly small" * (not error > 0.5))
    if tensor.unapplied:
        notes.append(f"beside it lies {listed(tensor.unapplied)}, which is not applied")
    if tensor.beside:
        notes.append(f"{listed(tensor.beside)} beside it: how engines round its inputs")
    stored = {"bits": float(bits), "bytes": tensor.count * bits / 8, "note": "; ".join(notes)}
    stored |= {"outcome": "strange"} if strange else {}
    return {"format": name, "error": error, "rotated_error": rotated} | stored
