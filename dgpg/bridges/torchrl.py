"""Any domain as a TorchRL environment, B at once: `pip install 'dgpg[torchrl]'`.

Keys are those of TorchRL's own multi-agent environments, with one group of all agents:

| key | shape | what |
|---|---|---|
| `state` | `[B, S]` | what a central critic sees |
| `agents/observation` | `[B, N, F + K C]` | an agent's features, then those of its choices in order |
| `agents/action_mask` | `[B, N, K]` | allowed choices; all, to agents that decide nothing; of choices alone |
| `agents/action` | `[B, N]`, `[B, N, A]`, `[B, N, K]` | a choice, numbers in units, or logits as of `gym.Logits` |
| `agents/reward` | `[B, N, 1]` | the shared reward |
| `agents/active` | `[B, N, 1]` | False for agents with nothing to decide, whose action is ignored |
| `done`, `terminated`, `truncated` | `[B, 1]` | of the episode |

Where an episode ends, `next` holds the moment it ended in and the reset that follows the first one of the next episode.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from dgpg.bridges.actions import any_where_idle, from_logits, logits_box
from dgpg.bridges.batch import CPU, Batch, missing
from dgpg.bridges.seeing import vectors
from dgpg.domain import Domain, Observation, Simplex
from dgpg.errors import ActionError

try:
    from tensordict import TensorDict, TensorDictBase
    from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase
except ImportError as error:
    raise missing(error, "torchrl") from None

GROUP = "agents"


class TorchEnv(EnvBase):  # type: ignore[misc]  # it ships no types
    """B environments of a domain.

    Args:
        domain: its name, or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        num_envs: B.
        seed: environment b draws from `seed + b`, until `set_seed` sets it anew; None draws one.
        device: where tensors are.
    """

    def __init__(
        self, domain: Domain | str, config: Any = None, num_envs: int = 1, seed: int | None = None,
        device: torch.device | str = CPU,
    ) -> None:  # fmt: skip
        device = torch.device(device)
        super().__init__(device=device, batch_size=torch.Size([num_envs]))
        self._batch = Batch(domain, config, num_envs, seed, device)
        self._ended = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._make_specs()

    @property
    def agent_names(self) -> list[str]:
        """By number."""
        return [f"agent_{i}" for i in range(self._batch.env.num_agents)]

    @property
    def group_map(self) -> dict[str, list[str]]:
        """One group."""
        return {GROUP: self.agent_names}

    @property
    def horizon(self) -> int:
        """Steps of an episode, at most."""
        return self._batch.env.horizon

    def _make_specs(self) -> None:
        env, envs = self._batch.env, self._batch.num_envs
        agents, space = (envs, env.num_agents), env.observation_space
        width = {name: (space[name].shape or (0,))[-1] for name in ("agent", "choices", "mask", "central")}
        seen: dict[str, Any] = {
            "observation": Unbounded((*agents, width["agent"] + width["mask"] * width["choices"])),
            "active": Binary(shape=(*agents, 1), dtype=torch.bool),
        }
        if isinstance(env.action_space, spaces.MultiDiscrete):
            seen["action_mask"] = Binary(shape=(*agents, width["mask"]), dtype=torch.bool)
        state = Unbounded((envs, width["central"]))
        group = Composite(seen, shape=agents)
        self.observation_spec = Composite({GROUP: group, "state": state}, shape=(envs,)).to(self.device)
        self.action_spec = self._group({"action": _action_spec(env.action_space, agents)})
        self.reward_spec = self._group({"reward": Unbounded((*agents, 1))})
        flags = {
            name: Categorical(2, shape=(envs, 1), dtype=torch.bool) for name in ("done", "terminated", "truncated")
        }
        self.done_spec = Composite(flags, shape=(envs,)).to(self.device)

    def _group(self, specs: dict[str, Any]) -> Composite:
        envs, agents = self._batch.num_envs, self._batch.env.num_agents
        return Composite({GROUP: Composite(specs, shape=(envs, agents))}, shape=(envs,)).to(self.device)

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDictBase:
        asked = None if tensordict is None else tensordict.get("_reset", None)
        which = torch.ones_like(self._ended) if asked is None else asked.view(self._ended.shape)
        if bool(which.all()):
            decision = self._batch.reset()
        elif bool((which & ~self._ended).any()):
            raise ActionError("reset in the middle of an episode: all of a batch, or those that ended")
        else:
            decision = self._batch.now  # they have begun anew
        self._ended = self._ended & ~which
        never = torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device)
        flags = {"done": never, "terminated": never.clone(), "truncated": never.clone()}
        return self._dict(self._seen(decision.observation), decision.observation.central, flags)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        given, space = tensordict.get((GROUP, "action")), self._batch.env.action_space
        joint = from_logits(given.cpu().numpy(), space) if isinstance(space, Simplex) else given
        step, _ = self._batch.step(joint)
        self._ended = step.terminated | step.truncated
        seen, central = self._seen(step.decision.observation), step.decision.observation.central
        if step.final is not None:
            last, at = self._seen(step.final.observation), self._ended
            seen = {name: torch.where(at.view(-1, *[1] * (x.dim() - 1)), last[name], x) for name, x in seen.items()}
            central = torch.where(at.unsqueeze(-1), step.final.observation.central, central)
        seen["reward"] = step.reward.view(-1, 1, 1).expand(-1, self._batch.env.num_agents, 1).clone()
        flags = {"done": self._ended, "terminated": step.terminated, "truncated": step.truncated}
        return self._dict(seen, central, {name: x.unsqueeze(-1).clone() for name, x in flags.items()})

    def _set_seed(self, seed: int | None) -> None:
        self._batch.make(seed)

    def _seen(self, seen: Observation) -> dict[str, Tensor]:
        found = {"observation": vectors(seen), "active": seen.active.unsqueeze(-1)}
        if isinstance(self._batch.env.action_space, spaces.MultiDiscrete):
            found["action_mask"] = any_where_idle(seen.mask)
        return found

    def _dict(self, seen: dict[str, Tensor], central: Tensor, flags: dict[str, Tensor]) -> TensorDictBase:
        agents = (*self.batch_size, self._batch.env.num_agents)
        group = TensorDict(seen, agents, device=self.device)
        return TensorDict({GROUP: group, "state": central.clone(), **flags}, self.batch_size, device=self.device)


def _action_spec(space: spaces.Space[Any], agents: tuple[int, int]) -> Any:
    if isinstance(space, spaces.MultiDiscrete):
        return Categorical(int(space.nvec.max()), shape=agents, dtype=torch.int64)
    box = logits_box(space) if isinstance(space, Simplex) else space
    assert isinstance(box, spaces.Box)
    low, high = (torch.as_tensor(x).expand(agents[0], *box.shape) for x in (box.low, box.high))
    return Bounded(low, high, shape=low.shape, dtype=torch.float32)
