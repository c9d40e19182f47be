"""B road networks in one: draws demand and incidents, lets vehicles go, says how long all travel."""

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
from dgpg_traffic.dynamics import own_time
from dgpg_traffic.instance import Instance
from dgpg_traffic.loading import drain
from dgpg_traffic.observation import AGENT, CHOICE, Past, central_size, decide, make_past, make_sight


class TrafficEnv:
    """Agents split their vehicles over routes; see `dgpg.domain.Environment` for the contract.

    An action is `[B, N, K]`, shares of the agent's routes. State `[B, L, 5]`: vehicles that pass each link, that come
    to it and that it found waiting; the time that those left waiting have ahead; its capacity, incidents included.
    Without queues `[B, L, 2]`: flow and capacity. A link costs the time of all on it in the period and what those left
    waiting need at least, at the end of a day what they need. What was charged before for those who were waiting is
    taken off the shared cost, and is no link's.
    """

    def __init__(self, instance: Instance, num_envs: int, device: torch.device, seed: int) -> None:
        self.instance, self.num_envs, self.device = instance, num_envs, device
        self.num_agents, self.horizon = instance.num_agents, instance.config.horizon
        self.num_blocks = instance.network.num_links
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
        """New days on empty roads; the period before was the usual one under the first splits."""
        self.t = 0
        self.tape: Tape = tape([draw(g, self.instance) for g in self.streams.generators], self.device)
        demand = self.usual * self.sight.usual[self.tape.period[0] - 1].unsqueeze(-1)
        capacity = self.roads.links.capacity.expand(self.num_envs, -1)
        nobody = demand.new_zeros(self.num_envs, self.roads.loading.num_legs)
        first = torch.as_tensor(self.instance.first, dtype=torch.float32, device=self.device)
        usual = self.roads.load(first.expand(self.num_envs, -1, -1), demand, nobody, capacity)
        self.past = make_past(self.roads, usual, nobody, demand)  # who waited then is gone by the morning
        self.decision = self.observe()
        return self.decision

    def observe(self) -> Decision:
        """The moment of decision that the roads are in."""
        return decide(self.roads, self.sight, self.tape, self.past, self.t)

    def step(self, actions: Tensor) -> Step:
        """Let vehicles go, charge, go on; a new day when this one is over."""
        splits, context = actions.to(self.device), self.decision.context
        demand, capacity = context["demand"], context["oracle_capacity"]
        loading, waiting = self.roads.loading, context["waiting"]
        entering = splits * demand.unsqueeze(-1)
        loaded = loading.load(entering, waiting, capacity)
        spent = loading.spent(loaded)
        cost = spent.double().sum(-1) - loading.pending(waiting)
        self.t += 1
        over = self.t == self.horizon
        if over:
            usual = self.roads.links.capacity.expand_as(capacity)
            more, on_links = drain(loading, entering, loaded.waiting, usual)
            cost, spent = cost + more, spent + on_links.float()
        time = loading.mean_time(loaded)
        own = own_time(demand, splits, self.roads.incidence.cost(time))
        measures = {
            "travel_time": (cost / demand.double().sum(-1).clamp(min=1e-9)).float(),
            "arrived": loaded.arrived,
            "waiting": loaded.waiting.sum(-1),
        }
        self.past = make_past(self.roads, loaded, loaded.waiting, demand)
        self.decision = final = self.observe()
        if over:
            self.reset()
        flags = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            reward=-cost.float(),
            state=loading.state(loaded),
            terminated=flags,
            truncated=flags | over,
            decision=self.decision,
            final=final if over else None,
            local_reward=-own,
            block_cost=spent,
            measures=measures,
        )

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
