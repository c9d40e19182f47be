"""What is made once and used again: parts by device and type, and solutions by what they depend on."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Context
from dgpg.files import PerDevice, Recall


class Counted:
    """Sum of `a` plus twice `b`, and how many rows it was asked for in each call."""

    def __init__(self) -> None:
        self.calls = list[int]()

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        assert {a.dtype, b.dtype} == {torch.float32} and not (a.requires_grad or b.requires_grad)
        self.calls.append(len(a))
        return a.flatten(1).sum(-1, keepdim=True) + 2 * b.unsqueeze(-1)


def context(rows: list[int]) -> Context:
    """Rows told apart by a number, with a tensor that nothing depends on."""
    x = torch.tensor(rows, dtype=torch.float64)
    return {"a": x[:, None, None] * torch.ones(2, 2), "b": 10 * x, "unread": torch.arange(len(x))}


def recall(size: int = 100) -> tuple[Recall, Counted]:
    counted = Counted()
    return Recall(("a", "b"), counted, size), counted


def test_parts_are_made_once_for_each_type() -> None:
    made = list[torch.dtype]()

    def make(device: torch.device, dtype: torch.dtype) -> Tensor:
        made.append(dtype)
        return torch.ones(1, device=device, dtype=dtype)

    parts = PerDevice(make)
    single, double = torch.zeros(3), torch.zeros(2, dtype=torch.float64)
    assert parts.like(single) is parts.like(single + 1) and parts.like(double).dtype == torch.float64
    assert parts.like(single).dtype == torch.float32 and made == [torch.float32, torch.float64]


def test_rows_are_computed_once() -> None:
    known, counted = recall()
    assert known(context([1, 2, 1])).tolist() == [[24], [48], [24]] and counted.calls == [2]
    assert known(context([2, 1])).tolist() == [[48], [24]] and counted.calls == [2]
    assert known(context([3, 2])).tolist() == [[72], [48]] and counted.calls == [2, 1]
    assert len(known) == 3


def test_every_name_that_is_told_tells_rows_apart() -> None:
    known, counted = recall()
    first = context([1, 1])
    other = dict(first) | {"b": torch.tensor([10.0, 11.0])}
    assert known(first).tolist() == [[24], [24]] and known(other).tolist() == [[24], [26]]
    assert counted.calls == [1, 1]


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=8), st.integers(6, 10))
def test_what_is_remembered_is_what_is_computed(batches: list[list[int]], size: int) -> None:
    known, counted = recall(size)
    for rows in batches:
        assert known(context(rows)).squeeze(-1).tolist() == [24.0 * row for row in rows]
        assert len(known) <= size
    assert sum(counted.calls) >= len({row for rows in batches for row in rows})


def test_beyond_the_size_everything_is_forgotten() -> None:
    known, counted = recall(2)
    for rows in ([1, 2], [2, 3], [1]):
        known(context(rows))
    # the second call forgets 1 and 2 and keeps its own two; the third its one
    assert counted.calls == [2, 2, 1] and len(known) == 1


def test_a_batch_beyond_the_size_is_computed_all_the_same() -> None:
    known, counted = recall(2)
    assert known(context([1, 2, 3])).tolist() == [[24], [48], [72]] and counted.calls == [3]
    assert known(context([4])).tolist() == [[96]] and len(known) == 1


def test_a_result_that_is_changed_changes_no_memory() -> None:
    known, _ = recall()
    known(context([1])).zero_()
    assert known(context([1])).tolist() == [[24]]


def test_no_gradient_is_kept() -> None:
    known, _ = recall()
    a = torch.ones(1, 2, requires_grad=True)
    assert not known({"a": a, "b": torch.ones(1)}).requires_grad


@pytest.mark.parametrize("kept", [lambda x: x[:-1], lambda x: torch.cat([x, x])])
def test_a_function_of_other_rows_is_refused(kept: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Recall(("b",), kept)({"b": torch.arange(3.0)})
