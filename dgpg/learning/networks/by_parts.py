"""Rows of several parts through a shared network at once, each part as if by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LINE = 64
"""Bytes at a multiple of which torch puts tensors."""


class ByParts(TorchFunctionMode):
    """Within it, linear layers multiply the rows of one part after the other.

    The last bits of a product depend on how many rows there are and where they lie. All else of a policy over choices
    is of single numbers, or along one row.

    Args:
        sizes: rows of each part.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not torch.nn.functional.linear:
            return func(*args, **(kwargs or {}))
        rows, *weights = args
        return torch.cat([func(placed(part), *weights) for part in torch.split(rows, self.sizes)])


def placed(x: Tensor) -> Tensor:
    """The same numbers, any shape, where a tensor of its own would lie: kernels may add up otherwise from elsewhere."""
    return x if x.data_ptr() % LINE == 0 else x.clone()
