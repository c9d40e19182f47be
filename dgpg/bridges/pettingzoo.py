"""Any domain as a PettingZoo `ParallelEnv`: `pip install 'dgpg[pettingzoo]'`.

Agents are called as the domain calls them (`dgpg.domain.SupportsAgentNames`), otherwise `agent_0`, `agent_1`, ... Each
sees a vector `[F + K C]`: its own features, then those of its choices in order. Where it chooses, observations are
dictionaries of that `observation` and an `action_mask`, as PettingZoo has it. Where it sets numbers (in the
environment's units) or logits of a split (see `dgpg.bridges.gym.Logits`), its observation is the vector alone.

All agents live from the first to the last step of an episode, since PettingZoo lets no dead agent return. Of one that
has **nothing to decide** now `infos[agent]["active"]` is False, its `action_mask` allows everything, its action is
ignored and may be left out. A learner should leave such rows out of its policy's loss, as dgpg's own do: the advantage
says nothing about an action that nobody took. `infos[agent]["allowed"]` is the mask as the domain has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from dgpg.bridges.actions import Array, any_where_idle, each, from_logits
from dgpg.bridges.batch import Batch, missing
from dgpg.bridges.seeing import vector_spaces, vectors
from dgpg.domain import Decision, Domain, Simplex, Step, SupportsAgentNames
from dgpg.errors import ActionError, PluginError, unknown

try:
    import pettingzoo
except ImportError as error:
    raise missing(error, "pettingzoo") from None

Seen = Array | dict[str, Array]
ByAgent = dict[str, Any]


class ParallelEnv(pettingzoo.ParallelEnv[str, Seen, Any]):  # type: ignore[misc]  # it ships no types
    """One environment of a domain; agents share the reward and end together.

    Infos of an agent hold `active`, `allowed` `[K]`, `not_allowed` (whether it just chose what the mask forbids)
    and, after a step of a domain that attributes one, `local_reward`, its own share. `state()` is what a central critic
    sees, `[S]`.

    Args:
        domain: its name (`dgpg domains` lists them), or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
        seed: of its episodes, until `reset(seed=...)` sets it anew; None draws one.

    Raises:
        ConfigError: a setting is wrong.
        PluginError: there is no such domain, or its names of agents are not of its agents.
    """

    render_mode = None

    def __init__(self, domain: Domain | str, config: Any = None, seed: int | None = None) -> None:
        self._batch = Batch(domain, config, 1, seed)
        env = self._batch.env
        self.metadata = {"name": f"dgpg_{_name(domain)}_v0", "render_modes": [], "is_parallelizable": True}
        self.possible_agents = names(self._batch)
        self.agents: list[str] = []
        self._last: Decision | None = None
        self._chooses = isinstance(env.action_space, spaces.MultiDiscrete)
        choices = env.observation_space["mask"].shape[-1]  # type: ignore[index]  # of Dict it is known
        seen: list[spaces.Space[Any]] = list(vector_spaces(env.observation_space))
        if self._chooses:
            mask = {"action_mask": spaces.Box(0, 1, (choices,), np.int8)}
            seen = [spaces.Dict({"observation": box} | mask) for box in seen]
        self.observation_spaces = dict(zip(self.possible_agents, seen, strict=True))
        self.action_spaces = dict(zip(self.possible_agents, each(env.action_space), strict=True))
        self.state_space = env.observation_space["central"]

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Of one agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Of one agent."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[ByAgent, ByAgent]:
        """The next episode; the first of `seed`, where one is given."""
        decision = self._batch.reset(seed)
        self.agents = list(self.possible_agents)
        return self._observations(decision), self._infos(decision, None, None)

    def step(self, actions: Mapping[str, Any]) -> tuple[ByAgent, ByAgent, ByAgent, ByAgent, ByAgent]:
        """One step of all agents; after the last one `agents` is empty.

        Raises:
            ActionError: the episode is over, an agent is unknown or has no action though it has something to decide,
                or what it does is no action of its space.
        """
        if not self.agents:
            raise ActionError("no episode is under way: call reset()")
        step, wrong = self._batch.step(self._joint(actions))
        last = step.decision if step.final is None else step.final
        ended = self.agents
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        if terminated or truncated:
            self.agents = []
        return (
            self._observations(last),
            dict.fromkeys(ended, float(step.reward[0])),
            dict.fromkeys(ended, terminated),
            dict.fromkeys(ended, truncated),
            self._infos(last, step, wrong[0].numpy()),
        )

    def state(self) -> Array:
        """What a central critic sees, `[S]`.

        Raises:
            ConfigError: `reset` was never called.
        """
        seen: Array = (self._last or self._batch.now).observation.central[0].cpu().numpy()
        return seen

    def render(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is open."""

    def _joint(self, given: Mapping[str, Any]) -> Array:
        """`[1, N]`, `[1, N, A]` or splits `[1, N, K]`, in the environment's terms."""
        strange = [agent for agent in given if agent not in self.action_spaces]
        if strange:
            raise ActionError(unknown("agent", str(strange[0]), self.possible_agents))
        active = self._batch.now.observation.active[0].tolist()
        silent = [a for a, acts in zip(self.possible_agents, active, strict=True) if acts and given.get(a) is None]
        if silent:
            raise ActionError(f"no action of {', '.join(silent[:5])}: every agent with something to decide needs one")
        rows = [self._one(agent, given.get(agent)) for agent in self.possible_agents]
        joint, space = np.stack(rows)[None], self._batch.env.action_space
        return from_logits(joint, space) if isinstance(space, Simplex) else joint

    def _one(self, agent: str, action: Any) -> Array:
        space = self.action_spaces[agent]
        if action is None:  # ignored
            return space.low if isinstance(space, spaces.Box) else np.zeros((), np.int64)
        found = np.asarray(action)
        if found.shape != space.shape:
            raise ActionError(f"action of {agent}: expected shape {list(space.shape or ())}, got {list(found.shape)}")
        return found

    def _observations(self, decision: Decision) -> ByAgent:
        self._last = decision
        seen = vectors(decision.observation)[0].cpu().numpy()
        if not self._chooses:
            return dict(zip(self.possible_agents, seen, strict=True))
        masks = any_where_idle(decision.observation.mask)[0].cpu().numpy().astype(np.int8)
        rows = zip(self.possible_agents, seen, masks, strict=True)
        return {agent: {"observation": x, "action_mask": mask} for agent, x, mask in rows}

    def _infos(self, decision: Decision, step: Step | None, wrong: Array | None) -> ByAgent:
        allowed = decision.observation.mask[0].cpu().numpy().astype(np.int8)
        told = {
            agent: {
                "active": bool(allowed[i].any()),
                "allowed": allowed[i],
                "not_allowed": wrong is not None and bool(wrong[i]),
            }
            for i, agent in enumerate(self.possible_agents)
        }
        if step is not None and step.local_reward is not None:
            for i, agent in enumerate(self.possible_agents):
                told[agent]["local_reward"] = float(step.local_reward[0, i])
        return told


def names(batch: Batch) -> list[str]:
    """What agents are called, N, each otherwise.

    Raises:
        PluginError: the domain's names are too few, too many, or twice.
    """
    count = batch.env.num_agents
    if not isinstance(batch.domain, SupportsAgentNames):
        return [f"agent_{i}" for i in range(count)]
    found = list(batch.domain.agent_names(batch.config))
    if len(found) != count or len(set(found)) != count:
        twice = sorted({name for name in found if found.count(name) > 1})[:5]
        got = f"{len(found)}" + (f", twice: {', '.join(twice)}" if twice else "")
        raise PluginError(f"Domain.agent_names(config): expected {count} names, each only once, got {got}")
    return found


def _name(domain: Domain | str) -> str:
    return domain if isinstance(domain, str) else type(domain).__name__.lower().removesuffix("domain")
