"""Gradients as one vector, so that one message carries them from shard to shard.

Parameters that ask for no gradient have no part in it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gradient(loss: Tensor, module: nn.Module) -> Tensor:
    """d loss / d parameters, one after the other, `[P]`; zero for those that the loss does not see."""
    parts = torch.autograd.grad(loss, learned(module), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def give(module: nn.Module, flat: Tensor) -> Tensor:
    """Let parameters have the gradients that `gradient` returned, or a sum of such, the last P of `[L + P]`.

    Returns:
        What stands before them, `[L]`.
    """
    parameters = learned(module)
    sizes = [parameter.numel() for parameter in parameters]
    before, *parts = torch.split(flat, [len(flat) - sum(sizes), *sizes])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    return before


def learned(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that ask for a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
