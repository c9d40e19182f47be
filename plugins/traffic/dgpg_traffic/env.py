"""B road networks in one: draws demand and incidents, loads the links, says how long all travel."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Decision, Simplex, Step, random
from dgpg_traffic.demand import Tape, draw, tape
from dgpg_traffic.deploy.scales import BOUND
from dgpg_traffic.dynamics import own_time, residual_queue
from dgpg_traffic.instance import Instance
from dgpg_traffic.network.bpr import link_time
from dgpg_traffic.observation import AGENT, CHOICE, Past, central_size, decide, make_sight


class TrafficEnv:
    """Agents split their vehicles over routes; see `dgpg.domain.Environment` for the contract.

    An action is `[B, N, K]`, shares of the agent's routes. State `[B, L, 2]`: the flow of each link and the capacity
    that its flow and time imply.
    """

    def __init__(self, instance: Instance, num_envs: int, device: torch.device, seed: int) -> None:
        self.instance, self.num_envs, self.device = instance, num_envs, device
        self.num_agents, self.horizon = instance.num_agents, instance.config.horizon
        self.cost_unit = f"total {instance.network.cost_name} of a period (vehicles x the network's unit of time)"
        self.roads = instance.roads(device)
        self.sight = make_sight(instance, device)
        usual = instance.by_agent(np.array(instance.network.demand))  # not the sight's, which may be of a training
        self.usual = torch.as_tensor(usual, dtype=torch.float32, device=device)
        self.streams = random.Streams(seed, num_envs)
        agents, slots = self.roads.incidence.shape
        self.observation_space = spaces.Dict(
            {
                "agent": _box(agents, AGENT),
                "choices": _box(agents, slots, CHOICE),
                "mask": spaces.MultiBinary([agents, slots]),
                "central": _box(central_size(instance)),
            }
        )
        self.action_space = Simplex(agents, slots, instance.start)

    def reset(self) -> Decision:
        """New days; the period before was the usual one under the first splits."""
        self.t = 0
        self.tape: Tape = tape([draw(g, self.instance) for g in self.streams.generators], self.device)
        demand = self.usual * self.sight.usual[self.tape.period[0] - 1].unsqueeze(-1)
        nothing = torch.zeros_like(self.tape.capacity[0])
        first = torch.as_tensor(self.instance.first, dtype=torch.float32, device=self.device)
        flow = self.roads.flow(first.expand(self.num_envs, -1, -1), demand, nothing)
        self.past = Past(nothing, flow, nothing + self.roads.links.capacity, demand)
        self.decision = self.observe()
        return self.decision

    def observe(self) -> Decision:
        """The moment of decision that the roads are in."""
        return decide(self.roads, self.sight, self.tape, self.past, self.t)

    def step(self, actions: Tensor) -> Step:
        """Load the links, charge, go on; a new day when this one is over."""
        splits, context = actions.to(self.device), self.decision.context
        demand, capacity = context["demand"], context["oracle_capacity"]
        flow = self.roads.flow(splits, demand, context["residual"])
        time = link_time(self.roads.at(capacity), flow)
        cost = (flow.double() * time).sum(-1)
        own = own_time(demand, splits, self.roads.incidence.cost(time))
        measures = {
            "travel_time": (own.double().sum(-1) / demand.double().sum(-1).clamp(min=1e-9)).float(),
            "carried_over": context["residual"].sum(-1),
        }
        self.past = Past(self._left(flow, capacity), flow, capacity, demand)
        self.t += 1
        self.decision = final = self.observe()
        over = self.t == self.horizon
        if over:
            self.reset()
        flags = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            reward=-cost.float(),
            state=torch.stack([flow, capacity], -1),
            terminated=flags,
            truncated=flags | over,
            decision=self.decision,
            final=final if over else None,
            local_reward=-own,
            measures=measures,
        )

    def _left(self, flow: Tensor, capacity: Tensor) -> Tensor:
        """r of the next period, `[B, L]`."""
        config = self.instance.config
        if not config.queues:
            return torch.zeros_like(flow)
        return residual_queue(flow, capacity, config.residual.share, config.residual.threshold)

    def state_dict(self) -> dict[str, Any]:
        """Exact state: streams, demand and capacities, last period."""
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
    return spaces.Box(-BOUND, BOUND, shape, np.float32)
