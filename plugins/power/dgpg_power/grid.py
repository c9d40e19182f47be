"""A power system as tensors on one device: what dynamics, reward, models and observation compute with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dgpg.files import PerDevice
from dgpg_power.dynamics import dispatch, flows
from dgpg_power.reward import CostCurves, Tariff, step_cost
from dgpg_power.system import System


@dataclass(frozen=True)
class Grid:
    """One type of floats and one device; N units, L lines, nb buses."""

    unit_factors: Tensor
    """H, `[L, N]`."""
    bus_factors: Tensor
    """F, `[L, nb]`."""
    loop_flow: Tensor
    """c, what phase shifters drive around loops, MW, `[L]`."""
    outage_factors: Tensor
    """LODF, `[L, L]`."""
    flow_min: Tensor
    """MW, `[L]`; -inf where there is no limit."""
    flow_max: Tensor
    """MW, `[L]`; inf where there is no limit."""
    middle: Tensor
    """Flow between the limits, MW, `[L]`."""
    reach: Tensor
    """From there to a limit, MW, `[L]`: what loadings are shares of; inf where there is no limit."""
    resistance: Tensor
    """r / base, per MW, `[L]`."""
    curves: CostCurves
    unit_min: Tensor
    unit_max: Tensor
    ramp: Tensor
    """MW a step, `[N]`."""
    unit_bus: Tensor
    """int64 `[N]`."""
    renewable: Tensor
    """True for wind and sun, `[N]`."""
    tariff: Tariff

    binding: Tensor
    """Lines that are known to bind at times, bool `[L]`."""

    def outputs(self, actions: Tensor, low: Tensor, high: Tensor, demand: Tensor) -> Tensor:
        """Outputs `[B, N]` for actions `[B, N, A]`: base points, and shares if A = 2.

        A share of 1/2 is what a unit's size stands for; without one the residual goes by size. Shares are clipped to
        [0, 1].
        """
        size = self.unit_max - self.unit_min
        share = actions[..., 1].clamp(0, 1) * size if actions.shape[-1] == 2 else size.expand(actions.shape[:-1])
        return dispatch(actions[..., 0], share, low, high, demand)

    def flow(self, output: Tensor, load: Tensor) -> Tensor:
        """Flows of an intact grid, `[B, L]`."""
        return flows(output, load, self.unit_factors, self.bus_factors, self.loop_flow)

    def cost(self, output: Tensor, flow: Tensor, demand: Tensor, available: Tensor) -> Tensor:
        """Cost of a step, `[B]`, $ per hour."""
        limits = (self.flow_min, self.flow_max)
        return step_cost(output, flow, demand, available, self.curves, limits, self.renewable, self.tariff)

    @property
    def limited(self) -> Tensor:
        """Lines that have a limit, bool `[L]`."""
        return self.reach < torch.inf

    def loading(self, flow: Tensor) -> Tensor:
        """Flow from the middle over reach, `[..., L]`: -1 and 1 at the limits, 0 where there is none."""
        return (flow - self.middle) / self.reach


class Grids(PerDevice[Grid]):
    """Grids of one system, made once for each device and type that a tensor comes with."""

    def __init__(self, system: System) -> None:
        super().__init__(partial(make_grid, system))
        self.instance = system


def make_grid(system: System, device: torch.device, dtype: torch.dtype = torch.float32) -> Grid:
    """Tensors of an system."""
    network = system.network

    def tensor(x: object) -> Tensor:
        return torch.as_tensor(np.array(x), dtype=dtype, device=device)

    kinds = np.array(network.unit_kind)
    return Grid(
        unit_factors=tensor(system.bus_factors[:, network.unit_bus]),
        bus_factors=tensor(system.bus_factors),
        loop_flow=tensor(system.loop_flow),
        outage_factors=tensor(system.outage_factors),
        flow_min=tensor(network.flow_min),
        flow_max=tensor(network.flow_max),
        middle=tensor(network.middle),
        reach=tensor(network.reach),
        resistance=tensor(network.resistance / network.base_mva),
        curves=CostCurves(
            tensor(network.cost_constant),
            tensor(network.cost_linear),
            tensor(network.cost_quadratic),
            tensor(network.kink),
            tensor(network.kink_slope),
        ),
        unit_min=tensor(network.unit_min),
        unit_max=tensor(network.unit_max),
        ramp=tensor(network.ramp),
        unit_bus=torch.as_tensor(np.array(network.unit_bus), device=device),
        renewable=torch.as_tensor((kinds == "wind") | (kinds == "pv"), device=device),
        tariff=system.tariff,
        binding=torch.as_tensor(np.array(system.binding), device=device),
    )
