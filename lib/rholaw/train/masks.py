"""Masks of sparse training: which weights take part in the forward pass, and which of them receive a gradient.

All tensors are stacked: the first dimension counts M members that train side by side, each with its own thresholds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..formats.sparsity import NofM, Sparsity

GMP_END = 0.75  # of the training: the share grows until here, so that a quarter is left to recover
RIGL_END = 0.75  # of the training: the mask of RigL stays from here on (Evci et al. 2020, section 4)
RIGL_FRACTION = 0.3  # of the active weights: what RigL replaces at first (ibid.)
Share = float | torch.Tensor  # one number, or one for each of M members


# ---- forward masks by magnitude


def topk_mask(weight: torch.Tensor, share: Share) -> torch.Tensor:
    """True where a weight survives, when every member loses the ``share`` of it with the smallest magnitudes.

    ``weight`` is (M, ...); ``share`` one number, or a tensor of M, best in float64. Every member's mask is exactly that
    of ``sparsity.TopK(share)``: ``round(share · n)`` of n weights go, and of equal ones the first survive.
    """
    return _largest(weight.detach().flatten(1).abs(), _survivors(weight, share)).view(weight.shape)


def magnitude_mask(sparsity: Sparsity, weight: torch.Tensor, share: Share | None) -> torch.Tensor:
    """True where a weight of (M, ...) survives: ``share`` is that of a ``TopK`` now; N:M has its own and ignores it.

    Raises ValueError where the M of N:M does not divide the rows.
    """
    return sparsity.mask(weight) if isinstance(sparsity, NofM) else topk_mask(weight, share)


def _survivors(weight: torch.Tensor, share: Share) -> torch.Tensor:
    """How many weights of each member survive, (M, 1)."""
    n = weight[0].numel()
    if isinstance(share, torch.Tensor):
        return n - (share.double() * n).round().long()[:, None]
    return torch.full((len(weight), 1), n - round(share * n), device=weight.device)


def _largest(scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """True at the ``counts`` (M, 1) largest scores of every row of (M, n); of equal ones the first."""
    on_cpu = scores.device.type == "cpu"
    place = (scores.shape[1] - counts).clamp_max(scores.shape[1] - 1)  # of the last to stay, in ascending order
    if on_cpu:  # numpy's partition takes a hundredth of the time of a sort
        rows = zip(scores.numpy(), place.flatten().tolist(), strict=True)
        threshold = torch.from_numpy(np.stack([np.partition(row, k)[k : k + 1] for row, k in rows]))
    else:
        threshold = scores.sort(1).values.gather(1, place)
    mask = scores >= threshold
    if on_cpu and (mask.sum(1, keepdim=True) == counts).all():  # no ties; a GPU would have to wait for the answer
        return mask
    larger = scores > threshold
    ties = mask & ~larger
    return larger | ties & (ties.cumsum(1) <= counts - larger.sum(1, keepdim=True))


# ---- backward masks


RANGES = {"rms": "above 0 and below 0.5", "banded-rms": "from 0 to below 0.5", "area-banded-rms": "from 0 to 1"}


@dataclass(frozen=True)
class Backward:
    """Which weights receive a gradient under a sparse forward mask (RBBM; Panferov et al. 2025, arXiv 2506.01863).

    ``fw``: those of the forward mask. ``rms:P``: those whose magnitude exceeds the quantile T_p. ``banded-rms:P``:
    all but the band between T_p and the threshold T_k of the forward mask; P = 0 is ``fw``. ``area-banded-rms:A``:
    all but the part of the pruned ones next to T_k that holds the share A of a Gaussian's area between 0 and T_k.
    A = 1 is ``fw``, A = 0 lets all gradients pass: so says the paper's formula, while its prose swaps the two ends.

    Raises ValueError for an unknown name and for a parameter out of its range.
    """

    name: str
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.name == "fw" and self.parameter is None:
            return
        if self.name not in RANGES or self.parameter is None:
            right = ", ".join(f"{name}:X with X {range}" for name, range in RANGES.items())
            raise ValueError(f"{str(self)!r} is no backward mask; right would be fw, {right}")
        x, banded = self.parameter, self.name != "rms"
        if not (0 <= x <= 1 if self.name == "area-banded-rms" else 0 <= x < 0.5 and (banded or x > 0)):
            raise ValueError(f"{str(self)!r}: {x:g} is out of range; right would be a number {RANGES[self.name]}")

    def __str__(self) -> str:
        return self.name if self.parameter is None else f"{self.name}:{self.parameter:.15g}"


def parse_backward(text: str) -> Backward:
    """The ``Backward`` that a text such as ``banded-rms:0.1`` names. Raises ValueError, which says what is right."""
    return Backward(*_split(text, float))


def backward_mask(
    backward: Backward, weight: torch.Tensor, kept: torch.Tensor, group: int | None = None
) -> torch.Tensor:
    """True where a weight receives a gradient; ``weight`` and ``kept``, the forward mask, are (M, ...).

    The thresholds are of the paper's formulas, each member with its own: RMS of all its weights; Φ⁻¹ the quantile of
    the standard normal; T_p = RMS Φ⁻¹(½ + p); T_k the smallest magnitude kept; T_a = RMS Φ⁻¹(½ + (1 − a)(Φ(T_k / RMS)
    − ½)). For N:M pass M as ``group``: every M consecutive weights of a row have a T_k of their own, since N:M prunes
    by no common threshold. Of weights that equal T_k those kept count as above it.
    """
    name, x = backward.name, backward.parameter
    if name == "fw":
        return kept
    if name == "area-banded-rms" and x == 0:
        return torch.ones_like(kept)  # the band is empty, whatever rounding makes of Φ⁻¹(Φ(T_k))
    size = weight[0].numel()
    magnitude = weight.detach().abs().view(len(weight), -1, group or size)
    kept_groups = kept.view(magnitude.shape)
    rms = torch.linalg.vector_norm(magnitude, dim=(1, 2), keepdim=True, dtype=torch.float64) / math.sqrt(size)
    scale = rms * math.sqrt(2)  # Φ(z) − ½ = erf(z / √2) / 2, which is exact near 0
    if name != "area-banded-rms":
        t_p = (scale * torch.erfinv(torch.full_like(scale, 2 * x))).to(magnitude.dtype)
        if name == "rms":
            return (magnitude > t_p).view(weight.shape)
    t_k = magnitude.masked_fill(~kept_groups, torch.inf).amin(2, keepdim=True)
    if name == "area-banded-rms":
        t_a = scale * torch.erfinv((1 - x) * torch.erf(t_k / scale))
        passes = kept_groups | (magnitude < t_a.to(magnitude.dtype))
    else:
        passes = torch.where(t_p <= t_k, kept_groups | (magnitude < t_p), (magnitude < t_k) | (magnitude > t_p))
    return passes.view(weight.shape)


# ---- schedules of the forward mask


@dataclass(frozen=True)
class Magnitude:
    """``magnitude``: the full share from the first step on, chosen anew by magnitude in every step."""

    def share(self, progress: float, final: float | None) -> float | None:
        """The share to prune at ``progress`` from 0 to 1 through the training, for the format's own share ``final``."""
        return final

    def __str__(self) -> str:
        return "magnitude"


@dataclass(frozen=True)
class GMP:
    """``gmp``: the share grows from 0 by the cubic law of gradual magnitude pruning (Zhu & Gupta 2017, equation 1).

    It is full at 75 % of the training: where the ramp ends is no constant of theirs, so it ends where RigL ends.
    """

    def share(self, progress: float, final: float) -> float:
        """S(1 − (1 − t)³) at t = progress / 0.75, and S from there on."""
        return final * (1 - max(0.0, 1 - progress / GMP_END) ** 3)

    def __str__(self) -> str:
        return "gmp"


@dataclass(frozen=True)
class RigL:
    """``rigl:K``: a mask that is kept, and of which a part is exchanged every K steps (Evci et al. 2020, algorithm 1).

    Until 75 % of the training; ``rigl:1`` throughout: the two settings that arXiv 2506.01863 compares. Raises
    ValueError unless K is a whole number from 1 on.
    """

    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"{str(self)!r}: a mask is exchanged every 1 step or more; right would be rigl:100")

    @property
    def end(self) -> float:
        """The part of the training through which masks change."""
        return 1.0 if self.every == 1 else RIGL_END

    def share(self, progress: float, final: float) -> float:
        """The full share throughout."""
        return final

    def updates(self, step: int, steps: int) -> bool:
        """Whether the mask changes at ``step`` of 0 … ``steps`` − 1; not at the first, whose mask is fresh."""
        return step > 0 and step % self.every == 0 and step < self.end * steps

    def fraction(self, progress: float) -> float:
        """The part of the active weights to exchange: 0.3 at first, and by a cosine 0 at the end (their section 3)."""
        return RIGL_FRACTION / 2 * (1 + math.cos(math.pi * min(1.0, progress / self.end)))

    def __str__(self) -> str:
        return f"rigl:{self.every}"


def parse_schedule(text: str) -> Magnitude | GMP | RigL:
    """The schedule that ``magnitude``, ``gmp`` or ``rigl:K`` names. Raises ValueError, which says what is right."""
    name, number = _split(text, int)
    if name == "rigl" and number is not None:
        return RigL(number)
    if text not in ("magnitude", "gmp"):
        raise ValueError(f"{text!r} is no schedule; right would be magnitude, gmp or rigl:K, such as rigl:100")
    return Magnitude() if text == "magnitude" else GMP()


def _split(text: str, kind: type) -> tuple:
    """Name and number of ``name:number``; no number where there is no colon or what follows it is none."""
    name, _, number = text.partition(":")
    try:
        return name, kind(number)
    except ValueError:
        return text, None


# ---- the kept mask of RigL


def rigl_init(weight: torch.Tensor, share: Share, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """A random mask for (M, ...) that prunes exactly ``share``, by one CPU generator a member: as if it were alone."""
    scores = [torch.rand(weight.shape[1:], generator=generator) for generator in generators]
    return topk_mask(torch.stack(scores).to(weight.device), share)


def rigl_update(
    mask: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, share: Share, fraction: float
) -> torch.Tensor:
    """The next mask of RigL: ``fraction`` of the active weights with the smallest magnitudes go, as many others come.

    ``gradient`` is that of the loss with respect to every weight as used, the inactive ones included; those with the
    largest |gradient| come, and one that just went may come back, with its value. The caller sets the others that
    come (``new & ~mask``), and the optimiser's averages of them, to zero. All tensors are (M, ...); ``share`` as in
    ``topk_mask``. (Evci et al. 2020, algorithm 1; their code makes the update in place of the step's descent.)
    """
    active = _survivors(weight, share)
    exchanged = (active.double() * fraction).long()
    magnitude, demand = weight.detach().flatten(1).abs(), gradient.detach().flatten(1).abs()
    stay = _largest(magnitude.masked_fill(~mask.flatten(1), -1), active - exchanged)
    return (stay | _largest(demand.masked_fill(stay, -1), exchanged)).view(mask.shape)
