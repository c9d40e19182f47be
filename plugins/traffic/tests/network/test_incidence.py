"""Routes in slots, and sums over links and routes against loops."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg_traffic.network.incidence import Incidence, Routes, _distinct, pack, unpack

LINKS = np.array([[[0, 2, -1], [1, 3, -1], [-1, -1, -1]], [[4, -1, -1], [-1, -1, -1], [-1, -1, -1]], [[2, 4, 0]] * 3])
LINKS[2, 1, 2], LINKS[2, 2] = -1, (1, 3, 4)


def test_routes_are_copies_and_know_their_empty_slots() -> None:
    links = LINKS.copy()
    routes = Routes(links)
    links[:] = 0
    assert routes.exists.tolist() == [[True, True, False], [True, False, False], [True] * 3]
    inf = np.inf
    times = routes.times(np.array([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert times.tolist() == [[5, 10, inf], [16, inf, inf], [21, 20, 26]]


def test_pack_sorts_by_score_and_joins_equal_routes() -> None:
    pair = np.array([1, 0, 0, 1, 0])
    links = np.array([[5, -1, -1], [1, 2, -1], [3, -1, -1], [4, 2, -1], [1, 2, -1]])
    routes, score = pack(pair, links, np.array([1.0, 2.0, 5.0, 3.0, 4.0]))
    assert routes.links.tolist() == [[[1, 2], [3, -1]], [[4, 2], [5, -1]]]
    assert score.tolist() == [[6, 5], [3, 1]]
    routes, score = pack(pair[1:], links[1:], np.array([2.0, 5.0, 3.0, -1.0]), most=1)
    assert routes.links.tolist() == [[[3, -1]], [[4, 2]]] and score.tolist() == [[5], [3]]


def test_unpack_is_the_reverse_of_pack() -> None:
    score = np.array([[3.0, 2, 0], [1, 0, 0], [9, 8, 7]])
    pair, links, scores = unpack(Routes(LINKS), score)
    assert pair.tolist() == [0, 0, 1, 2, 2, 2] and scores.tolist() == [3, 2, 1, 9, 8, 7]
    again, values = pack(pair, links, scores)
    np.testing.assert_array_equal(again.links, LINKS)
    np.testing.assert_array_equal(values, score)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_sums_are_those_of_loops(shape: tuple[int, ...]) -> None:
    incidence, draw = Incidence(Routes(LINKS), 5), torch.Generator().manual_seed(0)
    cost = torch.rand(*shape, 5, generator=draw, dtype=torch.float64)
    flow = torch.rand(*shape, 3, 3, generator=draw, dtype=torch.float64) * incidence.exists
    costs, links = torch.zeros(*shape, 3, 3).double(), torch.zeros(*shape, 5).double()
    common = torch.zeros(*shape, 3, 3, 3).double()
    for n, k in np.argwhere(LINKS[..., 0] >= 0):
        for link in filter(lambda x: x >= 0, LINKS[n, k]):
            costs[..., n, k] += cost[..., link]
            links[..., link] += flow[..., n, k]
            for other in range(3):
                common[..., n, k, other] += cost[..., link] * (link in LINKS[n, other])
    torch.testing.assert_close(incidence.cost(cost), costs)
    torch.testing.assert_close(incidence.flow(flow), links)
    torch.testing.assert_close(incidence.common(cost), common)


def test_gradients_pass_through_twice() -> None:
    incidence, draw = Incidence(Routes(LINKS), 5), torch.Generator().manual_seed(0)
    flow = torch.rand(2, 3, 3, generator=draw, dtype=torch.float64, requires_grad=True)

    def cost(flow: torch.Tensor) -> torch.Tensor:
        return incidence.cost(incidence.flow(flow) ** 3)

    assert torch.autograd.gradcheck(cost, flow) and torch.autograd.gradgradcheck(cost, flow)


def test_single_precision() -> None:
    incidence = Incidence(Routes(LINKS), 5, dtype=torch.float32)
    assert incidence.cost(torch.ones(1, 5)).tolist() == [[[2, 2, 0], [1, 0, 0], [3, 2, 3]]]


def test_a_copy_does_the_same() -> None:
    incidence = Incidence(Routes(LINKS), 5)
    cost = torch.arange(5.0).double()
    assert torch.equal(deepcopy(incidence).cost(cost), incidence.cost(cost))


@given(data=st.data(), width=st.integers(1, 4), rows=st.integers(1, 30))
def test_rows_that_differ_are_those_of_numpy(data: st.DataObject, width: int, rows: int) -> None:
    drawn = data.draw(
        st.lists(st.lists(st.integers(-1, 2), min_size=width, max_size=width), min_size=rows, max_size=rows)
    )
    table, score = np.array(drawn), np.arange(rows, dtype=float)
    found, total = _distinct(table, score)
    expected, place = np.unique(table, axis=0, return_inverse=True)
    back = np.lexsort(found.T[::-1])
    np.testing.assert_array_equal(found[back], expected)
    np.testing.assert_allclose(total[back], np.bincount(place.reshape(-1), score))
