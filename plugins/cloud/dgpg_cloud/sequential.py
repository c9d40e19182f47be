"""Dispatchers that decide one after the other, each seeing what those before it chose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Decision, Information
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance
from dgpg_cloud.plant import make
from dgpg_cloud.view import Machines, Score, with_price


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
        mask, plant = decision.observation.mask, make(self.instance, noise.device)
        steps, demand = decision.context["steps"], decision.context["demand"]
        machines = Machines(decision.context, plant)
        actions = torch.zeros(mask.shape[:2], dtype=torch.int64, device=mask.device)
        sends = decision.observation.active
        acts = sends.any(0).cpu().numpy()
        for turn in turns(self.instance):
            rows = turn[acts[turn]]  # the others have nothing to place
            if not len(rows):
                continue
            at = torch.from_numpy(rows).to(mask.device)
            view, allowed = machines.view(at, demand[:, at], steps[:, at]), mask[:, at]
            choice = with_price(self.score, view, self.price).masked_fill(~allowed, torch.inf).argmin(-1)
            actions[:, at] = choice
            machines.book(at, choice, view, demand[:, at], steps[:, at], sends[:, at])
        return actions


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
