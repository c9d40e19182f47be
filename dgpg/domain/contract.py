"""Shapes that the contract fixes, looked at once before a run: a mistake is one message, not a traceback from torch.

`dgpg check` looks at far more; this is what training cannot go on without.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain.blocks import SupportsBlockCost
from dgpg.domain.protocols import AgentMapping, AnalyticalModel, Environment, JointMapping
from dgpg.domain.types import Decision, Step
from dgpg.errors import ConfigError, PluginError

ADVICE = "`dgpg check DOMAIN` finds more of this kind"
FLOAT, BOOL, INDEX = (torch.float32,), (torch.bool,), (torch.int64,)
NUMBERS = (torch.float32, torch.float64)


def look(member: str, x: object, shape: tuple[int | None, ...], names: str, dtypes: tuple[torch.dtype, ...]) -> None:
    """Raise PluginError unless x is a tensor of that shape (None: any size) and type."""
    if not isinstance(x, Tensor):
        raise PluginError(f"{member}: expected a tensor {names}, got {type(x).__name__}; {ADVICE}")
    fits = x.dim() == len(shape) and all(want in (None, have) for want, have in zip(shape, x.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise PluginError(f"{member}: expected shape {names} = [{wanted}], got {list(x.shape)}; {ADVICE}")
    if x.dtype not in dtypes:
        raise PluginError(f"{member}: expected {dtypes[0]}, got {x.dtype}; convert it where it is made; {ADVICE}")


def look_at_environment(env: object) -> None:
    """What `make_env` returned: all that training needs of it, and evaluation after it.

    Raises:
        PluginError: naming the members that are not there.
    """
    lacks = [name for name in (*Environment.__annotations__, "reset", "step") if not hasattr(env, name)]
    if lacks:
        raise PluginError(
            f"Domain.make_env(...): expected an environment, got {type(env).__name__} without {', '.join(lacks)}; see "
            f"dgpg.domain.Environment; {ADVICE}"
        )


def look_at_decision(decision: Decision, env: Environment, envs: int) -> None:
    """What `reset` returned of `envs` environments: an observation as the spaces say, and a context of batched tensors.

    Raises:
        PluginError: naming the member, what was expected and what came.
    """
    agents, seen = env.num_agents, decision.observation
    size = {name: (env.observation_space[name].shape or (0,)) for name in ("agent", "choices", "mask", "central")}
    choices = size["mask"][-1]
    where = "Environment.reset().observation"
    look(f"{where}.agent", seen.agent, (envs, agents, size["agent"][-1]), "[B, N, F]", FLOAT)
    look(f"{where}.choices", seen.choices, (envs, agents, choices, size["choices"][-1]), "[B, N, K, C]", FLOAT)
    look(f"{where}.mask", seen.mask, (envs, agents, choices), "[B, N, K]", BOOL)
    look(f"{where}.central", seen.central, (envs, size["central"][-1]), "[B, S]", FLOAT)
    for name, x in decision.context.items():
        if not isinstance(x, Tensor) or x.dim() == 0 or len(x) != envs:
            got = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise PluginError(f"context['{name}']: expected a tensor [B, ...] with B = {envs}, got {got}; {ADVICE}")


def look_at_choices(env: Environment) -> None:
    """Raise PluginError where agents choose among several things without features: a policy scores them all alike."""
    agents, choices, features = env.observation_space["choices"].shape or (0, 0, 0)
    if choices > 1 and not features:
        raise PluginError(
            f"observation_space['choices']: {agents} agents have {choices} choices without features, expected some that"
            " tell them apart, as a policy scores each by its features: give what is known of each, or its "
            f"number, torch.eye({choices}); {ADVICE}"
        )


def look_at_agents(found: int, expected: int) -> None:
    """Raise ConfigError where a policy of as many agents as `expected` is asked for `found`: bounds would broadcast."""
    if found != expected:
        agents = "1 agent" if found == 1 else f"{found} agents"
        raise ConfigError(f"a policy of {expected} agents was given an observation of {agents}; give it all {expected}")


def look_at_noise(found: int, agents: int) -> None:
    """Raise ConfigError where noise is not of the agents of an observation: it would stretch one's policy to others."""
    if found != agents:
        raise ConfigError(f"noise of {found} agents was given with an observation of {agents}; give each its own")


def look_at_step(step: Step, env: Environment, envs: int) -> None:
    """What `step` returned of `envs` environments, of all in `env` or some."""
    agents = env.num_agents
    look("Step.reward", step.reward, (envs,), "[B]", FLOAT)
    look("Step.state", step.state, (envs, None, None), "[B, G, m]", NUMBERS)
    look("Step.terminated", step.terminated, (envs,), "[B]", BOOL)
    look("Step.truncated", step.truncated, (envs,), "[B]", BOOL)
    if step.local_reward is not None:
        look("Step.local_reward", step.local_reward, (envs, agents), "[B, N]", FLOAT)
    if isinstance(env, SupportsBlockCost):
        look("Step.state", step.state, (envs, env.num_blocks, None), "[B, num_blocks, m]", NUMBERS)
        look("Step.block_cost", step.block_cost, (envs, env.num_blocks), "[B, num_blocks]", FLOAT)


def look_at_model(
    model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision, actions: Tensor, state: Tensor
) -> None:
    """What model and mapping make of one moment, the joint action in units of the environment, and x, `[B, G, m]`.

    Raises:
        PluginError: naming the member, what was expected and what came.
    """
    for member, made in (("analytical_model", model), ("agent_mapping", mapping)):
        if isinstance(made, type):
            raise PluginError(f"Domain.{member}(config): expected an object, got the class {made.__name__}; call it")
    envs = len(state)
    potential = model.potential(state, decision.context)
    look("AnalyticalModel.potential", potential, (envs,), "[B]", NUMBERS)
    blocks, width = state.shape[1:]
    if not isinstance(mapping, AgentMapping):
        found = mapping.state(actions, decision.context)
        look("JointMapping.state", found, (envs, blocks, width), "[B, G, m]", NUMBERS)
        return
    look("AgentMapping.base_state", mapping.base_state(decision.context), (envs, blocks, width), "[B, G, m]", NUMBERS)
    influence, choices = mapping.influence(decision.observation, decision.context), decision.observation.mask.shape
    look("Influence.index", influence.index, (*choices, None), "[B, N, K, P]", INDEX)
    look("Influence.value", influence.value, (*influence.index.shape, width), "[B, N, K, P, m]", NUMBERS)
    if bool(((influence.index < 0) | (influence.index >= blocks)).any()):
        low, high = int(influence.index.min()), int(influence.index.max())
        raise PluginError(
            f"Influence.index: expected blocks 0 to {blocks - 1} of the state, got {low} to {high}; {ADVICE}"
        )


def choosing(mapping: AgentMapping | JointMapping) -> AgentMapping:
    """The mapping, if it is one of choices.

    Raises:
        PluginError: it is one of joint actions.
    """
    if not isinstance(mapping, AgentMapping):
        raise PluginError("choices need a mapping with base_state and influence, see dgpg.domain.AgentMapping")
    return mapping


def joint(mapping: AgentMapping | JointMapping, who: str) -> JointMapping:
    """The mapping, if it is one of joint actions; `who` needs it.

    Raises:
        PluginError: it is one of choices.
    """
    if not isinstance(mapping, JointMapping):
        raise PluginError(f"{who} need a mapping with state(actions, context), see dgpg.domain.JointMapping")
    return mapping
