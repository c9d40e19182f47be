"""The state that a mapping says a joint action leads to."""

from __future__ import annotations

from torch import Tensor

from dgpg.domain.protocols import AgentMapping, JointMapping
from dgpg.domain.types import Decision, Influence


def assembled(base: Tensor, influence: Influence, actions: Tensor, active: Tensor) -> Tensor:
    """x_0 + sum_i z_i(a_i) over active agents, `[B, G, m]`."""
    taken = actions[..., None, None].expand(-1, -1, 1, influence.index.shape[-1])
    index = influence.index.gather(2, taken).flatten(1)
    at = taken.unsqueeze(-1).expand(-1, -1, -1, -1, influence.value.shape[-1])
    value = influence.value.gather(2, at) * active[..., None, None, None]
    value = value.flatten(1, 3)
    return base.scatter_add(1, index.unsqueeze(-1).expand_as(value), value)


def state_of(mapping: AgentMapping | JointMapping, decision: Decision, actions: Tensor) -> Tensor:
    """x, `[B, G, m]`, that a mapping of either kind says a joint action leads to, in the units of the environment."""
    if isinstance(mapping, JointMapping):
        return mapping.state(actions, decision.context)
    influence = mapping.influence(decision.observation, decision.context)
    return assembled(mapping.base_state(decision.context), influence, actions, decision.observation.active)
