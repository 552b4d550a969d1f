"""Files of benchmarks: what vLLM, SGLang, llama-bench and GuideLLM write, as rows of one kind.

Schemas: vllm/benchmarks/serve.py (``vllm bench serve --save-result``; SGLang's bench_serving writes the same names),
tools/llama-bench/README.md of llama.cpp, and GuideLLM's GenerativeBenchmarksReport.  What a file does not say stays
empty: vLLM's says neither device nor format, unless ``--metadata device=… weights=…`` does.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..checked import limited, line, shown
from ..formats.grammar import parse
from ..untrusted import json_object

PHASES = ("prefill", "decode", "mixed")
SAID = ("device", "weights", "activations", "kv", "gpus", "version")
"""What ``--metadata`` may add to a file of vLLM's, by our names."""
ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "sglang-oai": "SGLang", "tensorrt-llm": "TensorRT-LLM"}
MOST = 1e15
"""Of any number in such a file."""
FAILED = 0.05
"""Share of failed requests above which a file says nothing of the speed."""
AGREED = 0.05
"""How far a speed may be from the tokens over the seconds that its file has."""
SPECULATED = ("accept_length", "spec_decode_acceptance_length")
"""Tokens that a step of speculative decoding kept, in files of SGLang and of vLLM: above 1 where it speculated."""
LLAMA = re.compile(r"\b(BF16|F16|F32|I?Q\d(?:_[0-9A-Z]{1,3})?|TQ\d_\d|MXFP4)\b")
"""How llama-bench names a type of weights, as in "qwen2 7B Q4_K - Medium"."""
PROCESSORS = ("CPU", "BLAS")
"""Backends of llama.cpp that compute on no GPU."""


@dataclass(frozen=True)
class Run:
    """A speed that somebody measured.

    engine, version, model, device, weights, activations, kv: as the file says, "" where it does not; gpus: 0 likewise;
    params: of the model, all of them, nan where it is not said; phase: one of PHASES, of which tokens_per_second
    counts the prompts (prefill) or the output; concurrency: sequences that decode at once, on average; tokens_in:
    before the output, or that decode starts from; ttft_ms, tpot_ms: means, nan where it is not said; spread: standard
    deviation of the logarithm over repeats, nan for one; file: where it
    stands; assumed: whether the formats were taken from the name of the model; simulated: whether it was reckoned.
    """

    phase: str
    concurrency: float
    tokens_in: float
    tokens_out: float
    tokens_per_second: float
    engine: str = ""
    version: str = ""
    model: str = ""
    params: float = math.nan
    device: str = ""
    weights: str = ""
    activations: str = ""
    kv: str = ""
    gpus: int = 0
    ttft_ms: float = math.nan
    tpot_ms: float = math.nan
    spread: float = math.nan
    file: str = ""
    assumed: bool = False
    simulated: bool = False


def runs(data: bytes) -> Iterator[Run]:
    """The Runs in the bytes of a file. Raises ValueError as ``benchmarks.read`` does."""
    text = data.decode("utf-8-sig").strip()
    lines = [text for text in text.splitlines() if text.strip()]
    if not lines:
        raise ValueError("it is empty")
    if text.startswith("["):
        rows = json_object(b'{"rows": ' + text.encode() + b"}", "it")["rows"]
    elif text.startswith("{"):
        each_line = len(lines) > 1 and all(part.startswith("{") and part.rstrip().endswith("}") for part in lines)
        rows = [json_object(part.encode(), "it") for part in (lines if each_line else [text])]
    elif lines[0].startswith("build_commit,"):
        rows = list(csv.DictReader(io.StringIO(text)))
    else:
        yield from _markdown(lines)
        return
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"a row of it is {shown(row)}, not an object")
        yield from _row(row)


def _row(row: Mapping[str, Any]) -> Iterator[Run]:
    if "benchmarks" in row:
        yield from _guidellm(row)
    elif "avg_ts" in row:
        yield _llama(row)
    elif "output_throughput" in row:
        yield _served(row)
    elif "avg_latency" in row or "elapsed_time" in row:
        raise ValueError(
            "vLLM's latency and throughput benchmarks write neither how many sequences nor how long they were; "
            "`vllm bench serve --save-result` does"
        )
    else:
        raise ValueError(
            "it is none of the files that are read: of `vllm bench serve --save-result`, SGLang's bench_serving, "
            "`llama-bench -o json` (jsonl, csv, md) and GuideLLM"
        )


# --- vLLM and SGLang ----------------------------------------------------------------------------------------------


def _served(row: Mapping[str, Any]) -> Run:
    done, failed = _number(row, "completed", 1), _number(row, "failed", 0, missing=0.0)
    if failed > FAILED * (done + failed):
        raise ValueError(f"{failed:g} of {done + failed:g} requests failed: it says nothing of the speed")
    tokens_in, tokens_out = (_number(row, f"total_{way}_tokens", 1) / done for way in ("input", "output"))
    speed, step = _number(row, "output_throughput"), _number(row, "mean_tpot_ms", missing=math.nan)
    counted = done * tokens_out / _number(row, "duration", missing=done * tokens_out / speed)
    if abs(speed / counted - 1) > AGREED:
        raise ValueError(f"output_throughput is {speed:g}, but its tokens over its duration are {counted:g} a second")
    for name in SPECULATED:
        if _number(row, name, 0, missing=0.0) > 1:
            raise ValueError(f"{name} is {row[name]}: it speculated; what that gains is a format's speculation")
    limit = _number(row, "max_concurrency", 1, missing=math.nan)
    flight = limit if math.isnan(step) else speed * step / 1000  # by Little's law: those that decode
    if math.isnan(flight):
        raise ValueError("it says neither mean_tpot_ms nor max_concurrency: how many sequences decoded is not known")
    said = {name: _text(row, name) for name in SAID if name in row and name != "gpus"}
    return Run(
        phase="mixed",
        concurrency=max(1.0, flight),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_per_second=speed,
        engine=ENGINES.get(_text(row, "backend").lower(), ""),
        model=_text(row, "model_id"),
        ttft_ms=_number(row, "mean_ttft_ms", missing=math.nan),
        tpot_ms=step,
        gpus=int(_number(row, "gpus", 1, missing=0)),
        **said,
    )


# --- llama-bench --------------------------------------------------------------------------------------------------


def _llama(row: Mapping[str, Any]) -> Run:
    read, wrote, depth = (_number(row, f"n_{what}", 0, missing=0.0) for what in ("prompt", "gen", "depth"))
    speed, error = _number(row, "avg_ts"), _number(row, "stddev_ts", 0, missing=0.0)
    processor = (
        not _text(row, "gpu_info") or _text(row, "backends") in PROCESSORS or row.get("n_gpu_layers") in (0, "0")
    )
    devices = [_text(row, "cpu_info")] if processor else [part.strip() for part in _text(row, "gpu_info").split(",")]
    if _number(row, "n_cpu_moe", 0, missing=0.0):
        raise ValueError(f"n_cpu_moe is {row['n_cpu_moe']}: experts lay in the memory of the processor")
    cache = _text(row, "type_k").lower()
    run = _tested(read, wrote, depth, speed, error / speed)
    return replace(
        run,
        version=" ".join(filter(None, (str(row.get("build_number", ""))[:20], _text(row, "build_commit")))),
        model=_text(row, "model_type"),
        params=_number(row, "model_n_params", 1, missing=math.nan),
        device=devices[0],
        gpus=len(devices),
        weights=_type(_text(row, "model_type")) or _type(_text(row, "model_filename").upper()),
        activations="dense",
        kv="dense" if cache in ("", "f16", "bf16", "f32") else _known(cache),
    )


def _tested(read: float, wrote: float, depth: float, speed: float, spread: float) -> Run:
    """A test of llama-bench: of a prompt, of output behind ``depth`` tokens, or of both, one sequence at a time."""
    if not read + wrote:
        raise ValueError("a row of it reads no token and writes none")
    phase = "decode" if not read else "prefill" if not wrote else "mixed"
    if phase == "mixed":  # llama-bench counts the tokens of both
        speed *= wrote / (read + wrote)
    before = depth if phase == "decode" else read
    return Run(phase, 1.0, before, wrote, speed, engine="llama.cpp", spread=spread or math.nan)


def _markdown(lines: list[str]) -> Iterator[Run]:
    """A table of ``llama-bench -o md``, within whatever else was copied; it says no device."""
    cells = [[cell.strip() for cell in text.strip().strip("|").split("|")] for text in lines if text.count("|") > 3]
    heads = [row for row in cells if {"model", "test", "t/s"} <= set(row)]
    if not heads:
        raise ValueError("it is neither JSON, nor CSV or a table of llama-bench")
    for cell in cells:
        row = dict(zip(heads[0], cell, strict=False))
        test = re.fullmatch(r"(?:pp ?(\d+))?\+?(?:tg ?(\d+))?(?: @ d(\d+))?", row.get("test", "-"))
        if cell in heads or set("".join(cell)) <= set("-: "):
            continue
        if len(cell) != len(heads[0]) or not test:
            raise ValueError(f"{shown(' | '.join(cell))} is no row of llama-bench")
        read, wrote, depth = (float(part or 0) for part in test.groups())
        speed, _, error = row["t/s"].partition("±")
        speed, error = _number({"t/s": speed}, "t/s"), _number({"±": error or "0"}, "±", 0)
        scale = re.fullmatch(r"([\d.]+) ([MBT])", row.get("params", ""))
        params = float(scale[1]) * {"M": 1e6, "B": 1e9, "T": 1e12}[scale[2]] if scale else math.nan
        weights = _type(row["model"])
        run = _tested(read, wrote, depth, speed, error / speed)
        yield replace(run, model=line(row["model"]), params=params, weights=weights, activations="dense")


def _type(text: str) -> str:
    """The format of ours for the type that a text of llama.cpp's names; "" for one that is not known here."""
    named = LLAMA.search(text.replace("-", " ").replace(".", " "))
    return _known("dense" if not named or named[1].endswith(("F16", "F32")) else named[1].lower()) if named else ""


def _known(name: str) -> str:
    try:
        return name if parse(name).parts else "dense"
    except ValueError:
        return ""


# --- GuideLLM -----------------------------------------------------------------------------------------------------

MODEL = (
    ("args", "model"),
    ("benchmarks", 0, "config", "backend", "model"),
    ("benchmarks", 0, "worker", "backend_model"),
)
"""Where a report of GuideLLM may name the model, by its version."""


def _guidellm(report: Mapping[str, Any]) -> Iterator[Run]:
    named = next((value for place in MODEL if isinstance(value := _inside(report, *place), str)), "")
    if not isinstance(report["benchmarks"], list):
        raise ValueError(f"benchmarks must be a list, not {shown(report['benchmarks'])}")
    for one in report["benchmarks"]:
        totals = _inside(one, "metrics", "request_totals")
        totals = totals if isinstance(totals, dict) else {}
        done, failed = (_number(totals, status, 0, missing=0.0) for status in ("successful", "errored"))
        if failed > FAILED * (done + failed):
            raise ValueError(f"{failed:g} of {done + failed:g} requests failed: it says nothing of the speed")
        speed, step = _summary(one, "output_tokens_per_second"), _summary(one, "inter_token_latency_ms", math.nan)
        flight = speed * step / 1000 if step > 0 else _summary(one, "request_concurrency")
        yield Run(
            phase="mixed",
            concurrency=max(1.0, flight),
            tokens_in=_summary(one, "prompt_token_count"),
            tokens_out=_summary(one, "output_token_count"),
            tokens_per_second=speed,
            model=line(named),
            ttft_ms=_summary(one, "time_to_first_token_ms", math.nan),
            tpot_ms=step,
        )


def _summary(one: object, name: str, missing: float | None = None) -> float:
    """The mean of a metric over the requests that were served."""
    summary = _inside(one, "metrics", name, "successful")
    return _number({f"{name}.mean": _inside(summary, "mean")}, f"{name}.mean", missing=missing)


def _inside(value: object, *place: str | int) -> object:
    """What stands at a place of nested lists and objects; None where there is none."""
    for key in place:
        inside = key in value if isinstance(value, dict) else isinstance(value, list) and key == 0 and value
        value = value[key] if inside else None
    return value


# --- values -------------------------------------------------------------------------------------------------------


def _number(row: Mapping[str, Any], name: str, low: float | None = None, missing: float | None = None) -> float:
    """A number of a row, above 0, or from ``low`` on; ``missing`` where it has none, if that is allowed."""
    value = row.get(name)
    if value is None and missing is not None:
        return missing
    try:
        value = float(value) if isinstance(value, str) else value  # CSV has texts
        return float(limited(value, "as the tool prints it", low or 0.0, MOST, above=low is None))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}: must be text, not {shown(value)}")
    return line(value or "")
