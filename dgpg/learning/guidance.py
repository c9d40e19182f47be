"""Step 2 of 5: what the analytical model says about a step.

`marginal_potential` and `linear_potential` return phi_i(k), the rise of the potential that choice k of
agent i causes; u_i(k) = -phi_i(k) is what an agent is guided by. Neither sees the effect of today's
action on tomorrow's states: that is the return's job. `unexpected` and `shaping` feed the two forms
that leave the objective alone (docs/theory.md, S5 and S6). Cost O(B N K P) in time and memory; the
dense influence is never built.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgpg.domain import (
    AgentMapping,
    AnalyticalModel,
    Context,
    Decision,
    Influence,
    JointMapping,
    SupportsBlockPotential,
)
from dgpg.domain.types import flatten
from dgpg.learning.trajectory import Trajectory


def marginal_potential(
    model: AnalyticalModel,
    state: Tensor,
    context: Context,
    influence: Influence,
    actions: Tensor,
    active: Tensor,
) -> Tensor:
    """Exact marginal potential, phi(x_-i + z_i(k)) - phi(x_-i), docs/theory.md section 2.2.

    x_-i is the state with agent i's own part removed, so other agents' choices of the same step
    count and its own does not count twice. A potential that is no sum over blocks falls back to
    `linear_potential`.

    Args:
        model: the potential phi.
        state: x_t, after the joint action, `[B, G, m]`.
        context: c_t.
        influence: z_i(k).
        actions: a_t, `[B, N]`.
        active: agents whose action is part of x_t, `[B, N]`.

    Returns:
        phi_i(k), `[B, N, K]`.
    """
    if not isinstance(model, SupportsBlockPotential):
        return linear_potential(model, state, context, influence)
    without = gather_blocks(state, influence.index) - own_part(influence, actions, active)
    agents, choices, places = influence.index.shape[1:]
    if state.shape[1] + agents * places >= agents * choices * places:
        return rise(model, without, influence, context)
    index = influence.index.flatten(1)
    with_choice = model.block_potential((without + influence.value).flatten(1, 3), index, context)
    without_choice = _without(model, state, context, without, influence.index, actions, active)
    return (with_choice.view(influence.index.shape) - without_choice).sum(-1)


def _without(
    model: SupportsBlockPotential,
    state: Tensor,
    context: Context,
    without: Tensor,
    index: Tensor,
    actions: Tensor,
    active: Tensor,
) -> Tensor:
    """phi_g(x_-i) at the blocks `index` that choices touch, `[B, N, K, P]`, x_-i being `without` there.

    It is phi_g(x) but on the few blocks that agent i acts on itself: all agents ask about the same G blocks.
    """
    every = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
    found = model.block_potential(state, every, context).gather(1, index.flatten(1)).view(index.shape)
    taken = actions[..., None, None].expand(-1, -1, 1, index.shape[-1])
    own_index = index.gather(2, taken)
    left = without.gather(2, taken.unsqueeze(-1).expand(-1, -1, -1, -1, state.shape[-1]))
    alone = model.block_potential(left.flatten(1, 3), own_index.flatten(1), context).view(own_index.shape)
    for p in range(index.shape[-1]):  # P blocks of one choice: a handful
        same = (index == own_index[..., p : p + 1]) & active[..., None, None]
        found = torch.where(same, alone[..., p : p + 1], found)
    return found


def rise(model: SupportsBlockPotential, without: Tensor, influence: Influence, context: Context) -> Tensor:
    """phi(x_-i + z_i(k)) - phi(x_-i), `[B, N, K]`, of x_-i at the blocks that choice k touches, `[B, N, K, P, m]`."""
    index = influence.index.flatten(1)
    both = torch.cat([without + influence.value, without], 1).flatten(1, 3)
    cost = model.block_potential(both, torch.cat([index, index], 1), context)
    with_choice, without_choice = cost.chunk(2, 1)
    return (with_choice - without_choice).view(influence.index.shape).sum(-1)


def linear_potential(model: AnalyticalModel, state: Tensor, context: Context, influence: Influence) -> Tensor:
    """First order, <grad phi(x), z_i(k)>, the paper's form (docs/theory.md section 2.1), `[B, N, K]`.

    x contains agent i's own action: for the quadratic phi its own effect is counted as ||z||_W^2
    instead of half of that, which biases agents whose choices differ in size.
    """
    gradient = _gradient(model, state, context)
    return (gather_blocks(gradient, influence.index) * influence.value).sum((-1, -2))


def slope(model: AnalyticalModel, mapping: JointMapping, state: Tensor, actions: Tensor, context: Context) -> Tensor:
    """d phi / d a_i = <grad phi(x), dx/da_i> for continuous actions, `[B, N, A]` (docs/theory.md section 2.4).

    grad phi is taken at the state that the actions led to, which the mapping may know only roughly.
    """
    gradient, again = _gradient(model, state, context), _differentiable(actions)
    with torch.enable_grad():
        a = actions if again else actions.detach().requires_grad_()
        (found,) = torch.autograd.grad(mapping.state(a, context), a, gradient, create_graph=again)
    return found


def _gradient(model: AnalyticalModel, state: Tensor, context: Context) -> Tensor:
    """grad phi(x), `[B, G, m]`; itself differentiable in a state that asks for it."""
    again = _differentiable(state)
    with torch.enable_grad():
        x = state if again else state.detach().requires_grad_()
        (found,) = torch.autograd.grad(model.potential(x, context).sum(), x, create_graph=again)
    return found


def _differentiable(x: Tensor) -> bool:
    return torch.is_grad_enabled() and x.requires_grad


def expected_state(base: Tensor, influence: Influence, probability: Tensor) -> Tensor:
    """x^ = x_0 + sum_i sum_k pi_i(k) z_i(k), the state that the policies lead to on average, `[B, G, m]`.

    Args:
        base: x_0, `[B, G, m]`.
        influence: z_i(k).
        probability: pi_i(k), zero where an agent has nothing to decide, `[B, N, K]`.
    """
    amount = (influence.value * probability[..., None, None]).flatten(1, 3)
    index = influence.index.flatten(1).unsqueeze(-1).expand(-1, -1, base.shape[-1])
    return base.scatter_add(1, index, amount)


def unexpected(
    model: AnalyticalModel, state: Tensor, base: Tensor, context: Context, influence: Influence, probability: Tensor
) -> Tensor:
    """phi(x) - phi(x^), `[B]`: what the draw of all actions did to the potential. Arguments as above."""
    return model.potential(state, context) - model.potential(expected_state(base, influence, probability), context)


def shaping(model: AnalyticalModel, mapping: AgentMapping, trajectory: Trajectory, gamma: float) -> Tensor:
    """F_t = gamma Phi_{t+1} - Phi_t with Phi = -phi(x_0(c); c), `[T, B]` (docs/theory.md, S5).

    Phi looks at the state that agents find, not at what they do about it, and is zero where an episode
    reached a true end: adding F_t to the reward then changes no equilibrium (Ng, Harada and Russell 1999).
    An episode that is only cut goes on in the value of its final moment, and so does Phi.
    """

    def found(decision: Decision) -> Tensor:
        return model.potential(mapping.base_state(decision.context), decision.context)

    phi_t = found(flatten(trajectory.decision)).view(trajectory.reward.shape)
    phi_tp1 = torch.cat([phi_t[1:], found(trajectory.last).unsqueeze(0)])
    for t, final in trajectory.finals.items():
        phi_tp1[t] = torch.where(trajectory.done[t], found(final), phi_tp1[t])
    return phi_t - gamma * phi_tp1 * (~trajectory.terminated)


def gather_blocks(state: Tensor, index: Tensor) -> Tensor:
    """Blocks `index` `[B, N, K, P]` of a state `[B, G, m]`, as `[B, N, K, P, m]`."""
    flat = index.flatten(1)
    blocks = state.gather(1, flat.unsqueeze(-1).expand(-1, -1, state.shape[-1]))
    return blocks.view(*index.shape, state.shape[-1])


def own_part(influence: Influence, actions: Tensor, active: Tensor) -> Tensor:
    """z_i(a_i) where it lies on the blocks that choice k touches, `[B, N, K, P, m]`."""
    taken = actions[..., None, None].expand(-1, -1, 1, influence.index.shape[-1])
    own_index = influence.index.gather(2, taken)
    own_value = influence.value.gather(2, taken.unsqueeze(-1).expand(-1, -1, -1, -1, influence.value.shape[-1]))
    own_value = own_value * active[..., None, None, None]
    total = torch.zeros_like(influence.value)
    for p in range(own_index.shape[-1]):  # P blocks of one choice: a handful
        same = influence.index == own_index[..., p : p + 1]
        total += same.unsqueeze(-1) * own_value[..., p : p + 1, :]
    return total


def own_scale(influence: Influence, mask: Tensor) -> Tensor:
    """Size of what an agent can move: mean of ||z_i(k)|| over its allowed choices, `[B, N]`."""
    size = influence.value.square().sum((-1, -2)).sqrt()
    return (size * mask).sum(-1) / mask.sum(-1).clamp(min=1)
