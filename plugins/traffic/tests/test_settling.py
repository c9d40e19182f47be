"""Equilibrium and optimum with queues: by hand, against a search, and static where nobody waits."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg_traffic import settling
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, Objective
from dgpg_traffic.roads import Roads
from dgpg_traffic.settling import settled

from .made import CPU, built

BOTH = pytest.mark.parametrize("objective", [USER_EQUILIBRIUM, SYSTEM_OPTIMUM], ids=lambda objective: objective.name)


def roads(**values: Any) -> Roads:
    return built(**values).roads(CPU, torch.float64)


def situation(of: Roads, vehicles: float) -> tuple[Tensor, Tensor, Tensor]:
    """One instance of braess on empty roads: demand, who waits, capacity."""
    return (
        torch.full((1, 1), vehicles).double(),
        torch.zeros(1, of.loading.num_legs).double(),
        of.links.capacity.unsqueeze(0),
    )


def spent(of: Roads, splits: Tensor, demand: Tensor, waiting: Tensor, capacity: Tensor) -> Tensor:
    wide = (x.expand(len(splits), -1) for x in (demand, waiting, capacity))
    return of.loading.spent(of.load(splits, *wide)).sum(-1)


@BOTH
def test_where_nobody_waits_splits_are_those_of_the_static_problem(objective: Objective) -> None:
    of = roads(network="grid", demand={"scale": 0.5})
    demand = torch.from_numpy(built(network="grid", demand={"scale": 0.5}).network.demand.copy())[None]
    nobody, capacity = torch.zeros(1, of.loading.num_legs).double(), of.links.capacity[None]
    found = settled(of, objective, demand, nobody, capacity)
    assert torch.equal(found, of.assigned(objective, demand, capacity))


@pytest.mark.parametrize("vehicles", [4.5, 6.0, 9.0])
def test_no_split_on_a_lattice_is_much_better(vehicles: float) -> None:
    of = roads()
    given = situation(of, vehicles)
    found = spent(of, settled(of, SYSTEM_OPTIMUM, *given), *given)
    first, second = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    splits = np.stack([first, second, 1 - first - second], -1).reshape(-1, 1, 3)
    least = spent(of, torch.tensor(splits[(splits >= -1e-9).all((1, 2))]).clamp(min=0), *given).min()
    assert float(found) <= float(least) * 1.02  # of three routes one has a valley of its own


def test_drivers_avoid_the_way_on_which_others_wait() -> None:
    """2 wait before the second link of the way by node 3: nobody goes there who can take the other."""
    of = roads()
    demand, waiting, capacity = situation(of, 3.0)
    legs = of.loading.num_legs
    taken = []
    for leg in range(legs):
        waiting = torch.zeros(1, legs).double()
        waiting[0, leg] = 6.0
        splits = settled(of, USER_EQUILIBRIUM, demand, waiting, capacity)
        time = of.incidence.cost(of.loading.mean_time(of.load(splits, demand, waiting, capacity)))[0, 0]
        used = splits[0, 0] > 0.02
        taken.append(float(time[used].max() / time.min() - 1))
    assert max(taken) < 0.03  # nobody who would be faster elsewhere


def test_more_steps_find_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"network": "grid", "demand": {"scale": 1.2}}
    of, demand = roads(**values), torch.from_numpy(built(**values).network.demand.copy())[None]
    given = demand, torch.zeros(1, of.loading.num_legs).double(), of.links.capacity[None]
    best = []
    for steps in (settling.STEPS, 6 * settling.STEPS):
        monkeypatch.setattr(settling, "STEPS", steps)
        best.append(float(spent(of, settled(of, SYSTEM_OPTIMUM, *given), *given)))
    static = float(spent(of, of.assigned(SYSTEM_OPTIMUM, demand, given[2]), *given))
    assert best[0] < 1.002 * best[1] and best[1] < 0.95 * static


@BOTH
def test_agents_of_a_pair_split_alike(objective: Objective) -> None:
    of = roads(agents_per_pair=3)
    nobody = torch.zeros(1, of.loading.num_legs).double()
    found = settled(of, objective, torch.full((1, 3), 2.0).double(), nobody, of.links.capacity[None])
    torch.testing.assert_close(found, found[:, :1].expand(-1, 3, -1))
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 3).double())
