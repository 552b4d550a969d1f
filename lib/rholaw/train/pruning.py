"""The masks of one layer while it trains: what a group's schedule and backward mask say at the present step."""

from collections.abc import Sequence

import torch

from ..formats import vectors
from . import masks


class Pruning:
    """The masks of a layer's groups; `moment` is set by the trainer before every step.

    Calling it with a group's place and weights (M, rows, columns) gives (kept, alive): the forward mask, and where the
    gradient may pass; (None, None) for a group that is not sparse.
    """

    def __init__(self, groups: Sequence):
        self.groups = groups
        self.policies = [(masks.parse_schedule(g.schedule), masks.parse_backward(g.backward)) for g in groups]
        self.masks = {}  # a group's place → the mask that RigL keeps
        self.moment = (0, 1)  # the step, and how many there are

    def start(self, weight: torch.Tensor, generators: Sequence[torch.Generator]) -> None:
        """Draw RigL's first masks, each member's from its own generator."""
        for place, (group, (schedule, _)) in enumerate(zip(self.groups, self.policies, strict=True)):
            if isinstance(schedule, masks.RigL):
                share = group.weights.format.sparsity.share
                self.masks[place] = masks.rigl_init(weight[group.members], share, generators[group.members])

    @torch.no_grad()
    def __call__(self, place: int, weight: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        format = self.groups[place].weights.format
        if (sparsity := format.sparsity) is None:
            return None, None
        schedule, backward = self.policies[place]
        step, steps = self.moment
        if place in self.masks:
            kept = self.masks[place] = self.masks[place].to(weight.device)  # which may have moved since the masks came
            return kept, torch.ones_like(kept) if schedule.updates(step, steps) else kept
        y = vectors.hadamard(weight, format.rotation) if format.rotation else weight
        share = schedule.share(step / steps, getattr(sparsity, "share", None))
        kept = masks.magnitude_mask(sparsity, y, share)
        return kept, masks.backward_mask(backward, y, kept, getattr(sparsity, "m", None))

    @torch.no_grad()
    def move(self, weight: torch.Tensor, gradient: torch.Tensor, *averages: torch.Tensor) -> None:
        """After the backward pass of a step at which RigL moves: exchange, and start what came from nothing.

        The step then descends along what the new mask leaves of the gradient; the authors' code skips the descent, and
        with an exchange in every step nothing would learn.  gradient is dense, and is cut to the new mask; averages are
        those of the optimiser.  All are (M, rows, columns).
        """
        step, steps = self.moment
        for place, mask in self.masks.items():
            schedule, members = self.policies[place][0], self.groups[place].members
            if not schedule.updates(step, steps):
                continue
            share = self.groups[place].weights.format.sparsity.share
            part, slope = weight[members], gradient[members]
            new = masks.rigl_update(mask, part, slope, share, schedule.fraction(step / steps))
            for tensor in (part, *(average[members] for average in averages)):
                tensor.masked_fill_(new & ~mask, 0.0)
            slope.mul_(new)
            self.masks[place] = new
