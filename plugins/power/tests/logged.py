"""Logs of made operation: the optimum of a network whose costs and limits differ from what is known of it."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dgpg.convex import solve
from dgpg_power.data.moments import Moments
from dgpg_power.grid import make_grid
from dgpg_power.instance import Instance
from dgpg_power.network import Network
from dgpg_power.programs.program import HARD, pose

from .made import CPU


def untold(network: Network, seed: int, costs: float = 0.3, limits: float = 0.1) -> Network:
    """The true network: costs off by up to 30 %, limits by 10 % up or down."""
    rng = np.random.default_rng(seed)
    n = network.num_units
    quadratic, linear = (rng.uniform(1 - costs, 1 + costs, n) for _ in range(2))
    limit = network.flow_max * rng.choice([1 - limits, 1 + limits], network.num_lines)
    return replace(
        network,
        cost_quadratic=network.cost_quadratic * quadratic,
        cost_linear=network.cost_linear * linear,
        flow_min=-limit,
        flow_max=limit,
    )


def operated(instance: Instance, true: Network, count: int = 150, noise: float = 0.15) -> tuple[Moments, torch.Tensor]:
    """The hard DC optimum of drawn loads with prices, and how often each line's limit has a price, `[L]`."""
    grid = make_grid(replace(instance, network=true), CPU, torch.float64)
    rng = np.random.default_rng(1)
    level = rng.uniform(0.5, 1.0, (count, 1))
    load = torch.tensor(true.load * level * (1 + noise * rng.standard_normal((count, true.num_buses)))).clamp(min=0)
    low, high = (x.expand(count, -1) for x in (grid.unit_min, grid.unit_max))
    problem = pose(grid, load, load.sum(-1), low, high, None, HARD)
    found = solve(problem.program)
    good, output = found.optimal, problem.output(found.x)
    dual = sum(found.inequality_dual.chunk(2, -1))
    bound = torch.zeros(true.num_lines, dtype=torch.long)
    bound[problem.lines] = (dual[good] > 1e-2).sum(0)
    price = -found.equality_dual[good, 0].numpy()
    return Moments(load[good].numpy(), output[good].numpy(), price), bound


def write_log(path: Path, network: Network, moments: Moments, prices: bool = True) -> Path:
    """The CSV of a log."""
    loaded = np.flatnonzero(network.load)
    header = [f"load_{network.bus_number[b]}" for b in loaded] + [f"output_{name}" for name in network.unit_name]
    rows = np.concatenate([moments.load[:, loaded], moments.output], 1)
    if prices:
        assert moments.price is not None
        header, rows = [*header, "price"], np.concatenate([rows, moments.price[:, None]], 1)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows.tolist()])
    return path
