"""Sun et al. 2025: floating point, by its bits of exponent and mantissa; and what follows from its constants."""

import re
from collections.abc import Mapping

import numpy as np

from ...formats.format import Format
from ..chinchilla import Columns
from ..compressed import DENSE, Compressed, Pair, refuse_sparsity
from ..parameters import Parameters

LOG2_CHANNEL = 13.1567  # the paper's log2 of the block size of a scale a channel


class Sun(Compressed):
    """Loss = A N^-α + B D^-β + E + D^β N^-α log2(block) / (γ (e + ½)^δ (m + ½)^ν) (Sun et al. 2025, floating point).

    e and m are the bits of exponent and mantissa, the same for weights and activations; a dense run counts as bfloat16
    (8 and 7).  Without a block, log2(block) is the paper's value for a scale a channel.  A, B and E are its n, d, ε.
    """

    linear = (*Compressed.linear, "gamma")
    capacity_names = ("gamma", "delta", "nu")
    has_capacity = False
    limits = Compressed.limits | {"gamma": (1e-6, 1e15), "delta": (1e-2, 20), "nu": (1e-2, 20)}

    def format_columns(self, pairs: list[Pair]) -> Columns:
        """Logarithms of e + ½, of m + ½ and of log2(block) of each run."""
        layouts = {pair: self._layout(*pair) for pair in dict.fromkeys(pairs)}
        exponent, mantissa, log2_block = np.array([layouts[pair] for pair in pairs]).T
        return {"e": np.log(exponent + 0.5), "m": np.log(mantissa + 0.5), "block": np.log(log2_block)}

    def _layout(self, weights: Format, activations: Format) -> tuple[int, int, float]:
        """(bits of exponent, of mantissa, log2 of the block size)."""
        if weights != activations:
            raise ValueError(
                f"the law 'sun' has one format a run: weights {weights} and activations {activations} differ"
            )
        if weights == DENSE:
            return 8, 7, LOG2_CHANNEL
        refuse_sparsity("sun", weights)
        if not (digits := re.fullmatch(r"e(\d)m(\d)(fn)?", weights.element.name)):
            raise ValueError(f"the law 'sun' needs bits of exponent and mantissa, which {weights} does not have")
        block = weights.block.size if weights.block and isinstance(weights.block.size, int) else None
        return int(digits[1]), int(digits[2]), float(np.log2(block)) if block else LOG2_CHANNEL

    def log_terms(self, p: Parameters, columns: Columns) -> list[np.ndarray]:
        """Chinchilla's terms, and the loss by few bits."""
        growth = p.beta * columns["d"] - p.alpha * columns["n"] + columns["block"]
        precision = p.log("gamma") + p.delta * columns["e"] + p.nu * columns["m"]
        return [*super().log_terms(p, columns), growth - precision]

    def capacity_guesses(self) -> list[dict[str, float]]:
        """Starting points of the parameters in ``capacity_names``."""
        return [{"delta": 1.0, "nu": 1.0}, {"delta": 3.0, "nu": 3.0}]


def layout(bits: int, delta: float, nu: float) -> tuple[int, int]:
    """(exponent bits, mantissa bits) of least loss for a float of ``bits`` with its sign."""
    layouts = ((exponent, bits - 1 - exponent) for exponent in range(bits))
    return max(layouts, key=lambda pair: (pair[0] + 0.5) ** delta * (pair[1] + 0.5) ** nu)


def critical_tokens(N: float, exponent: int, mantissa: int, log2_block: float, constants: Mapping[str, float]) -> float:
    """The D beyond which more tokens raise the loss: D^2β = B N^α γ (e + ½)^δ (m + ½)^ν / log2(block).

    constants: {name: value} with the names of ``Sun``.
    """
    c = constants
    precision = c["gamma"] * (exponent + 0.5) ** c["delta"] * (mantissa + 0.5) ** c["nu"]
    return (c["B"] * N ** c["alpha"] * precision / log2_block) ** (1 / (2 * c["beta"]))


LAWS = {"sun": Sun}
