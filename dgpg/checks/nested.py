"""Records of tensors as flat tables, and the first place in which two of them differ."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgpg.domain.types import Record, map_tensors

Flat = Mapping[str, Any]
"""Leaf values (tensors, arrays, numbers) by path, such as `decision.context['load']`."""


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of nested dataclasses, mappings and sequences by its path; None has no leaf."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f"{path}.{f.name}".lstrip("."): getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, Mapping):
        parts = {f"{path}[{key!r}]": item for key, item in value.items()}
    elif isinstance(value, list | tuple):
        parts = {f"{path}[{i}]": item for i, item in enumerate(value)}
    else:
        return {} if value is None else {path: value}
    return {name: leaf for inner, item in parts.items() for name, leaf in flat(item, inner).items()}


def copied(record: Record) -> Record:
    """The same numbers in memory of their own, without gradients."""
    return map_tensors(lambda x: x.detach().clone() if isinstance(x, Tensor) else copy.deepcopy(x), record)


def row(record: Record, b: int) -> Record:
    """Environment b alone, a batch of one."""
    return map_tensors(lambda tensor: tensor[b : b + 1], record)


def difference(first: Any, second: Any, tolerance: float = 0.0) -> str | None:
    """The first leaf in which two records differ, with index and both numbers; None if they are the same.

    Args:
        first: nested record, mapping or tensor.
        second: another of the same structure.
        tolerance: of floats, relative to the largest number of the leaf; 0 asks for equality bit for bit.
    """
    a, b = flat(first), flat(second)
    for name in a:
        found = _leaf(name or "value", a[name], b[name], tolerance) if name in b else None
        if found:
            return found
    missing = [name for name in (*a, *b) if (name in a) != (name in b)]
    return f"{missing[0] or 'value'} is present in one and absent in the other" if missing else None


def _leaf(name: str, first: Any, second: Any, tolerance: float) -> str | None:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        first, second = torch.from_numpy(first), torch.from_numpy(second)
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return None if first == second or (first != first and second != second) else f"{name}: {first} against {second}"
    if first.shape != second.shape or first.dtype != second.dtype:
        return f"{name}: {first.dtype} {list(first.shape)} against {second.dtype} {list(second.shape)}"
    unequal = (first != second) & ~((first != first) & (second != second))
    if tolerance and first.is_floating_point():
        size = torch.cat([first.flatten(), second.flatten()]).abs().nan_to_num(0, 0, 0).amax() if first.numel() else 0
        unequal &= ~((first - second).abs() <= tolerance * size)
    if not unequal.any():
        return None
    at = tuple(unequal.nonzero()[0].tolist())
    return f"{name}{list(at) if at else ''}: {first[at].item():.9g} against {second[at].item():.9g}"
