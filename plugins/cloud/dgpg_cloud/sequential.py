"""Dispatchers that decide one after the other, each seeing what those before it chose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import Context, Decision, Information
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance
from dgpg_cloud.plant import Plant, make
from dgpg_cloud.view import Score, View, with_price

Floats: TypeAlias = NDArray[np.float32]
Whole: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Sequential:
    """Dispatchers in order, each seeing what those before it chose in this step.

    `config` gives the candidates that it may use: a dispatcher's own, or every machine. Its decision order gives it
    no place in a queue: jobs of one step still queue in the seeded random order.
    """

    name: str
    instance: Instance
    score: Score
    price: float
    config: Config
    information: Information = "more"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`. Turn after turn is what the rule is: no way around the loop."""
        machines = Machines(decision.context, make(self.instance, noise.device))
        mask: NDArray[np.bool_] = decision.observation.mask.cpu().numpy()
        sends: NDArray[np.bool_] = decision.observation.active.cpu().numpy()
        actions = np.zeros(sends.shape, dtype=np.int64)
        for at in self._turns(sends):
            view = machines.view(at)
            score = with_price(self.score, view, self.price)
            allowed = mask[machines.envs, at]
            if not allowed.all():
                score = np.where(allowed, score, np.inf)
            actions[machines.envs, at] = choice = score.argmin(-1)
            machines.book(at, choice, view, sends[machines.envs, at])
        return torch.from_numpy(actions).to(noise.device)

    def _turns(self, sends: NDArray[np.bool_]) -> Iterator[Whole]:
        """Dispatchers `[B, L]` whose turn it is. Who has nothing to place needs none."""
        if self.config.everywhere:
            senders = np.argsort(~sends, axis=-1, kind="stable")
            yield from (senders[:, turn : turn + 1] for turn in range(sends.sum(-1).max()))
            return
        acts = np.any(sends, 0)
        for turn in turns(self.instance):
            rows = turn[acts[turn]]
            if rows.size:
                yield np.broadcast_to(rows, (len(sends), len(rows)))


class Machines:
    """What is on them as those see it whose turn it is."""

    def __init__(self, context: Context, plant: Plant) -> None:
        def array(x: Tensor) -> Floats:
            return x.float().cpu().numpy()

        self._everywhere, self._reach = plant.everywhere, plant.candidates.cpu().numpy()
        self._inverse, self._speed, self._price = (array(x) for x in (plant.inverse.T, plant.speed, plant.price))
        self._permille = (self._speed * 1000).round()
        held = [array(context[name].movedim(-1, 0)) for name in ("used", "requested", "work")]
        self._demand, self._steps = array(context["demand"].movedim(-1, 0)), array(context["steps"])
        self._held = np.concatenate([*held, array(context["queued"])[None]])
        """Numbers that a booking adds to, `[3 R + 1, B, M]`."""
        self._seen = self._look(self._held, self._inverse[:, None], self._speed)
        """What a view is made of, `[2 R + 4, B, M]`."""
        self.envs = np.arange(self._held.shape[1])[:, None]

    def _look(self, held: Floats, inverse: Floats, speed: Floats) -> Floats:
        """Shares used and requested, time to drain, jobs waiting, whether none is, and whether nothing is requested."""
        count = len(inverse)
        seen = np.empty((2 * count + 4, *held.shape[1:]), np.float32)
        seen[:count], seen[count:-4] = held[:count] * inverse, held[count : 2 * count] * inverse
        seen[-4] = reduce(np.maximum, held[2 * count : -1] * inverse) / speed
        seen[-3], seen[-2] = held[-1], held[-1] == 0
        seen[-1] = reduce(np.maximum, held[count : 2 * count]) == 0
        return seen

    def view(self, at: Whole) -> View:
        """What dispatchers `at` `[B, L]` see, who look at the jobs that they have to place."""
        if self._everywhere:
            seen, inverse = self._seen[:, :, None], self._inverse[:, None, None]
            speed, price = self._permille, self._price
        else:
            reach = self._reach[at]
            seen, inverse = self._seen[:, self.envs[..., None], reach], self._inverse[:, reach]
            speed, price = self._permille[reach], self._price[reach]
        demand, count = self._demand[:, self.envs, at, None], len(inverse)
        return View(
            np,
            used=list(seen[:count]),
            requested=list(seen[count:-4]),
            drain=seen[-4],
            queued=seen[-3],
            nobody=seen[-2],
            off=seen[-1],
            taken=[job * machine for job, machine in zip(demand, inverse, strict=True)],
            base_steps=self._steps[self.envs, at][..., None],
            speed=speed,
            price=price,
        )

    def book(self, at: Whole, choice: Whole, view: View, sends: NDArray[np.bool_]) -> None:
        """Let the next ones see the jobs of those dispatchers `at` that `sends` `[B, L]` says, who chose `[B, L]`."""
        env, place = sends.nonzero()
        chosen, who = choice[env, place], at[env, place]
        machine = chosen if self._everywhere else self._reach[who, chosen]
        fits, demand = view.fits_now[env, place, chosen], self._demand[:, env, who]
        added = np.concatenate([demand * fits, demand, demand * self._steps[env, who], 1 - fits[None]])
        self._held[:, env, machine] += added
        held = self._held[:, env, machine]
        self._seen[:, env, machine] = self._look(held, self._inverse[:, machine], self._speed[machine])


@lru_cache(maxsize=8)
def turns(instance: Instance) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Dispatchers by turn. Who shares a candidate with none of those of the turn could as well decide with them."""
    found: list[list[int]] = []
    free = np.zeros(len(instance.capacity), dtype=np.int64)  # turn in which a machine is as all before left it
    for n, reach in enumerate(instance.candidates):
        turn = int(free[reach].max())
        found += [[]] if turn == len(found) else []
        found[turn].append(n)
        free[reach] = turn + 1
    return [np.array(turn) for turn in found]
