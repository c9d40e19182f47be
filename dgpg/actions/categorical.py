"""Categorical actions with masks: logits for each choice `[..., K]`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dgpg import advantage, guidance
from dgpg.errors import PluginError
from dgpg.intents import ChoiceIntents
from dgpg.losses import clipped_all_action, clipped_policy
from dgpg.networks import ScoringActor
from dgpg.protocols import AgentMapping, AnalyticalModel, JointMapping
from dgpg.sharing import Sharing
from dgpg.types import Decision, Guidance, Observation, Trajectory, flatten, map_tensors

ESTIMATORS = ("all_action", "exact", "first_order", "control_variate", "potential_based")
"""How the model enters, docs/theory.md sections 2 and 4; the first is the default."""
DRAWS: tuple[int, ...] = ()
"""One uniform number decides."""
STATES = 64
"""States that guidance takes at a time."""


def make_actor(sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> ScoringActor:
    """A network that scores each choice."""
    return ScoringActor(sizes["agent"], sizes["choices"], hidden, sharing, seed, sizes.get("messages", 0))


def parameters(logits: Tensor, mask: Tensor) -> Tensor:
    """log pi(k), `[..., K]`: -inf where not allowed, uniform where nothing is."""
    nothing = ~mask.any(-1, keepdim=True)
    return logits.masked_fill(~(mask | nothing), -torch.inf).log_softmax(-1)


def sample(logs: Tensor, noise: Tensor) -> Tensor:
    """Draw by the inverse of the distribution function from uniform `noise` `[...]`.

    One uniform number an agent decides, so the draw of an environment does not depend on its batch.
    """
    distribution = logs.exp().cumsum(-1)
    return (distribution <= noise.unsqueeze(-1) * distribution[..., -1:]).sum(-1)


def greedy(logs: Tensor) -> Tensor:
    """The most probable choice, the first where several are, `[...]` of log probabilities `[..., K]`."""
    return logs.argmax(-1)


def to_env(actions: Tensor) -> Tensor:
    """A choice is its number, `[B, N]`."""
    return actions


def anything(observation: Observation, chance: torch.Generator) -> Tensor:
    """An allowed choice of each active agent, any of the others, `[B, N]`."""
    score = torch.rand(observation.mask.shape, generator=chance).to(observation.mask.device)
    return (score + observation.mask.float()).argmax(-1)


def log_prob(logs: Tensor, actions: Tensor) -> Tensor:
    """log pi(a), `[...]`."""
    return logs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def entropy(logs: Tensor) -> Tensor:
    """-sum_k pi(k) log pi(k), `[...]`."""
    # 0 * -inf is NaN: a choice that is not allowed adds nothing.
    return -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)


def policy_loss(
    logs: Tensor, logs_old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None,
    alpha: float, clip: float,
) -> Tensor:  # fmt: skip
    """(1 - alpha) of the sampled clipped loss + alpha of the all-action one, a number a row.

    Args:
        logs: log pi(k) under the parameters being trained, `[..., K]`.
        logs_old: the same when the action was drawn.
        actions: `[...]`.
        advantage: of the sampled action, `[...]`.
        u: guidance of every choice for `all_action`, `[..., K]`; None when `advantage` holds it already.
        alpha: weight of u, unused without it.
        clip: width of the trust region.
    """
    sampled = clipped_policy(log_prob(logs, actions), log_prob(logs_old, actions), advantage, clip)
    if u is None:
        return sampled
    return (1 - alpha) * sampled + alpha * clipped_all_action(logs, logs_old, u, clip)


@torch.no_grad()
def guide(
    estimator: str, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory,
    gamma: float, scaled: bool,
) -> Guidance:  # fmt: skip
    """What the model says about a whole trajectory, in the form the estimator asks for (docs/theory.md).

    Args:
        estimator: one of `ESTIMATORS`.
        model: phi.
        mapping: z_i(k).
        trajectory: T steps.
        gamma: discount, for `potential_based`.
        scaled: divide u by each agent's own scale first, for `all_action` and `exact`.
    """
    mapping = _of_choices(mapping)
    if estimator == "potential_based":
        return Guidance(shaping=guidance.shaping(model, mapping, trajectory, gamma))
    potential, own, rest = _measure(estimator, model, mapping, trajectory)
    active = trajectory.decision.observation.active
    if estimator == "first_order":
        return Guidance(u=advantage.normalise(-log_prob(potential, trajectory.actions), active, "batch"))
    probability = trajectory.policy.exp()
    u = advantage.centre(potential, probability)
    if estimator == "control_variate":
        return Guidance(baseline=-rest.unsqueeze(-1) - log_prob(u, trajectory.actions))
    u = advantage.scale_guidance(u, probability, active, own if scaled else None)
    return Guidance(u=u if estimator == "all_action" else log_prob(u, trajectory.actions))


def intents(model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision) -> ChoiceIntents:
    """Agents announce probabilities; what travels are sums over blocks."""
    return ChoiceIntents.of(model, _of_choices(mapping), decision)


def _of_choices(mapping: AgentMapping | JointMapping) -> AgentMapping:
    if not isinstance(mapping, AgentMapping):
        raise PluginError("choices need a mapping with base_state and influence, see dgpg.protocols")
    return mapping


def _measure(
    estimator: str, model: AnalyticalModel, mapping: AgentMapping, trajectory: Trajectory
) -> tuple[Tensor, Tensor, Tensor]:
    """phi_i(k) `[T, B, N, K]`, each agent's own scale `[T, B, N]`, phi(x) - phi(x^) `[T, B]`."""
    decision = flatten(trajectory.decision)
    state, actions, logs = (x.flatten(0, 1) for x in (trajectory.state, trajectory.actions, trajectory.policy))
    parts = []
    # A few states at a time: what their choices touch then stays in the processor's cache.
    for first in range(0, len(state), STATES):
        at = slice(first, first + STATES)
        part = map_tensors(lambda x: x[at], decision)  # noqa: B023 (called at once)
        parts.append(_measure_some(estimator, model, mapping, part, state[at], actions[at], logs[at]))
    shape = trajectory.reward.shape
    potential, own, rest = (torch.cat(x).view(*shape, *x[0].shape[1:]) for x in zip(*parts, strict=True))
    return potential, own, rest


def _measure_some(
    estimator: str, model: AnalyticalModel, mapping: AgentMapping, decision: Decision,
    state: Tensor, actions: Tensor, logs: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    seen, context = decision.observation, decision.context
    influence = mapping.influence(seen, context)
    if estimator == "first_order":
        potential = guidance.linear_potential(model, state, context, influence)
    else:
        potential = guidance.marginal_potential(model, state, context, influence, actions, seen.active)
    rest = state.new_zeros(len(state))
    if estimator == "control_variate":
        probability = logs.exp() * seen.active.unsqueeze(-1)
        rest = guidance.unexpected(model, state, mapping.base_state(context), context, influence, probability)
    return potential, guidance.own_scale(influence, seen.mask), rest
