"""B environments in one: draws the arrivals, steps the cluster, says what it cost."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.domain import Context, Decision, Step, random
from dgpg_cloud import dynamics, parts
from dgpg_cloud.arrivals import Tape, draw, tape
from dgpg_cloud.instance import Instance
from dgpg_cloud.measures import NOT_STARTED, not_started, of_step, of_waits, waits
from dgpg_cloud.observation import choice_mask, decide, make_context, sizes
from dgpg_cloud.plant import Plant, make
from dgpg_cloud.reward import bill, machine_cost


class CloudEnv:
    """Dispatchers place jobs on machines; see `dgpg.domain.Environment` for the contract.

    An action is a candidate's number. A choice that is not allowed places nothing: the job stays in its
    dispatcher's buffer and goes on waiting. All environments are in the same step of their episodes.
    """

    def __init__(self, instance: Instance, num_envs: int, device: torch.device, seed: int) -> None:
        self.instance, self.num_envs, self.device = instance, num_envs, device
        self.num_agents, self.horizon = instance.config.num_agents, instance.config.horizon
        self.plant = make(instance, device)
        self.num_blocks = self.plant.hardware.count
        weights = instance.config.weights
        self.cost_unit = (
            f"{weights.waiting:g} x jobs waiting + {weights.price:g} x USD/h switched on "
            f"+ {weights.stranded:g} x USD/h stranded"
        )
        self.streams = random.Streams(seed, num_envs)
        self.starts = first_starts(instance, num_envs, seed)
        self.wait_names = (*of_waits(torch.full((1, 1), torch.nan), 0.0, instance.unit), NOT_STARTED)
        agents, choices = self.num_agents, instance.config.candidate_count
        agent, choice, central = sizes(instance.capacity.shape[1])
        self.observation_space = spaces.Dict(
            {
                "agent": _box(agents, agent),
                "choices": _box(agents, choices, choice if self.plant.described else 0),
                "mask": spaces.MultiBinary([agents, choices]),
                "central": _box(central),
            }
        )
        self.action_space = spaces.MultiDiscrete([choices] * agents)

    def reset(self) -> Decision:
        """New episodes, warm: jobs from before run, or are placed by least requested share, then started."""
        self.t = 0
        starts, self.starts = self.starts, [None] * self.num_envs
        drawn = [draw(g, self.instance, s) for g, s in zip(self.streams.generators, starts, strict=True)]
        self.tape: Tape = tape(drawn, self.instance, self.device)
        self.cluster = dynamics.empty(self.tape, self.plant.hardware, self.num_envs, self.num_agents)
        dynamics.seat(self.cluster, self.tape, self.plant.hardware)
        before = self.tape
        for attempt in range(int(self.tape.older.max())):
            # As many attempts as a dispatcher has older jobs, whatever others in the batch have.
            arrived = before.older * (before.older > attempt)
            before = replace(before, arrived=arrived.unsqueeze(0))
            context = make_context(self.cluster, before, self.plant, 0)
            mask = choice_mask(self.cluster, before, self.plant, context)
            self._place(least_requested(context, mask, self.plant), mask)
            dynamics.start(self.cluster, self.tape, self.plant.hardware, 0)
        self.decision = self.observe()
        return self.decision

    def step(self, actions: Tensor) -> Step:
        """Place, start, charge, go on; a new episode when this one is over."""
        reward, local, of_machines, state, measures = self.advance(actions)
        self.decision = final = self.observe()
        over = self.t == self.horizon
        measures = self._waits(over) | measures
        if over:
            self.reset()
        flags = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        return Step(
            reward=reward,
            state=state,
            terminated=flags,
            truncated=flags | over,
            decision=self.decision,
            final=final if over else None,
            local_reward=local,
            block_cost=of_machines,
            measures=measures,
        )

    def advance(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """The machines' part of a step.

        Returns:
            Shared reward `[B]`, own rewards `[B, N]`, costs of machines `[B, M]`, x_t `[B, M, 2 R]`, measures.
        """
        before = self.decision
        actions, mask = actions.to(self.device), before.observation.mask
        machine, taken = self._place(actions, mask)
        refused = mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1) & ~taken
        state = self._state(before.context, machine, refused)
        dynamics.start(self.cluster, self.tape, self.plant.hardware, self.t)
        reward, local, of_machines, measures = self._rewards(before.context, machine, taken)
        self.t += 1
        dynamics.release(self.cluster, self.t)
        return reward, local, of_machines, state, measures

    def observe(self) -> Decision:
        """The moment of decision that the machines are in."""
        return decide(self.cluster, self.tape, self.plant, self.t)

    def _place(self, choice: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        at = choice.unsqueeze(-1)
        machine = self.plant.candidates.expand(self.num_envs, -1, -1).gather(-1, at).squeeze(-1)
        send = mask.gather(-1, at).squeeze(-1)
        rank = self.tape.rank[self.t]
        return machine, dynamics.place(self.cluster, self.tape, self.plant.hardware, machine, send, rank)

    def _state(self, before: Context, machine: Tensor, refused: Tensor) -> Tensor:
        """x_t: requested resources and work left on each machine, `[B, M, 2 R]`.

        Jobs that a full queue refused count where they were sent: that is what the joint action asked for, and
        with it x_t is the sum of all choices' influences.
        """
        requested = (self.cluster.used + self.cluster.waiting)[:, :-1] * self.plant.unit
        state = torch.cat([requested, self.cluster.work * self.plant.unit], -1)
        state = state.view(self.num_envs, -1, state.shape[-1])
        demand = before["demand"] * refused.unsqueeze(-1)
        asked = torch.cat([demand, demand * before["steps"].unsqueeze(-1)], -1)
        return state.scatter_add(1, machine.unsqueeze(-1).expand_as(asked), asked)

    def _waits(self, over: bool) -> dict[str, Tensor]:
        """Measures of an episode's waits, told at its end, times its steps: so their mean over steps is right."""
        if over:
            wait = waits(self.cluster, self.tape, self.t)
            told = of_waits(wait, self.instance.wait_limit, self.instance.unit)
            told[NOT_STARTED] = not_started(self.cluster, wait)
            return {name: self.horizon * x for name, x in told.items()}
        none = torch.zeros(self.num_envs, device=self.device)
        return dict.fromkeys(self.wait_names, none)

    def _rewards(
        self, before: Context, machine: Tensor, taken: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Shared reward `[B]`, own rewards `[B, N]`, costs of machines `[B, M]`, measures."""
        plant, weights = self.plant, self.instance.config.weights
        buffered = self.tape.arrived[self.t] - self.cluster.placed
        queued = self.cluster.length.view(self.num_envs, -1)
        running = self.cluster.used[:, -1].view(self.num_envs, -1)
        used = (self.cluster.used[:, :-1] * plant.unit).view(self.num_envs, -1, len(plant.unit))
        on = (running > 0) | (queued > 0)
        of_machines = machine_cost(queued, on, used, plant.inverse, plant.price, weights)
        shared = weights.waiting * buffered.sum(-1) + of_machines.sum(-1)
        own = weights.waiting * (buffered + self.cluster.own_waiting)
        if self.instance.config.local_reward == "bill":
            share = (before["demand"] * plant.inverse[machine]).amax(-1)
            steps = (before["steps"] * 1000 / plant.hardware.speed_permille[machine]).ceil()
            own = own + bill(taken, share, steps, plant.price[machine], weights)
        measures = of_step((buffered, queued), on, used, running, plant)
        return -shared, -own.float(), of_machines, measures

    def state_dict(self) -> dict[str, Any]:
        """Exact state: streams, arrivals, machines."""
        fields = {name: x for name, x in vars(self.tape).items() if isinstance(x, Tensor)}
        return {
            "t": self.t,
            "streams": self.streams.state_dict(),
            "length": self.tape.length,
            "tape": {name: x.clone() for name, x in fields.items()},
            "cluster": {name: x.clone() for name, x in self.cluster.tensors().items()},
        }

    apart = staticmethod(parts.apart)
    joined = staticmethod(parts.joined)

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore what `state_dict` returned."""
        self.t = state["t"]
        self.streams.load_state_dict(state["streams"])
        self.starts = [None] * self.num_envs
        on_device = {
            part: {k: x.to(self.device, copy=True) for k, x in state[part].items()} for part in ("tape", "cluster")
        }
        self.tape = Tape(length=state["length"], **on_device["tape"])
        self.cluster = dynamics.Cluster(**on_device["cluster"])
        self.decision = self.observe()
        return self.decision


def first_starts(instance: Instance, num_envs: int, seed: int) -> list[int | None]:
    """Where in a trace the first episodes start: those of neighbouring seeds share no arrival, as far as it goes."""
    if instance.replay is None:
        return [None] * num_envs
    apart = instance.replay.apart(instance.config.horizon)
    return [int(apart[(seed + b) % len(apart)]) for b in range(num_envs)]


def least_requested(context: Context, mask: Tensor, plant: Plant) -> Tensor:
    """The candidate whose largest requested share would be least, `[B, N]`; the first for who has no job."""
    env, sender = context["has_job"].nonzero(as_tuple=True)
    share, taken = context["requested"] * plant.inverse, context["demand"][env, sender]

    def after(r: int) -> Tensor:
        """Share of a resource, `[senders, K]`."""
        before, inverse = share[..., r], plant.inverse[:, r]
        if plant.everywhere:
            return before.index_select(0, env) + taken[:, r, None] * inverse
        reach = plant.candidates.index_select(0, sender)
        return before[env.unsqueeze(-1), reach] + taken[:, r, None] * inverse[reach]

    worst = reduce(torch.maximum, map(after, range(len(plant.unit))))
    choice = mask.new_zeros(mask.shape[:2], dtype=torch.int64)
    choice[env, sender] = worst.masked_fill_(~mask[env, sender], torch.inf).argmin(-1)
    return choice


def _box(*shape: int) -> spaces.Box:
    """No feature is below -1 (excess) nor near 1e4 (GiB of the largest machine sold over 64 is 384)."""
    return spaces.Box(-1, 1e4, shape, np.float32)
