"""Legs: their order by hand, and their sums against loops over routes."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_traffic.network.incidence import Routes
from dgpg_traffic.network.legs import Legs

from ..made import CPU

ROUTES = [[[0, 3, 4], [1, 4, -1]], [[2, -1, -1], [-1, -1, -1]]]
"""Two pairs: of three links and of two, and of one; the second slot of the second pair is empty."""


def made(routes: object, links: int) -> Legs:
    return Legs(Routes(np.array(routes)), links, CPU, torch.float64)


def column(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64).unsqueeze(-1)


def test_legs_come_by_position_and_the_longest_routes_first() -> None:
    legs = made(ROUTES, 5)
    assert legs.counts == [3, 2, 1] and legs.num_legs == 6
    assert legs.of_links(column(0, 1, 2, 3, 4)).squeeze(-1).tolist() == [0, 1, 2, 3, 4, 4]
    assert legs.of_routes(torch.tensor([[[5.0, 6.0], [7.0, 8.0]]]).double()).squeeze(-1).tolist() == [5, 6, 7]
    assert legs.on_links(column(1, 2, 4, 8, 16, 32)).squeeze(-1).tolist() == [1, 2, 4, 8, 48]
    assert legs.arrived(column(1, 2, 4, 8, 16, 32)).tolist() == [4 + 16 + 32]


def test_who_passes_a_leg_comes_to_the_next() -> None:
    legs = made(ROUTES, 5)
    half, one = column(*[0.5] * 6), column(*[1.0] * 6)
    # 8, 4 and 2 set out; one more passes each leg besides
    assert legs.along(column(8, 4, 2), one, half).squeeze(-1).tolist() == [8, 4, 2, 5, 3, 3.5]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3), st.integers(1, 6))
def test_sums_are_those_of_loops(seed: int, pairs: int, slots: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    routes = np.full((pairs, slots, longest), -1)
    for n, k in np.ndindex(pairs, slots):
        length = rng.integers(k == 0, longest + 1)  # the first slot of a pair holds a route
        routes[n, k, :length] = rng.integers(7, size=length)
    legs, price = made(routes, 7), rng.uniform(size=7)
    ahead, on = legs.ahead(torch.tensor(price)[:, None]), legs.on_links(torch.ones(legs.num_legs, 1).double())
    links = [links[links >= 0] for links in routes.reshape(-1, longest)]
    expected = sorted(price[one[p:]].sum() for one in links for p in range(len(one)))
    np.testing.assert_allclose(np.sort(ahead.squeeze(-1)), expected)
    np.testing.assert_array_equal(on.squeeze(-1), np.bincount(np.concatenate(links), minlength=7))
