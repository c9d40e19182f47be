"""Gradients as one vector, so that one message carries them from shard to shard."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gradient(loss: Tensor, module: nn.Module) -> Tensor:
    """d loss / d parameters, one after the other, `[P]`; zero for those that the loss does not see."""
    parts = torch.autograd.grad(loss, list(module.parameters()), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def give(module: nn.Module, flat: Tensor) -> None:
    """Let parameters have the gradients `[P]` that `gradient` returned, or a sum of such."""
    parameters = list(module.parameters())
    parts = torch.split(flat, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
