"""Any domain as a Gymnasium environment: batched (`VectorEnv`) or one with a joint action (`JointEnv`).

For other libraries and checkers; dgpg itself steps domains in torch without these. Actions are the domain's own; of
libraries that know numbers around zero alone, Gymnasium's `RescaleAction(env, -1.0, 1.0)` (with
`gymnasium.wrappers.vector` for `VectorEnv`) serves those in units, `Logits` and `VectorLogits` those that are splits.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from dgpg.bridges.actions import Array, any_where_idle, from_logits, logits_box
from dgpg.bridges.batch import Batch
from dgpg.bridges.seeing import Arrays, arrays, filled, pick
from dgpg.domain import Domain, Simplex, Step
from dgpg.errors import ActionError


@batch_space.register(Simplex)
def _batch_simplex(space: Simplex, n: int = 1) -> Simplex:
    return space.stacked(n)


class VectorEnv(gymnasium.vector.VectorEnv[Arrays, Array, Array]):
    """B environments; an episode that ends restarts in the same step and leaves `final_obs` in the info.

    Infos of a step hold the domain's `measures` `[B]` by name, and `not_allowed` `[B]`, how many agents chose what the
    mask does not allow.

    Args:
        domain: its name, or a domain object such as `dgpg.domain.load_domain("cloud")`.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        num_envs: B.
        seed: environment b draws from `seed + b`; `reset(seed=...)` sets it anew; None draws one.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (Gymnasium's own type)

    def __init__(self, domain: Domain | str, config: Any = None, num_envs: int = 1, seed: int | None = None) -> None:
        self._batch = Batch(domain, config, num_envs, seed)
        self.domain, self.config, self.num_envs = self._batch.domain, self._batch.config, num_envs
        self._seen = filled(self._batch.env.observation_space)
        self.single_observation_space = self._seen
        self.single_action_space = self._batch.env.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

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
        return arrays(self._batch.reset(seed), self._seen), {}

    def step(self, actions: Array) -> tuple[Arrays, Array, Array, Array, dict[str, Any]]:
        """Joint actions `[B, N]`, `[B, N, A]` if continuous, or splits `[B, N, K]`.

        Raises:
            ActionError: they are no actions, see `dgpg.bridges.actions.joint`.
        """
        step, wrong = self._batch.step(actions)
        measures = {name: x.cpu().numpy() for name, x in step.measures.items()}
        return (
            arrays(step.decision, self._seen),
            step.reward.double().cpu().numpy(),
            step.terminated.cpu().numpy(),
            step.truncated.cpu().numpy(),
            {"not_allowed": wrong.sum(-1).numpy(), "measures": measures, **self._final(step)},
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """What choices are allowed now, `[B, N K]`, as sb3-contrib reads it: all, to agents that decide nothing.

        Raises:
            ActionError: actions are no choices.
        """
        if not isinstance(self.single_action_space, spaces.MultiDiscrete):
            raise ActionError(f"action_masks: of choices alone, and actions are {self.single_action_space}")
        return any_where_idle(self._batch.now.observation.mask).flatten(1).cpu().numpy()

    def _final(self, step: Step) -> dict[str, Any]:
        if step.final is None:
            return {}
        done = (step.terminated | step.truncated).cpu().numpy()
        batch = arrays(step.final, self._seen)
        final = np.full(self.num_envs, None, dtype=object)
        for b in np.flatnonzero(done):
            final[b] = pick(batch, int(b))
        return {"final_obs": final, "_final_obs": done}


class JointEnv(gymnasium.Env[Arrays, Array]):
    """One environment; the action is the joint action of all agents, `[N]`, or `[N, A]` if continuous.

    Args:
        domain: its name, or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        seed: of its episodes, until `reset(seed=...)` sets it anew; None draws one.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own type)

    def __init__(self, domain: Domain | str, config: Any = None, seed: int | None = None) -> None:
        self._batch = VectorEnv(domain, config, 1, seed)
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Arrays, dict[str, Any]]:
        """The next episode."""
        super().reset(seed=seed)
        batch, _ = self._batch.reset(seed=seed)
        return pick(batch, 0), {}

    def step(self, action: Array) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """One step of all agents.

        Raises:
            ActionError: it is no action, see `dgpg.bridges.actions.joint`.
        """
        batch, reward, terminated, truncated, info = self._batch.step(np.asarray(action)[None])
        seen = info["final_obs"][0] if "final_obs" in info else pick(batch, 0)
        told: dict[str, Any] = {"not_allowed": int(info["not_allowed"][0])}
        told["measures"] = {name: float(x[0]) for name, x in info["measures"].items()}
        return seen, float(reward[0]), bool(terminated[0]), bool(truncated[0]), told

    def action_masks(self) -> NDArray[np.bool_]:
        """What choices are allowed now, `[N K]`; see `VectorEnv.action_masks`."""
        masks: NDArray[np.bool_] = self._batch.action_masks()[0]
        return masks


class Logits(gymnasium.ActionWrapper[Arrays, Array, Array]):
    """A `JointEnv` of splits that takes logits `[N, K]` in a `Box`: all zero is the split its own policies begin at.

    Shares are softmax(start + logits) over what the mask allows.

    Raises:
        ActionError: its actions are no splits.
    """

    def __init__(self, env: gymnasium.Env[Arrays, Array]) -> None:
        super().__init__(env)
        self._splits = _splits(env.action_space)
        self.action_space = logits_box(self._splits)

    def action(self, action: Array) -> Array:
        """Shares of logits."""
        return from_logits(action, self._splits)


class VectorLogits(gymnasium.vector.VectorActionWrapper):
    """A `VectorEnv` of splits that takes logits `[B, N, K]`; see `Logits`."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self._splits = _splits(env.single_action_space)
        self.single_action_space = logits_box(self._splits)
        self.action_space = batch_space(self.single_action_space, env.num_envs)

    def actions(self, actions: Array) -> Array:
        """Shares of logits."""
        return from_logits(actions, self._splits)


def _splits(space: spaces.Space[Any]) -> Simplex:
    if not isinstance(space, Simplex):
        raise ActionError(f"Logits: of splits alone, and actions are {space}")
    return space
