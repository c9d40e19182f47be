"""Seconds to make routes, excess of the optimum on them, and milliseconds an instance of the solvers of traffic.

    python benchmarks/traffic_routes.py --networks grid SiouxFalls Anaheim

Networks are those that the plugin brings along or PREFIXes of TNTP files below `$DGPG_DATA/traffic/tntp`. `excess` is
that of the objective's minimum on the routes over the minimum on all routes, the largest over levels of demand, some of
which the routes were not made for. A batch has a demand of its own for each pair, the network's times a uniform number
from 0.6 to 1.2; `warm` starts from the splits of demands that differ by 5 %.
Seconds are of processors, not of the clock: on one thread they do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from common import emit
from publishing import published
from torch import Tensor

from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, assign
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.assignment.routes import generate
from dgpg_traffic.data import NAMES, load_network
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence, Routes
from dgpg_traffic.network.network import Network

FOLDER = Path(os.environ.get("DGPG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "traffic" / "tntp"
LEVELS = (0.6, 0.7, 0.9, 1.0, 1.1, 1.2)
TOLERANCES = (1e-4, 1e-6)
T = TypeVar("T")


def load(name: str) -> Network:
    """A built-in network, or one of the folder."""
    return load_network(name if name in NAMES else str(FOLDER / name))


def emit_solutions(name: str, network: Network) -> None:
    """Total travel time of both solutions over all routes, and what finding them takes."""
    for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
        began = time.process_time()
        found = solve(network, objective)
        seconds = time.process_time() - began
        row = {"network": name, "solution": objective.name, "total time": found.total_time, "objective": found.value}
        emit({**row, "gap": found.gap, "rounds": found.rounds, "seconds": seconds})


def emit_routes(name: str, network: Network, most: int) -> Routes:
    """What making the routes takes, and what they lose."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        routes = generate(network, most=most, cache=Path(folder))
        seconds = time.process_time() - began
    links, incidence = Bpr.of(network), Incidence(routes, network.num_links)
    worst = {}
    for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
        excess = []
        for level in LEVELS:
            at_level = network.scaled(demand=level)
            demand = torch.tensor(np.array(at_level.demand))[None]
            flow = assign(links, incidence, demand, objective, tolerance=1e-7).flow
            excess.append(float(objective.value(links, flow)) / solve(at_level, objective).value - 1)
        worst[objective.name] = 100 * max(excess)
    each = float(routes.exists.sum(1).mean())
    emit({"network": name, "K": most, "seconds": seconds, "routes a pair": each, "excess %": worst})
    return routes


def emit_batches(name: str, network: Network, routes: Routes, batch: int) -> None:
    """Milliseconds an instance."""
    links, incidence = Bpr.of(network), Incidence(routes, network.num_links)
    draw = torch.Generator().manual_seed(0)
    level = 0.6 + 0.6 * torch.rand(batch, network.num_pairs, generator=draw, dtype=torch.float64)
    demand = torch.tensor(np.array(network.demand)) * level
    change = 1 + 0.05 * torch.randn(demand.shape, generator=draw, dtype=torch.float64)
    for objective in (USER_EQUILIBRIUM, SYSTEM_OPTIMUM):
        for tolerance in TOLERANCES:
            cold, first = timed(lambda o=objective, t=tolerance: assign(links, incidence, demand, o, tolerance=t))
            warm, second = timed(
                lambda o=objective, t=tolerance, s=first.splits: assign(
                    links, incidence, demand * change, o, tolerance=t, start=s
                )
            )
            row = {"network": name, "solution": objective.name, "tolerance": tolerance, "batch": batch}
            times = {"cold ms": 1e3 * cold / batch, "warm ms": 1e3 * warm / batch}
            steps = {"cold steps": first.steps, "warm steps": second.steps}
            emit({**row, **times, **steps, "gap": float(max(first.gap.max(), second.gap.max()))})


def emit_sums(name: str, network: Network, routes: Routes, batch: int) -> None:
    """Milliseconds of costs and flows of a batch by three kinds of incidence."""
    incidence = Incidence(routes, network.num_links)
    n, k = incidence.shape
    padded = torch.as_tensor(np.where(routes.links < 0, network.num_links, routes.links)).reshape(n * k, -1)
    draw = torch.Generator().manual_seed(0)
    cost = torch.rand(batch, network.num_links + 1, generator=draw, dtype=torch.float64)
    flow = torch.rand(batch, n, k, generator=draw, dtype=torch.float64)
    rows, columns = (padded < network.num_links).nonzero()[:, 0], padded[padded < network.num_links]
    ones = torch.ones(len(rows), dtype=torch.float64)
    coo = torch.sparse_coo_tensor(
        torch.stack([rows, columns]), ones, (n * k, network.num_links), check_invariants=False
    ).coalesce()
    back = coo.t().coalesce()
    spread = flow.reshape(batch, -1, 1).expand(batch, *padded.shape).reshape(batch, -1)
    kinds: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "CSR": (lambda: incidence.cost(cost[:, :-1]), lambda: incidence.flow(flow)),
        "COO": (lambda: coo @ cost[:, :-1].t(), lambda: back @ flow.reshape(batch, -1).t()),
        "padded": (
            lambda: cost[:, padded].sum(-1),
            lambda: torch.zeros_like(cost).index_add_(1, padded.flatten(), spread),
        ),
    }
    for kind, calls in kinds.items():
        seconds = []
        for call in calls:
            call()
            seconds.append(min(timed(call)[0] for _ in range(5)))
        costs, flows = (1e3 * spent for spent in seconds)
        emit({"network": name, "sums by": kind, "batch": batch, "costs ms": costs, "flows ms": flows})


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result of a call."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def main() -> None:
    """One JSON line a figure of each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=[*NAMES, "SiouxFalls", "EMA", "Anaheim"])
    parser.add_argument("--most", type=int, default=6, help="routes of a pair, K")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    for name in settings.networks:
        network = load(name)
        emit({"network": name, "nodes": network.num_nodes, "links": network.num_links, "pairs": network.num_pairs})
        emit_solutions(name, network)
        routes = emit_routes(name, network, settings.most)
        emit_batches(name, network, routes, settings.batch)
        emit_sums(name, network, routes, settings.batch)


if __name__ == "__main__":
    published(main)
