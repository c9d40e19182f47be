"""B environments in one: draws demand and outages, dispatches, says what it cost."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Decision, Step, random
from dgpg_power.dynamics import after_outage, losses
from dgpg_power.grid import make_grid
from dgpg_power.instance import Instance
from dgpg_power.load import Tape, draw, tape
from dgpg_power.observation import Past, decide, make_sight, sizes
from dgpg_power.programs import opf
from dgpg_power.reward import generation, overload

TOLERANCE = 0.01
"""Share of its limit that a line may be over without being counted in `overload_share`."""


class PowerEnv:
    """Units choose base points and shares; see `dgpg.domain.Environment` for the contract.

    An action is `[B, N, A]`: a base point in MW and, with participation, the share of the residual in [0, 1].
    Demand of a step is what loads turn out to be and the losses that were metered in the step before.
    """

    cost_unit = "$ per hour: generation + overload + imbalance + curtailment"

    def __init__(self, instance: Instance, num_envs: int, device: torch.device, seed: int) -> None:
        self.instance, self.num_envs, self.device = instance, num_envs, device
        self.num_agents, self.horizon = instance.num_agents, instance.config.horizon
        self.grid = make_grid(instance, device)
        # An overload is the small difference of two large numbers: the plant computes it in float64.
        self.plant = make_grid(instance, device, torch.float64)
        self.lossy = self.plant.resistance * instance.config.mismatch.losses
        """r / base of lines that lose, `[L]`, float64."""
        self.sight = make_sight(instance, self.grid, device)
        self.streams = random.Streams(seed, num_envs)
        agent, central = sizes(instance)
        agents, network = self.num_agents, instance.network
        self.observation_space = spaces.Dict(
            {
                "agent": _box(agents, agent),
                "choices": _box(agents, 1, 0),
                "mask": spaces.MultiBinary([agents, 1]),
                "central": _box(central),
            }
        )
        low, high = np.array(network.unit_min)[:, None], np.array(network.unit_max)[:, None]
        if instance.config.action == "participation":
            low, high = (np.concatenate([x, np.full_like(x, end)], 1) for x, end in ((low, 0.0), (high, 1.0)))
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def reset(self) -> Decision:
        """New episodes; before each the units ran by merit order."""
        self.t = 0
        self.tape: Tape = tape([draw(g, self.instance) for g in self.streams.generators], self.device)
        first = self.tape.forecast[0]
        output = opf.merit_order(self.grid, first.sum(-1), self.tape.least[0], self.tape.most[0])
        flow = self.grid.flow(output, first)
        none = torch.zeros(self.num_envs, device=self.device)
        self.past = Past(output, flow, none, losses(flow, self.lossy.float()))
        self.decision = self.observe()
        return self.decision

    def observe(self) -> Decision:
        """The moment of decision that the grid is in."""
        return decide(self.grid, self.sight, self.tape, self.past, self.t)

    def step(self, actions: Tensor) -> Step:
        """Dispatch, charge, go on; a new episode when this one is over."""
        output, flow, reward, local, measures = self._dispatch(actions.to(self.device))
        lost = losses(flow, self.lossy.float())
        base = actions[..., 0].to(self.device).clamp(self.decision.context["low"], self.decision.context["high"])
        self.past = Past(output, flow, self.decision.context["demand"] - base.sum(-1), lost)
        self.t += 1
        self.decision = final = self.observe()
        over = self.t == self.horizon
        if over:
            self.reset()
        flags = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            reward=reward,
            state=output.unsqueeze(-1),
            terminated=flags,
            truncated=flags | over,
            decision=self.decision,
            final=final if over else None,
            local_reward=local,
            measures=measures,
        )

    def _dispatch(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Outputs `[B, N]`, flows `[B, L]`, shared and own rewards, measures."""
        grid = self.plant
        context = {k: x.double() if x.is_floating_point() else x for k, x in self.decision.context.items()}
        output = grid.outputs(actions.double(), context["low"], context["high"], context["demand"])
        # Losses are drawn where loads are, in proportion.
        flow = after_outage(
            grid.flow(output, context["oracle_load"]), context["oracle_outage"], grid.outage_factors
        )  # fmt: skip
        cost = grid.cost(output, flow, context["demand"], context["available"])
        excess = overload(flow, grid.flow_min, grid.flow_max)
        missing = (context["demand"] - output.sum(-1)).abs()
        own = generation(output, grid.curves) + (grid.tariff.imbalance * missing / self.num_agents).unsqueeze(-1)
        measures = {
            "overload_share": (excess > TOLERANCE * grid.reach).any(-1),
            "overload_mw": excess.sum(-1),
            "imbalance_mw": missing,
            "generation_cost": generation(output, grid.curves).sum(-1),
        }
        return output.float(), flow.float(), -cost.float(), -own.float(), {k: x.float() for k, x in measures.items()}

    def state_dict(self) -> dict[str, Any]:
        """Exact state: streams, demand, last step."""
        parts: dict[str, Tape | Past] = {"tape": self.tape, "past": self.past}
        return {"t": self.t, "streams": self.streams.state_dict()} | {
            name: {f.name: getattr(part, f.name).clone() for f in fields(part)} for name, part in parts.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore what `state_dict` returned."""
        self.t = state["t"]
        self.streams.load_state_dict(state["streams"])
        tape_, past = ({k: x.to(self.device, copy=True) for k, x in state[part].items()} for part in ("tape", "past"))
        self.tape, self.past = Tape(**tape_), Past(**past)
        self.decision = self.observe()
        return self.decision


def _box(*shape: int) -> spaces.Box:
    return spaces.Box(-10.0, 10.0, shape, np.float32)
