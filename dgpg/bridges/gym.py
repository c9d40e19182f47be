"""Any domain as a Gymnasium environment: batched (`VectorEnv`) or one with a joint action (`JointEnv`).

For other libraries and checkers; dgpg itself steps domains in torch without these.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dgpg.domain import Decision, Domain, Simplex, Step

Arrays = dict[str, NDArray[Any]]
FIELDS = ("agent", "choices", "mask", "central")
CPU = torch.device("cpu")


@batch_space.register(Simplex)
def _batch_simplex(space: Simplex, n: int = 1) -> Simplex:
    return space.stacked(n)


def arrays(decision: Decision, space: spaces.Dict) -> Arrays:
    """Observations of B environments as numpy arrays of the space's types."""
    seen = decision.observation
    return {name: getattr(seen, name).cpu().numpy().astype(space[name].dtype) for name in FIELDS}


def pick(batch: Arrays, b: int) -> Arrays:
    """Environment b of a batch."""
    return {name: array[b] for name, array in batch.items()}


class VectorEnv(gymnasium.vector.VectorEnv[Arrays, NDArray[Any], NDArray[Any]]):
    """B environments; an episode that ends restarts in the same step and leaves `final_obs` in the info.

    Args:
        domain: a domain object, such as `dgpg.domain.load_domain("cloud")`.
        config: its configuration; the domain's defaults if None.
        num_envs: B.
        seed: environment b draws from `seed + b`; `reset(seed=...)` sets it anew.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (Gymnasium's own type)

    def __init__(self, domain: Domain, config: Any = None, num_envs: int = 1, seed: int = 0) -> None:
        self.domain, self.config = domain, domain.Config() if config is None else config
        self.num_envs = num_envs
        self._make(seed)
        self.single_observation_space = self._env.observation_space
        self.single_action_space = self._env.action_space
        self.observation_space = batch_space(self._env.observation_space, num_envs)
        self.action_space = batch_space(self._env.action_space, num_envs)

    def _make(self, seed: int) -> None:
        self._env = self.domain.make_env(self.config, self.num_envs, CPU, seed)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """New episodes everywhere.

        Raises:
            ValueError: a seed for each environment, where one number is expected.
        """
        if isinstance(seed, list):
            raise ValueError("seed: expected one number s; environment b draws from s + b")
        if seed is not None:
            self._np_random, self._np_random_seed = gymnasium.utils.seeding.np_random(seed)
            self._make(seed)
        return arrays(self._env.reset(), self._env.observation_space), {}

    def step(self, actions: NDArray[Any]) -> tuple[Arrays, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Joint actions `[B, N]`, or `[B, N, A]` if continuous."""
        step = self._env.step(torch.as_tensor(np.asarray(actions, self._env.action_space.dtype)))
        return (
            arrays(step.decision, self._env.observation_space),
            step.reward.double().cpu().numpy(),
            step.terminated.cpu().numpy(),
            step.truncated.cpu().numpy(),
            self._info(step),
        )

    def _info(self, step: Step) -> dict[str, Any]:
        if step.final is None:
            return {}
        done = (step.terminated | step.truncated).cpu().numpy()
        batch = arrays(step.final, self._env.observation_space)
        final = np.full(self.num_envs, None, dtype=object)
        for b in np.flatnonzero(done):
            final[b] = pick(batch, int(b))
        return {"final_obs": final, "_final_obs": done}


class JointEnv(gymnasium.Env[Arrays, NDArray[Any]]):
    """One environment; the action is the joint action of all agents, `[N]`, or `[N, A]` if continuous."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own type)

    def __init__(self, domain: Domain, config: Any = None, seed: int = 0) -> None:
        self._batch = VectorEnv(domain, config, 1, seed)
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Arrays, dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        batch, _ = self._batch.reset(seed=seed)
        return pick(batch, 0), {}

    def step(self, action: NDArray[Any]) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """One step of all agents."""
        batch, reward, terminated, truncated, info = self._batch.step(np.asarray(action)[None])
        seen = info["final_obs"][0] if "final_obs" in info else pick(batch, 0)
        return seen, float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}
