"""Flows against loops, agents that share a pair, and equilibrium and optimum against a search over splits."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.errors import SolverError
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective, assign
from dgpg_traffic.roads import Roads

from .made import BRAESS_ROUTES, CPU, built

SEEDS = st.integers(0, 2**32 - 1)
BOTH = pytest.mark.parametrize("objective", [USER_EQUILIBRIUM, SYSTEM_OPTIMUM], ids=lambda objective: objective.name)


def roads(name: str = "braess", per_pair: int = 1) -> Roads:
    return built(network=name, agents_per_pair=per_pair).roads(CPU, torch.float64)


def drawn(seed: int, of: Roads, envs: int) -> tuple[Tensor, Tensor]:
    """Splits and demand."""
    rng = np.random.default_rng(seed)
    exists = of.incidence.exists.numpy()
    weight = rng.exponential(size=(envs, *exists.shape)) * exists
    splits = weight / weight.sum(-1, keepdims=True)
    return (
        torch.tensor(splits),
        torch.tensor(rng.uniform(0, 9, exists.shape[:1])).expand(envs, -1),
    )


def test_routes_of_braess() -> None:
    assert built().routes.links.tolist() == [BRAESS_ROUTES]


@pytest.mark.parametrize(("name", "per_pair"), [("braess", 4), ("grid", 1), ("grid", 2)])
@hypothesis_settings(max_examples=5)
@given(seed=SEEDS)
def test_flows_are_those_of_loops(name: str, per_pair: int, seed: int) -> None:
    of = roads(name, per_pair)
    splits, demand = drawn(seed, of, 2)
    links = built(network=name).routes.links
    expected = np.zeros((2, of.links.capacity.shape[0]))
    for b, n, k in np.argwhere(splits.numpy() > 0):
        for link in links[n // per_pair, k]:
            if link >= 0:
                expected[b, link] += demand[b, n] * splits[b, n, k]
    np.testing.assert_allclose(of.flow(splits, demand), expected, rtol=1e-9)


@given(SEEDS, st.integers(2, 7))
def test_agents_of_a_pair_that_split_as_one_do_what_one_does(seed: int, per_pair: int) -> None:
    one, many = roads("grid"), roads("grid", per_pair)
    splits, demand = drawn(seed, one, 2)
    alike, shared = (x.repeat_interleave(per_pair, 1) for x in (splits, demand / per_pair))
    torch.testing.assert_close(many.flow(alike, shared), one.flow(splits, demand))


@given(SEEDS, st.integers(2, 7))
def test_what_agents_of_a_pair_do_is_their_mean(seed: int, per_pair: int) -> None:
    one, many = roads(), roads(per_pair=per_pair)
    splits, _ = drawn(seed, many, 2)
    found = many.flow(splits, torch.full((2, per_pair), 6 / per_pair).double())
    torch.testing.assert_close(found, one.flow(splits.mean(1, keepdim=True), torch.full((2, 1), 6.0).double()))


def searched(of: Roads, objective: Objective, demand: Tensor, capacity: Tensor) -> float:
    """Least value on a lattice of splits over three routes that is refined around its best."""
    at, width, best = np.full(3, 1 / 3), 1.0, np.inf
    for _ in range(16):
        side = width * np.linspace(-1, 1, 9)
        first, second = np.meshgrid(at[0] + side, at[1] + side)
        splits = np.stack([first, second, 1 - first - second], -1).reshape(-1, 1, 3).clip(0)
        splits /= splits.sum(-1, keepdims=True)
        flow = of.flow(torch.tensor(splits), demand.expand(len(splits), 1))
        value = objective.value(of.at(capacity), flow)
        if float(value.min()) < best:
            best, at = float(value.min()), splits[int(value.argmin()), 0]
        width /= 2
    return best


@BOTH
@hypothesis_settings(max_examples=15)
@given(seed=SEEDS)
def test_no_split_of_braess_is_better(objective: Objective, seed: int) -> None:
    of, rng = roads(), np.random.default_rng(seed)
    demand = torch.tensor(rng.uniform(0.5, 12, (1, 1)))
    capacity = torch.tensor(rng.uniform(1, 2, (1, 5)))
    splits = of.assigned(objective, demand, capacity)
    found = float(objective.value(of.at(capacity), of.flow(splits, demand)))
    assert found == pytest.approx(searched(of, objective, demand, capacity), rel=2e-6)


@BOTH
def test_agents_of_a_pair_are_assigned_alike(objective: Objective) -> None:
    one, many = roads("grid"), roads("grid", 3)
    _, demand = drawn(0, one, 2)
    capacity = one.links.capacity.expand(2, -1)
    alone = one.assigned(objective, 20 * demand, capacity)
    shared = many.assigned(objective, 20 * demand.repeat_interleave(3, 1) / 3, capacity)
    assert torch.equal(shared, shared[:, ::3].repeat_interleave(3, 1))
    # splits of routes need not be unique, their least cost is
    values = [objective.value(one.links, one.flow(x, 20 * demand)) for x in (alone, shared[:, ::3])]
    torch.testing.assert_close(*values, rtol=1e-6, atol=0.0)


def test_assignments_come_in_the_type_that_is_asked_in() -> None:
    of = built().roads(CPU)
    demand = torch.full((2, 1), 6.0)
    splits = of.assigned(SYSTEM_OPTIMUM, demand, torch.full((2, 5), 2.0))
    assert splits.dtype == torch.float32
    torch.testing.assert_close(splits, torch.tensor([[[0, 0.5, 0.5]]] * 2), rtol=0, atol=1e-6)


def test_an_assignment_far_from_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    of = roads("grid")
    monkeypatch.setattr("dgpg_traffic.roads.assign", partial(assign, max_steps=0))
    _, demand = drawn(0, of, 2)
    with pytest.raises(SolverError, match=r"system-optimum: the assignment ended with a gap of .*demand\.scale"):
        of.assigned(SYSTEM_OPTIMUM, 200 * demand, of.links.capacity.expand(2, -1))
