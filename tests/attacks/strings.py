"""Texts of formats: composed by the grammar, with edge values, and mutated byte by byte, or garbage of any length."""

import pathlib
import pickle

import numpy as np

import rholaw as rl
from rholaw.formats.rules import RULES
from rholaw.formats.scale_types import TYPES

PROMISE = "a text is a format whose own text means the same, or refused in at most 500 characters that name the part"
SECONDS = 1
MEGABYTES = 100
SLICE = 300

ELEMENTS = ["int{0}", "sint{0}", "fint{0}", "uint{0}", "lm{0}", "e{0}m{1}", "vq1_{2}", "vq{0}_{2}", "trellis{0}"]
SIZES = ["g{2}", "g{2}", "g{3}", "row", "tensor", "{0}x{2}", "{2}x{3}"]
SETTINGS = [*TYPES, *RULES, "nonsense"]
EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 31, 32, 64, 128, 256, 257, 4096, 2**16, 2**20, 2**20 + 1, 10**11, 10**60)
SHARES = ["0", "0.5", ".25", "00.1", "0.72838887394184393", "5e-05", "1e-9", "1e-300", "0.9999999999999999", "1", "1e5"]
STRANGE = [*"٤½\u212aİ𝟒é\x00\ud800\u2003\n'\"%-^_, ", "{0}"]


def composed(rng: np.random.Generator) -> str:
    """A text that follows the grammar; its numbers are mostly ordinary."""

    def number(ordinary: list[int]) -> str:
        value = int(rng.choice(ordinary)) if rng.random() < 0.9 else EDGES[rng.integers(len(EDGES))]
        return "0" * int(rng.integers(0, 3) * (rng.random() < 0.1)) + str(value)

    def numbered(texts: list[str]) -> str:
        small, bits, size, large = [2, 3, 4, 5, 6], [1, 2, 3, 4], [16, 32, 64, 128, 256], [1024, 4096, 1, 7]
        return str(rng.choice(texts)).format(number(small), number(bits), number(size), number(large))

    def share() -> str:
        return str(rng.choice(SHARES)) if rng.random() < 0.3 else f"{rng.random():.{rng.integers(1, 18)}f}"

    element = numbered(ELEMENTS) if rng.random() < 0.7 else str(rng.choice(list(rl.catalogue())))
    if rng.random() < 0.6:
        settings = rng.choice(SETTINGS, int(rng.integers(0, 3)))
        element = ":".join([f"{element}/{numbered(SIZES)}", *settings])
    parts = [f"hadamard{number([2, 64, 128, 1024])}"] if rng.random() < 0.2 else []
    sparsity = f"s{share()}" if rng.random() < 0.5 else f"{number([1, 2, 4])}:{number([4, 8, 16])}"
    parts += [sparsity] if rng.random() < 0.4 else []
    parts += [element] if rng.random() < 0.9 else []
    parts += [f"out{share()}{rng.choice(['', '', ':bf16', ':fp32'])}"] if rng.random() < 0.3 else []
    return "+".join(parts)


def mutated(text: str, rng: np.random.Generator) -> str:
    """A few characters put in, taken out, doubled or replaced, by those of texts of formats and by strange ones."""
    for _ in range(int(rng.integers(0, 4))):
        place, gone = int(rng.integers(0, len(text) + 1)), int(rng.integers(0, 3))
        put = rng.choice([*STRANGE, *"0123456789abcdefgmnostx+/:.", "", text[place : place + 5], composed(rng)])
        text = text[:place] + str(put) + text[place + gone :]
    return text


def garbage(rng: np.random.Generator) -> str:
    """Anything: bytes, characters of all of Unicode, surrogates among them, or a piece repeated up to 200,000 times."""
    kind = rng.integers(0, 3)
    if kind == 0:
        return rng.bytes(2 * int(rng.integers(0, 300))).decode(str(rng.choice(["latin-1", "utf-16-le"])), "replace")
    if kind == 1:
        return "".join(map(chr, rng.integers(0, 0x110000, int(rng.integers(0, 300)))))
    piece = str(rng.choice([*"1.+/:, s0", "s0.", "int4+", "int4/g32:", "1:", "out", "hadamard2"]))
    return piece * int(10 ** rng.uniform(0, 5.3))


def attempt(rng: np.random.Generator, folder: pathlib.Path) -> str:
    """Parses a text; what is accepted has to have one text, and what is not a message for people."""
    text = garbage(rng) if rng.random() < 0.15 else composed(rng)
    text = mutated(text, rng) if rng.random() < 0.5 else text
    if rng.random() < 0.1:
        text = rng.choice([" ", "\t", "\u2003", "\n"]) * int(rng.integers(0, 9)) + text.upper()
    try:
        format = rl.parse(text)
    except ValueError as error:
        message = str(error)
        assert 20 < len(message) <= 500, message
        assert message.startswith("format ") and message.isprintable(), message
        message.encode()
        return "refused"
    plain = str(format)
    again = rl.parse(plain)
    assert again == format and hash(again) == hash(format) and str(again) == plain, (text, plain)
    assert rl.parse(plain.upper()) == format == pickle.loads(pickle.dumps(format)), plain
    assert 0 < format.bits < 100 and 1 <= format.multiple <= 2**20 and 0 < format.density <= 1, plain
    assert plain.isascii() and len(plain) <= 120, plain
    return "a format"
