"""Any domain as a `VecEnv` of Stable-Baselines3 and sb3-contrib: `pip install 'dgpg[sb3]'`.

`JointVecEnv` has one policy choose for all agents at once. `AgentsVecEnv` makes an environment of each agent, so that
one small policy serves them all (parameter sharing: SB3's PPO is then IPPO with the shared reward). Both step B
environments of the domain in one call.

Numbers in units are asked for in [-1, 1] (SB3 begins with a Gaussian of unit variance around zero), splits as logits,
see `dgpg.bridges.gym.Logits`. Where a domain's episodes are cut and not ended, infos say so (`TimeLimit.truncated`) and
have the `terminal_observation`, from which SB3 bootstraps. `not_allowed` in infos counts choices that the mask does not
allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from dgpg.bridges.actions import Array, any_where_idle, from_logits, from_unit, logits_box, unit_box
from dgpg.bridges.batch import Batch, missing
from dgpg.bridges.seeing import Arrays, arrays, filled, pick, vector_spaces, vectors
from dgpg.domain import Decision, Domain, Simplex
from dgpg.errors import ActionError, PluginError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise missing(error, "sb3") from None

Seen = Arrays | Array


class DomainVecEnv(VecEnv):
    """What both have in common: a batch, B, in `each` rows an environment.

    Args:
        batch: environments of the domain.
        each: rows of SB3's that one of them has.
        look: observations of all rows.
        seen: the space of one row's.
        acts: the space of one row's actions.
    """

    render_mode = None

    def __init__(
        self, batch: Batch, each: int, look: Callable[[Decision], Seen], seen: spaces.Space[Any],
        acts: spaces.Space[Any],
    ) -> None:  # fmt: skip
        self._batch, self._each, self._look, self._given = batch, each, look, np.zeros(0)
        super().__init__(batch.num_envs * each, seen, acts)

    def reset(self) -> Any:
        """New episodes everywhere; after `seed(s)` environment b draws from s + b."""
        first = self._seeds[0]
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._look(self._batch.reset(first))

    def step_async(self, actions: Array) -> None:
        """Keep the actions, a row each."""
        self._given = np.asarray(actions)

    def step_wait(self) -> Any:
        """Take them; the reward is shared.

        Raises:
            ActionError: they are no actions, see `dgpg.bridges.actions.joint`.
        """
        step, wrong = self._batch.step(self._units())
        infos: list[dict[str, Any]] = [{"not_allowed": int(n)} for n in wrong.reshape(self.num_envs, -1).sum(-1)]
        done = (step.terminated | step.truncated).cpu().numpy().repeat(self._each)
        if step.final is not None:
            cut, last = (step.truncated & ~step.terminated).cpu().numpy(), self._look(step.final)
            for e in np.flatnonzero(done):
                infos[e]["TimeLimit.truncated"] = bool(cut[e // self._each])
                infos[e]["terminal_observation"] = pick(last, int(e)) if isinstance(last, dict) else last[e]
        return self._look(step.decision), step.reward.cpu().numpy().repeat(self._each), done, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """What choices are allowed now, a row each; all, to agents that decide nothing.

        Raises:
            ActionError: actions are no choices.
        """
        if not isinstance(self._batch.env.action_space, spaces.MultiDiscrete):
            raise ActionError(f"action_masks: of choices alone, and actions are {self._batch.env.action_space}")
        mask = any_where_idle(self._batch.now.observation.mask)
        masks: NDArray[np.bool_] = mask.reshape(self.num_envs, -1).cpu().numpy()
        return masks

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Of the batch, once for each row."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set nothing: the rows of a batch have nothing of their own.

        Raises:
            ActionError: always.
        """
        raise ActionError(f"{attr_name} cannot be set: the rows of a batch share everything")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """A row each of `action_masks`.

        Raises:
            ActionError: any other method.
        """
        if method_name != "action_masks":
            raise ActionError(f"{method_name}: the rows of a batch have action_masks and no other method")
        masks = self.action_masks()
        return [masks[e] for e in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False for _ in self._get_indices(indices)]

    def _units(self) -> Array:
        space = self._batch.env.action_space
        given = self._given.reshape(self._batch.num_envs, *(space.shape or ()))
        if isinstance(space, Simplex):
            return from_logits(given, space)
        return from_unit(given, space) if isinstance(space, spaces.Box) else given


class JointVecEnv(DomainVecEnv):
    """B environments whose action is that of all agents; observations are a dictionary, as of `gym.VectorEnv`.

    Args:
        domain: its name, or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        num_envs: B.
        seed: environment b draws from `seed + b`; None draws one. A model's own `seed` sets it anew.
    """

    def __init__(self, domain: Domain | str, config: Any = None, num_envs: int = 1, seed: int | None = None) -> None:
        batch = Batch(domain, config, num_envs, seed)
        seen = filled(batch.env.observation_space)
        super().__init__(batch, 1, lambda decision: arrays(decision, seen), seen, _boxed(batch.env.action_space))


class AgentsVecEnv(DomainVecEnv):
    """B environments of N agents as B N rows, agent by agent; each sees its own vector `[F + K C]`, all get the reward.

    Args:
        domain: its name, or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        num_envs: B.
        seed: environment b draws from `seed + b`; None draws one. A model's own `seed` sets it anew.

    Raises:
        PluginError: agents have different numbers of choices.
    """

    def __init__(self, domain: Domain | str, config: Any = None, num_envs: int = 1, seed: int | None = None) -> None:
        batch = Batch(domain, config, num_envs, seed)
        seen = vector_spaces(batch.env.observation_space)
        wide = spaces.Box(min(box.low.min() for box in seen), max(box.high.max() for box in seen), seen[0].shape)
        acts = _boxed(batch.env.action_space)
        super().__init__(batch, batch.env.num_agents, _rows, wide, _of_one(acts))


def _rows(decision: Decision) -> Array:
    seen: Array = vectors(decision.observation).flatten(0, 1).cpu().numpy()
    return seen


def _boxed(space: spaces.Space[Any]) -> spaces.Space[Any]:
    if isinstance(space, Simplex):
        return logits_box(space)
    return unit_box(space) if isinstance(space, spaces.Box) else space


def _of_one(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """What any one agent does."""
    if isinstance(space, spaces.Box):
        return spaces.Box(space.low[0], space.high[0], dtype=np.float32)
    assert isinstance(space, spaces.MultiDiscrete)
    counts = sorted({int(count) for count in space.nvec})
    if len(counts) > 1:
        raise PluginError(f"AgentsVecEnv: agents have {counts[0]} to {counts[-1]} choices, expected one number for all")
    return spaces.Discrete(counts[0])
