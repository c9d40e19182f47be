"""The optimum by cvxpylayers against the batched solver, values and gradients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg_traffic.assignment import SYSTEM_OPTIMUM, assign
from dgpg_traffic.config import Config
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.models import OptimumDistance
from dgpg_traffic.system_optimum_cvx import ProgramDistance

for package in ("cvxpy", "cvxpylayers"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'dgpg[convex]'")


def demands(instance: Instance, levels: tuple[float, ...]) -> Tensor:
    """The usual demand at some levels, `[B, N]`, float64."""
    usual = torch.from_numpy(instance.by_agent(instance.network.demand.copy()))
    return torch.tensor(levels, dtype=torch.float64)[:, None] * usual


def compare(instance: Instance) -> None:
    demand = demands(instance, (0.5, 0.8, 1.0, 1.2))
    carried = torch.from_numpy(instance.network.capacity.copy()) * torch.tensor([0.0, 0.3, 0.0, 0.1])[:, None]
    ours, theirs = OptimumDistance(instance).solve(demand.float(), carried.float()), ProgramDistance(instance)
    largest = ours.amax(-1, keepdim=True)
    assert ((theirs.flows(demand, carried) - ours).abs() / largest).max() < 1e-4


@pytest.mark.parametrize("settings", [{"network": "braess"}, {"network": "grid"}, {"agents_per_pair": 3}])
def test_both_solvers_find_the_same_flows(settings: dict[str, Any]) -> None:
    compare(build(Config(**({"network": "braess"} | settings))))


def test_both_solvers_agree_on_sioux_falls(data_file: Callable[[str], Path]) -> None:
    prefix = str(data_file("tntp/SiouxFalls_net.tntp")).removesuffix("_net.tntp")
    compare(build(Config(network=prefix)))


@pytest.mark.parametrize("network", ["braess", "grid"])
def test_gradients_are_finite_differences_of_the_batched_solver(network: str) -> None:
    """Where no route is about to come into use: of a weighted sum of link flows, towards every demand at once."""
    instance = build(Config(network=network))
    usual, width = demands(instance, (0.9,)), 1e-3
    none = torch.zeros(1, instance.network.num_links, dtype=torch.float64)
    roads = instance.roads(torch.device("cpu"), torch.float64)
    weight = torch.rand(instance.network.num_links, generator=torch.Generator().manual_seed(0)).double()

    def batched(level: float) -> Tensor:
        found = assign(roads.links, roads.pairs, level * usual, SYSTEM_OPTIMUM, tolerance=1e-11)
        return (weight * found.flow).sum()

    level = torch.ones((), dtype=torch.float64, requires_grad=True)
    (weight * ProgramDistance(instance).flows(level * usual, none)).sum().backward()
    assert level.grad is not None
    difference = (batched(1 + width) - batched(1 - width)) / (2 * width)
    assert float(level.grad) == pytest.approx(float(difference), rel=2e-3)
