"""What logs of `llama-perplexity` say: which model in which type, its perplexity and its divergence from a reference.

Layouts: tools/perplexity of llama.cpp since 2023, with and without `--kl-divergence`, and ik_llama.cpp's.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..checked import shortened
from ..untrusted import LARGEST
from . import mixtures

EXAMPLE = Path(__file__).with_name("llama-3-8b.log")
"""Two types of Llama 3 8B: published results, in the lines of a log."""
NUMBER = r"(-?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?|-?nan|-?inf)"
SIGN = r"[^\d\s.,]{1,4}"  # ±, +/-, or what a wrong encoding made of it
PAIR = rf"{NUMBER}\s*{SIGN}\s*{NUMBER}"
LINES = {  # what a line says → its pattern
    "file": r"loaded meta data with .* from (.+?) \(version|loading model from (\S+)",
    "command": r"perplexity\S* .*?(?:-m|--model)[ =]['\"]?([^'\"]+?\.(?:gguf|bin))",
    "type": r"- type +(\w+): +(\d+) tensors",
    "bits": r"(?:file|model) size += .*?\((\d+\.\d+) BPW\)",
    "params": r"model params += (\d+(?:\.\d+)?) ?([BMK])\b",
    "importance": r"- kv +\d+: +quantize\.imatrix\.",
    "chunks": r"(?:calculating perplexity|computing) over (\d+) chunks(?:(?:,| with) n_ctx=(\d+))?",
    "context": r"\bn_ctx(?:_seq|_per_seq)? += (\d+)",
    "row": rf"^ *(\d+) +\d+\.\d+ +(?:{SIGN} +\d+\.\d+ +)?-?\d+\.\d+ +{SIGN} ",  # of a table, a row a chunk
    "ppl": r"Final estimate: PPL(?: over (\d+) chunks for n_ctx=(\d+))? = " + PAIR,
    "own": r"Mean +PPL\(Q\) *: *" + PAIR,
    "base": r"Mean +PPL\(base\) *: *" + PAIR,
    "ratio": r"Mean +ln\(PPL\(Q\)/PPL\(base\)\) *: *" + PAIR,
    "kl": r"(?:Mean +KLD|^Average) *: *" + PAIR,
}
PATTERNS = {what: re.compile(pattern, re.IGNORECASE) for what, pattern in LINES.items()}
SCALES = {"K": 1e3, "M": 1e6, "B": 1e9}
_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x00")  # colours of a terminal
_LONGEST = 10_000  # characters of a line that are looked at: progress is one line of hundreds of chunks


@dataclass(frozen=True)
class Run:
    """One run of `llama-perplexity`; what the log does not say is None or empty.

    place: "my.log, line 12".  file: of the model.  types: ((ggml type, tensors), …), f32 left out beside others.
    bits: per weight.  context: tokens.  ppl, kl, ratio: (value, standard error); ratio is ln(PPL/PPL of the reference).
    """

    place: str
    file: str = ""
    types: tuple[tuple[str, int], ...] = ()
    bits: float | None = None
    n_params: float | None = None
    importance: bool = False
    context: int | None = None
    chunks: int | None = None
    ppl: tuple[float, float] | None = None
    base: float | None = None
    ratio: tuple[float, float] | None = None
    kl: tuple[float, float] | None = None
    loaded: bool = field(default=False, repr=False)
    final: bool = field(default=False, repr=False)

    @property
    def name(self) -> str:
        """The type or mix by the name of the file, else the type of most tensors; "" where neither is known."""
        most = max(self.types, key=lambda pair: pair[1], default=("",))
        return mixtures.named(self.file) or most[0]

    @property
    def plain(self) -> bool:
        """Whether the weights are as they were trained, in 16 or 32 bits."""
        return {name for name, _ in self.types or ((self.name, 1),)} <= set(mixtures.PLAIN)

    @property
    def clever(self) -> bool:
        """Whether it is a mix whose extra bits lie where they matter most."""
        return self.name in mixtures.CLEVER and len(self.types) != 1

    @property
    def tokens(self) -> int | None:
        """How many tokens the perplexity is over: the later half of each chunk."""
        if self.chunks is None or self.context is None:
            return None
        return self.chunks * (self.context - self.context // 2 - 1)

    def error(self) -> tuple[float, float]:
        """The least and largest GMSE that its weights can be worth; ValueError where that is not known (`mixtures`)."""
        names, worth = [name for name, _ in self.types], mixtures.SPARED if self.clever else 1.0
        if len(names) == 1 or (names and self.bits):
            low, high = mixtures.bounds(names, self.bits)
            return worth * low, worth * high
        if self.name in mixtures.MIXES:
            return (mixtures.worth(self.name)[0],) * 2
        raise ValueError(f"which types {self.name or 'the file'} mixes is not known: keep the lines “- type … tensors”")


def read(path: str | Path) -> list[Run]:
    """The runs of a log, in order, runs without a result too.

    ValueError for a path that is no file, and for a file that holds no run of `llama-perplexity`.
    """
    path, runs, run = Path(path).expanduser(), [], None
    if not path.is_file():
        raise ValueError(f"there is no file {shortened(str(path), 300)}")
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"{path} has {size:,} bytes, at most {LARGEST:,} of a log are read")
    for number, line in enumerate(_text(path.read_bytes()).splitlines(), 1):
        for what, values in _said(line[:_LONGEST]):
            if run is None or _begins(run, what):
                runs.append(run)
                run = Run(f"{path.name}, line {number}")
            run = _with(run, what, values)
    runs = [one for one in [*runs, run] if one and one != Run(one.place, context=one.context)]
    if not runs:
        raise ValueError(f"{path} is no log of llama-perplexity: it has neither a model nor a perplexity")
    alone = len(runs) == 1 and not runs[0].file
    return [replace(runs[0], file=path.name)] if alone else runs


def _text(raw: bytes) -> str:
    """The bytes of a log as text: UTF-8, or UTF-16 as PowerShell writes it; without colours."""
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return _NOISE.sub("", raw.decode("utf-16" if wide else "utf-8-sig", errors="replace"))


def _said(line: str) -> Iterator[tuple[str, tuple]]:
    for what, pattern in PATTERNS.items():
        if match := pattern.search(line):
            yield what, match.groups()


def _begins(run: Run, what: str) -> bool:
    """Whether a line that says ``what`` begins another run."""
    done = run.ppl is not None or run.kl is not None
    if what in ("file", "command"):
        return done or run.loaded
    if what == "kl":
        return run.kl is not None or run.final
    return (what == "chunks" and done) or (what in ("own", "ppl") and run.ppl is not None)


def _with(run: Run, what: str, values: tuple) -> Run:
    """``run`` and what a line says of it."""
    if what in ("file", "command"):
        return replace(run, file=next(filter(None, values)), loaded=what == "file")
    if what == "type":
        types = [*run.types, (values[0].lower(), int(values[1]))]
        matrices = [pair for pair in types if pair[0] != "f32"]
        return replace(run, types=tuple(matrices or types))
    if what == "params":
        return replace(run, n_params=float(values[0]) * SCALES[values[1].upper()])
    if what == "chunks":
        return replace(run, chunks=int(values[0]), context=int(values[1]) if values[1] else run.context)
    if what == "ppl":
        run = replace(run, final=True)
        run = replace(run, chunks=int(values[0]), context=int(values[1])) if values[0] else run
    if what == "context":  # of a perplexity it counts the sequences beside one another too
        return run if run.chunks else replace(run, context=int(values[0]))
    single = {"bits": float, "row": int, "importance": lambda _: True}
    if what in single:
        return replace(run, **{"chunks" if what == "row" else what: single[what](values[0] if values else "")})
    pair = _pair(values[-2:])
    return replace(run, **{"ppl" if what == "own" else what: pair[0] if what == "base" else pair})


def _pair(values: tuple[str, ...]) -> tuple[float, float]:
    value, stderr = (float(value.replace(",", ".")) for value in values)
    return value, stderr
