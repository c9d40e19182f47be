"""The fluid reference: closed form against brute force and optimality."""

import itertools

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor

from dgpg_cloud.models.potentials import water_fill

from ..made import off_kinks

f64 = torch.float64


@st.composite
def cases(draw: st.DrawFn, largest: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Base and capacity `[M]` and the total, with ties, empty machines and machines without capacity."""
    count = draw(st.integers(1, largest))
    base = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    capacity = draw(st.lists(st.sampled_from([0.0, 0.5, 1, 2, 8, 192]), min_size=count, max_size=count))
    assume(any(capacity))
    new = draw(st.integers(0, 400))
    x, c = torch.tensor(base, dtype=f64) / 4, torch.tensor(capacity, dtype=f64)
    return x, c, x.sum() + new / 4


def by_enumeration(base: Tensor, capacity: Tensor, total: Tensor) -> Tensor:
    """The best among all ways to hold some machines at their base and level the others."""
    best, least = base, torch.inf
    able = capacity > 0
    machines = able.nonzero().flatten().tolist()
    for size in range(1, len(machines) + 1):
        for free in itertools.combinations(machines, size):
            x, at = base.clone(), list(free)
            level = (total - base.sum() + base[at].sum()) / capacity[at].sum()
            x[at] = level * capacity[at]
            cost = float((x[able].square() / capacity[able]).sum())
            if (x >= base - 1e-12).all() and cost < least:
                best, least = x, cost
    return best


@given(cases())
def test_closed_form_is_the_best_of_all_active_sets(case: tuple[Tensor, Tensor, Tensor]) -> None:
    torch.testing.assert_close(water_fill(*case), by_enumeration(*case), atol=1e-9, rtol=1e-9)


@given(cases(60))
def test_closed_form_meets_the_optimality_conditions(case: tuple[Tensor, Tensor, Tensor]) -> None:
    base, capacity, total = case
    x = water_fill(base, capacity, total)
    torch.testing.assert_close(x.sum(), total, atol=1e-12, rtol=1e-12)  # conserved
    assert (x >= base - 1e-12).all()  # what is there stays
    able = capacity > 0
    assert torch.equal(x[~able], base[~able])
    multiplier = (x / capacity)[able]  # d cost / d x = level: the least, except where the bound holds
    above = multiplier > multiplier.min() + 1e-9
    torch.testing.assert_close(x[able][above], base[able][above], atol=0, rtol=0)


@given(cases(60))
def test_closed_form_is_the_level_at_which_all_work_finds_room(case: tuple[Tensor, Tensor, Tensor]) -> None:
    base, capacity, total = case

    def surplus(level: float) -> float:
        return float(torch.where(capacity > 0, torch.maximum(base, level * capacity), base).sum() - total)

    assume(surplus(0.0) < -1e-6)
    level = brentq(surplus, 0.0, 1e4, xtol=1e-12)
    able = capacity > 0
    expected = torch.where(able, torch.maximum(base, level * capacity), base)
    torch.testing.assert_close(water_fill(base, capacity, total), expected, atol=1e-7, rtol=1e-9)


@given(cases(8), st.floats(0.01, 1000))
def test_closed_form_scales_with_the_work_and_ignores_order(case: tuple[Tensor, Tensor, Tensor], scale: float) -> None:
    base, capacity, total = case
    x = water_fill(base, capacity, total)
    torch.testing.assert_close(water_fill(scale * base, capacity, scale * total), scale * x)
    turned = water_fill(base.flip(-1), capacity.flip(-1), total)
    torch.testing.assert_close(turned.flip(-1), x)


@given(cases())
def test_gradient_of_the_closed_form(case: tuple[Tensor, Tensor, Tensor]) -> None:
    assume(off_kinks(*case))
    base, capacity, total = case
    leaves = (base.requires_grad_(), total.detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda b, t: water_fill(b, capacity, t), leaves)


def test_gradient_by_hand() -> None:
    base = torch.tensor([0.0, 1.0, 9.0, 2.0], dtype=f64, requires_grad=True)
    capacity, total = (
        torch.tensor([1.0, 3.0, 2.0, 0.0], dtype=f64),
        torch.tensor(15.0, dtype=f64, requires_grad=True),
    )
    x = water_fill(base, capacity, total)
    torch.testing.assert_close(x, torch.tensor([1.0, 3.0, 9.0, 2.0], dtype=f64))
    grads = torch.autograd.grad(x[1], (base, total))  # x_1 = 3/4 (total - 9 - 2)
    torch.testing.assert_close(grads[0], torch.tensor([0.0, 0.0, -0.75, -0.75], dtype=f64))
    torch.testing.assert_close(grads[1], torch.tensor(0.75, dtype=f64))


def test_batch_dimensions_of_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    base, capacity = (torch.rand(4, 3, 7, dtype=f64, generator=generator) for _ in range(2))
    total = base.sum(-1) + torch.rand(4, 3, dtype=f64, generator=generator)
    together = water_fill(base, capacity, total)
    for i, j in itertools.product(range(4), range(3)):
        torch.testing.assert_close(together[i, j], water_fill(base[i, j], capacity[i, j], total[i, j]))
    shared = water_fill(base, capacity[0, 0], total)
    torch.testing.assert_close(shared[1, 2], water_fill(base[1, 2], capacity[0, 0], total[1, 2]))
    assert water_fill(base[:0], capacity[0, 0], total[:0]).shape == (0, 3, 7)
