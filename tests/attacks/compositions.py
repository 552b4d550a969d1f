"""Compositions of the grammar, drawn at random: the error that is said of each, against what rounding does."""

import math
import pathlib
import warnings

import numpy as np
import torch

import rholaw as rl
from rholaw.formats.rules import RULES
from rholaw.formats.scale_types import TYPES

PROMISE = "rl.gmse agrees with what quantize does, within five standard errors, in tensors of as many weights"
SECONDS = 20
MEGABYTES = 500
SLICE = 300

NUMBERED = ["int{0}", "sint{1}", "fint{1}", "uint{0}", "lm{0}", "e{2}m{3}", "vq1_{0}"]
NAMED = [name for name in rl.catalogue() if not name.startswith(("trellis", "iq", "vq4_4096"))]
SIZES = ["g3", "g48", "g100", "g1000", "row", "row", "tensor", "tensor", "16x16", "3x8"]
SIZES += [f"g{2**k}" for k in range(13)]
LARGE = ["g16384", "g65536", "g262144", "1024x128", "256x4096"]
TENSORS = 4, 3000  # how many at first, and at most


def composed(rng: np.random.Generator) -> str:
    """A text of the grammar, mostly of parts that go together."""

    def one(of: list) -> str:
        return str(rng.choice(of))

    def share() -> str:
        usual = one(["0.001", "0.01", "0.02", "0.05", "0.1", "0.3", "0.5", "0.75", "0.9", "0.99"])
        return usual if rng.random() < 0.8 else f"{rng.random():.3f}1"

    if rng.random() < 0.15:
        core = one(NAMED)
    else:
        low, high = (1, 2, 1, 0), (9, 9, 7, 7)
        core = one(NUMBERED).format(*(int(rng.integers(*ends)) for ends in zip(low, high, strict=True)))
        core = one(["ternary", "nf4", "e4m3fn", "vq2_16"]) if rng.random() < 0.1 else core
        if rng.random() < 0.8 or core.startswith("uint"):
            core += "/" + one(LARGE if rng.random() < 0.05 else SIZES)
            core += ":" + one(list(TYPES)) if rng.random() < 0.7 else ""
            core += ":" + one(list(RULES)) if rng.random() < 0.3 else ""
    words = [f"hadamard{2 ** rng.integers(1, 12)}"] if rng.random() < 0.1 else []
    if rng.random() < 0.35:
        words += [f"s{share()}" if rng.random() < 0.6 else one(["2:4", "1:4", "4:8", "8:16", "1:2", "3:7", "32:64"])]
    words += [core]
    words += [f"out{share()}{one(['', '', ':bf16'])}"] if rng.random() < 0.35 else []
    return "+".join(words)


def shape(format: rl.Format, rng: np.random.Generator) -> tuple[int, int]:
    """Rows and columns of a tensor that the format divides: 2^9 to 2^17 weights, or a row where that is longer."""
    rows = format.block.tile[0] if format.block and format.block.tile else 1
    weights = 2 ** int(rng.integers(9, 18))
    columns = max(2 ** int(rng.integers(6, 13)) // format.multiple, 1) * format.multiple
    return max(weights // (columns * rows), 1) * rows, columns


def disagreement(format: rl.Format, shape: tuple[int, int], seed: int) -> tuple[float, str]:
    """By how many standard errors the two differ, and how that came out; more tensors where few leave a doubt."""
    measured = rl.gmse(format, weights=shape, samples=2**15)
    assert np.isfinite([measured.value, measured.stderr]).all() and measured.value >= 0, measured
    generator, errors, number = torch.Generator().manual_seed(seed), [], TENSORS[0]
    while True:
        while len(errors) < number:
            x = torch.randn(shape, generator=generator)
            errors.append(float((format.quantize(x).double() - x.double()).square().mean()))
        scatter = np.std(errors, ddof=1) / math.sqrt(number)
        # Weights in float32 are no finer than 2^-24 of themselves.
        off = max(abs(np.mean(errors) - measured.value) - 1e-14 - 1e-6 * measured.value, 0.0)
        doubt = off / max(math.hypot(scatter, measured.stderr), 1e-300)
        told = f"gmse {measured.value:.6g} ± {measured.stderr:.2g}, quantize {np.mean(errors):.6g} ± {scatter:.2g}"
        if doubt < 3 or (number > 100 and doubt < 5) or number * math.prod(shape) > 2**24 or number >= TENSORS[1]:
            # What befalls one in so many scales as were drawn, and multiplies the error there, was perhaps not seen.
            rare = measured.value * (format.block.length(shape) if format.block else 1) / (number * math.prod(shape))
            doubt = off / max(math.hypot(scatter, measured.stderr, rare), 1e-300)
            return doubt, f"{format} {shape}: {told} in {number} tensors, {measured.method}"
        number *= 4


def attempt(rng: np.random.Generator, folder: pathlib.Path) -> str:
    """Composes a format and compares; what the grammar refuses, it refuses with a reason."""
    text = composed(rng)
    try:
        format = rl.parse(text)
    except ValueError as error:
        assert 20 < len(str(error)) <= 500, error
        return "refused"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doubt, told = disagreement(format, shape(format, rng), int(rng.integers(2**31)))
    assert doubt < 5, told
    return told.rsplit(", ", 1)[1]
