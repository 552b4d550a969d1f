"""The parameters of a batched model as one matrix, a row a member, so that an optimiser takes few operations."""

import torch
from torch import nn


def flatten(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(parameters, gradients, decay): the parameters of ``model`` become views of the rows of one matrix (M, P).

    The gradients are another such matrix, of zeros; decay (1, P) is 1 where weight decay applies, and 0 elsewhere.
    """
    flat = torch.cat([p.detach().reshape(len(p), -1) for p in model.parameters()], 1)
    decay = torch.zeros_like(flat[:1])
    decays = views(decay, model)
    for parameter, values in views(flat, model).items():
        parameter.data = values
        decays[parameter].fill_(float(parameter.ndim == 3 and parameter.shape[1] > 1))  # matrices only
    return flat, torch.zeros_like(flat), decay


def views(flat: torch.Tensor, model: nn.Module) -> dict[nn.Parameter, torch.Tensor]:
    """{parameter: its part of the rows of ``flat`` (M, P)}, in the parameters' order."""
    parameters = list(model.parameters())
    parts = flat.split([p[0].numel() for p in parameters], 1)
    return {p: part.unflatten(1, p.shape[1:]) for p, part in zip(parameters, parts, strict=True)}
