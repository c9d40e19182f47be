"""`traffic.system-optimum-cvx`: system optimum by cvxpylayers; needs pip install 'dgpg-plugin-traffic[convex]'."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from torch import Tensor

from dgpg.convex import ConvexLayer, require
from dgpg.files import CONTEXTS
from dgpg_traffic.arrays import FloatArray
from dgpg_traffic.config import Config
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.models.potentials import OptimumDistance


class ProgramDistance(OptimumDistance):
    """`traffic.system-optimum` with its reference from a program written in cvxpy.

    An independent check of it, and a pattern for models that have more to say: add a constraint to `optimum_layer`.
    Takes two to three times as long in batches, and no longer for one instance.
    """

    def __init__(self, instance: Instance, memory: int = CONTEXTS) -> None:
        super().__init__(instance, memory)
        network, self.per_pair = instance.network, instance.config.agents_per_pair
        self.usual = torch.from_numpy(network.demand.copy())
        self.size = self.sizes(instance)
        self.layer = optimum_layer(instance, self.size.numpy())

    def sizes(self, instance: Instance) -> Tensor:
        """Of flows, `[L]`: capacities or, where these are far less, the flows of the usual optimum."""
        demand = torch.from_numpy(instance.by_agent(instance.network.demand.copy()))[None].float()
        usual = OptimumDistance.solve(self, demand)[0].double()
        return usual.maximum(torch.from_numpy(instance.network.capacity.copy()))

    def solve(self, demand: Tensor) -> Tensor:
        """Flows of links `[B, L]`, as of `OptimumDistance`.

        Raises:
            SolverError: an instance, named by its place in the batch, was not solved.
        """
        with torch.no_grad():
            return self.flows(demand).float()

    def flows(self, demand: Tensor) -> Tensor:
        """Flows of links `[B, L]`, float64, differentiable in demand `[B, N]`."""
        of_pairs = demand.double().view(len(demand), len(self.usual), -1).sum(-1)
        load, _ = self.layer(of_pairs / self.usual)
        found: Tensor = load * self.size
        return found


def optimum_layer(instance: Instance, size: FloatArray) -> ConvexLayer:
    """Loads y = x / size `[*, L]` of the system optimum, of demand over usual demand.

    min sum of t0 size (y + b (size / capacity)^p y^(p + 1)), y the flows of routes h over size, usual demand times the
    variable; each pair's add up to its demand. Everything is of size one: in vehicles the solver ended 0.1 %
    above the optimum, and took 80 times as long.
    """
    cp = require("cvxpy")
    network, exists = instance.network, instance.routes.exists
    pair, links = np.nonzero(exists)[0], instance.routes.links[exists]
    row, at = np.nonzero(links >= 0)
    uses = csr_matrix((np.ones(len(row)), (links[row, at], row)), shape=(network.num_links, len(pair)))
    brings = diags(1 / size) @ uses @ diags(network.demand[pair])
    sums = csr_matrix((np.ones(len(pair)), (pair, np.arange(len(pair)))), shape=(network.num_pairs, len(pair)))
    h, y = cp.Variable(len(pair), name="h"), cp.Variable(network.num_links, name="y")
    demand = cp.Parameter(network.num_pairs, name="demand")
    weight, b = network.free_time * size, network.b * (size / network.capacity) ** network.power
    weight = weight / max(weight.mean(), 1e-12)
    cost = weight @ y
    for power in np.unique(network.power[network.b > 0]):
        of = np.flatnonzero((network.power == power) & (network.b > 0))
        cost = cost + (weight * b)[of] @ cp.power(y[of], power + 1)
    rules = [y == brings @ h, sums @ h == demand, h >= 0]
    with warnings.catch_warnings():
        # Second-order cones stand for powers, exact to 1e-6; cvxpy advises power cones, which cvxpylayers refuses.
        warnings.filterwarnings("ignore", "Power atom with exponent", UserWarning)
        # By lsqr derivatives of single pairs and links were up to 7 % off on Sioux Falls; dense takes half a minute.
        return ConvexLayer(cp.Problem(cp.Minimize(cost), rules), [demand], [y, h], derivative="lsmr")


def system_optimum_cvx(config: Config) -> ProgramDistance:
    """`traffic.system-optimum-cvx`: `traffic.system-optimum`, by cvxpylayers."""
    return ProgramDistance(build(config))
