"""The environment of the row `bound`: it charges what no dispatch of its episodes is below, whatever is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import Decision, Step
from dgpg_power.env import PowerEnv
from dgpg_power.programs.trajectory import Bound, Episode, lower_bound


class BoundEnv:
    """`PowerEnv`, on the same draws, charged the bound of each episode in even parts; see `programs.trajectory`.

    Its grid is run by the outputs from which the bound comes, and its measures are theirs.
    """

    bound: Bound | None = None

    def __init__(self, env: PowerEnv) -> None:
        self.env = env

    def __getattr__(self, name: str) -> Any:
        """Sizes and spaces of the environment itself."""
        return getattr(self.env, name)

    def step(self, actions: Tensor) -> Step:
        """The step, whatever the actions."""
        bound, t = self._bound(), self.env.t
        base = bound.output[t].to(actions)
        columns = [base, torch.full_like(base, 0.5)]
        step = self.env.step(torch.stack(columns[: actions.shape[-1]], -1))
        return replace(step, reward=-(bound.cost / self.env.horizon).to(step.reward))

    def _bound(self) -> Bound:
        """That of the episode, found in its first step."""
        env, steps = self.env, self.env.horizon
        if env.t == 0 or self.bound is None:
            tape = env.tape
            load, least, most, outage = (x[:steps] for x in (tape.load, tape.least, tape.most, tape.outage))
            self.bound = lower_bound(env.plant, Episode(load, least, most, outage, env.past.losses), env.lossy)
        return self.bound

    def state_dict(self) -> dict[str, Any]:
        """Exact state."""
        return self.env.state_dict() | {"bound": self.bound}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore what `state_dict` returned."""
        self.bound = state["bound"]
        return self.env.load_state_dict(state)
