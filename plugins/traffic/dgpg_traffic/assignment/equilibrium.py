"""User equilibrium and system optimum over all routes of a network, by column generation.

The cheapest route of each pair at the prices of the last solution joins the routes; the solver on given routes starts
from that solution. Ends when no route would be cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dgpg.errors import SolverError
from dgpg_traffic.arrays import FloatArray, IntArray
from dgpg_traffic.assignment.assign import Objective, assign
from dgpg_traffic.network.bpr import Bpr, total_time
from dgpg_traffic.network.incidence import Incidence, Routes, pack, stack_rows, unpack
from dgpg_traffic.network.network import Network
from dgpg_traffic.network.paths import Graph, cheapest

ROUNDS = 100
ROUGH = 1e-3
"""Gap of the first solutions on given routes."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Flows of a network.

    Attributes:
        routes: every route that was considered, those with the most flow first.
        route_flow: `[N, K]`; 0 in empty slots and on routes that are not used.
        flow: of links, `[L]`.
        total_time: vehicles times time.
        value: of the objective.
        gap: what the vehicles pay above the cheapest routes of all, as a share of what they pay.
        rounds: of column generation.
    """

    routes: Routes
    route_flow: FloatArray
    flow: FloatArray
    total_time: float
    value: float
    gap: float
    rounds: int


def solve(
    network: Network,
    objective: Objective,
    *,
    start: Solution | None = None,
    tolerance: float = 1e-7,
) -> Solution:
    """Minimise the objective over all routes.

    Args:
        network: with its demand.
        objective: `USER_EQUILIBRIUM` or `SYSTEM_OPTIMUM`.
        start: a solution of the same network for another objective or demand; its used routes are the first ones.
        tolerance: gap to reach.

    Raises:
        SolverError: the gap is not reached.
    """
    links, graph = Bpr.of(network), network.graph()
    if start is None:
        routes, flow = _first(network, graph)
    else:
        routes, flow = _used(start, network.demand)
    met: list[IntArray] = []
    inner = ROUGH
    for count in range(1, ROUNDS + 1):
        incidence = Incidence(routes, network.num_links)
        demand = torch.from_numpy(np.array(network.demand))[None]
        splits = torch.from_numpy(flow / flow.sum(-1, keepdims=True))[None]
        found = assign(links, incidence, demand, objective, start=splits, tolerance=inner)
        flow = (found.splits[0] * demand[0, :, None]).numpy()
        price = objective.price(links, found.flow)[0].numpy()
        least, new = cheapest(graph, price, network.origin, network.destination)
        paid = float(price @ found.flow[0].numpy())
        gap = 1 - float(network.demand @ least) / paid if paid > 0 else 0.0  # nobody can save where nobody pays
        if gap <= tolerance:
            whole = _joined(routes, flow, met)
            return _solution(network, links, objective, whole, found.flow, gap, count)
        # The routes are still to change: a gap well below that of the round is enough for their prices.
        inner = max(tolerance / 2, min(ROUGH, gap / 10))
        met.append(new)
        routes, flow = _joined(*_carrying(routes, flow), [new])
    message = f"column generation has a gap of {gap:.1e} after {ROUNDS} rounds, expected {tolerance:.1e}"
    raise SolverError(f"{network.name}: {objective.name}: {message}: allow a larger tolerance")


def _first(network: Network, graph: Graph) -> tuple[Routes, FloatArray]:
    """All demand on the routes that are the shortest without traffic."""
    _, links = cheapest(graph, network.free_time, network.origin, network.destination)
    return pack(np.arange(network.num_pairs), links, np.array(network.demand))


def _used(start: Solution, demand: FloatArray) -> tuple[Routes, FloatArray]:
    """The routes of a solution that carry flow, with flows of the same shares of another demand."""
    return _carrying(start.routes, start.route_flow * (demand / start.route_flow.sum(-1))[:, None])


def _carrying(routes: Routes, flow: FloatArray) -> tuple[Routes, FloatArray]:
    """The routes that carry flow: others are found again should they be wanted."""
    pair, links, flows = unpack(routes, flow)
    used = flows > 0
    return pack(pair[used], links[used], flows[used])


def _joined(routes: Routes, flow: FloatArray, new: list[IntArray]) -> tuple[Routes, FloatArray]:
    """The routes with more of each pair, `[N, P]` each, without flow; what is there already is not added."""
    pair, links, flows = unpack(routes, flow)
    every = np.tile(np.arange(len(flow)), len(new))
    return pack(np.concatenate([pair, every]), stack_rows([links, *new]), np.concatenate([flows, np.zeros(len(every))]))


def _solution(
    network: Network,
    links: Bpr,
    objective: Objective,
    routes: tuple[Routes, FloatArray],
    flow: torch.Tensor,
    gap: float,
    rounds: int,
) -> Solution:
    time, value = float(total_time(links, flow)), float(objective.value(links, flow))
    return Solution(*routes, flow[0].numpy(), time, value, gap, rounds)
