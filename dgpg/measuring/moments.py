"""What single agents' tries do to the true cost and to the potential, in moments along the play of any policy.

A play says which states are visited and what the other agents do there. All later steps are drawn evenly, from the same
numbers for every try, so that nothing but the try makes the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import AnalyticalModel, Context, Decision, Environment, Policy, SupportsBlockPotential, random
from dgpg.learning import Task
from dgpg.learning.actions import kind_of, make_actor
from dgpg.learning.advantage import centre
from dgpg.measuring.replays import Replays
from dgpg.measuring.tries import Choices, Moment, Numbers, rows

Array = NDArray[np.float64]
CONTROLS = 4
"""Shuffles of the model's blocks that a model is held against."""
SPENT = 0.95
"""Part of what a choice ever does that the steps looked at should hold."""


@dataclass(frozen=True)
class Sample:
    """Gradients in S states of P agents with K choices or tries, ascent of J and of -G."""

    true: Array
    """`[S, P, K]`."""
    guided: Array
    """`[S, P, K]`."""
    shuffled: Array
    """Of the controls, `[CONTROLS, S, P, K]`."""
    features: Array
    """Of each choice in the last layer of a new policy, `[S, P, K, D]`."""
    potential: Array
    """phi of each state after the joint action, `[S]`."""
    step: Array
    """As `true`, of the cost of the step itself, `[S, P, K]`."""
    env: NDArray[np.int64]
    """Environment that a state is of, `[S]`: what is of one has its luck in common."""


@dataclass(frozen=True)
class Even:
    """The policy that draws everything that is allowed with the same probability."""

    way: Choices | Numbers
    name: str = "even draws"

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]` or `[B, N, A]`."""
        return self.way.even(decision.observation, noise)


def sample(
    task: Task, replays: Replays, play: Policy, moments: int, agents: int, lookahead: int, seed: int,
    tell: Callable[[float], None],
) -> Sample:  # fmt: skip
    """Gradients in `moments` moments along an episode of `play`, of `agents` agents in each.

    Args:
        task: environments, which are left in an arbitrary state, model and mapping.
        replays: of tries in them.
        play: who acts until a moment, and in it.
        moments: of each environment.
        agents: who try, in each moment.
        lookahead: steps of cost that a try is charged with.
        seed: of tries, draws and controls.
        tell: is told what part is done.
    """
    actor = make_actor(task.env, kind_of(task.env.action_space), "shared", 32, seed)
    chance = random.generator(random.derive(seed, "shuffles"))
    way = replays.way
    controls: list[AnalyticalModel] = []
    parts: list[list[Array]] = []
    for moment, saved, noise in _moments(task.env, way, play, moments, agents, lookahead, seed):
        controls = controls or _shuffles(task.model, moment.state, chance)
        even = moment.mask / moment.mask.sum(-1, keepdim=True).clamp(min=1)
        costs = []
        for p in range(moment.agents.shape[1]):
            costs.append(_costs(replays, saved, moment, p, noise))
            tell((len(parts) + (p + 1) / moment.agents.shape[1]) / moments)
        rises = way.rises((task.model, *controls), moment)
        said = [even * centre(rise, even) for rise in rises]
        with torch.no_grad():
            phi = task.model.potential(moment.state, moment.decision.context)
        true, step = (even * centre(torch.stack(cost, 1), even) for cost in zip(*costs, strict=True))
        columns = (true, said[0], torch.stack(said[1:], 1), way.features(actor, moment), phi, step)
        parts.append([_numpy(x) for x in columns])
    true_, guided, shuffled, features, potential, own = (np.concatenate(x) for x in zip(*parts, strict=True))
    env = np.tile(np.arange(task.env.num_envs), len(parts))
    return Sample(true_, guided, shuffled.swapaxes(0, 1), features, potential, own, env)


def reach(replays: Replays, play: Policy, seed: int) -> int:
    """Steps until `SPENT` of what one agent's try ever changes has been paid, at most the horizon.

    Looked at from early in an episode to its end. The environment is left in an arbitrary state.
    """
    env = replays.env
    moment, saved, noise = next(_moments(env, replays.way, play, 1, 1, env.horizon, seed))
    paid = replays.paid(saved, moment.each(0), noise)
    allowed = moment.mask[:, 0].T.unsqueeze(-1)  # [K, B, 1]
    mean = (paid * allowed).sum(0) / allowed.sum(0).clamp(min=1)
    apart = ((paid - mean).abs() * allowed).sum((0, 1))
    if not float(apart.sum()) > 0:
        return 1
    return int((apart.cumsum(0) < SPENT * apart.sum()).sum()) + 1


class Shuffled:
    """The model with every block taken for another one."""

    def __init__(self, model: AnalyticalModel, order: Tensor) -> None:
        self.model, self.order = model, order

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi of the state with its blocks renumbered."""
        return self.model.potential(state[:, self.order.argsort()], context)


class ShuffledBlocks(Shuffled):
    """The same for a sum over blocks."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_g of the block that g is taken for."""
        assert isinstance(self.model, SupportsBlockPotential)
        return self.model.block_potential(block, self.order[index], context)


def _shuffles(model: AnalyticalModel, state: Tensor, chance: torch.Generator) -> list[AnalyticalModel]:
    """Controls for states of this shape."""
    kind = ShuffledBlocks if isinstance(model, SupportsBlockPotential) else Shuffled
    orders = [torch.randperm(state.shape[1], generator=chance) for _ in range(CONTROLS)]
    return [kind(model, order.to(state.device)) for order in orders]


def _numpy(x: Tensor) -> Array:
    array: Array = x.detach().double().cpu().numpy()
    return array


@torch.no_grad()
def _moments(
    env: Environment, way: Choices | Numbers, play: Policy, moments: int, agents: int, lookahead: int, seed: int
) -> Iterator[tuple[Moment, dict[str, Any], Tensor]]:
    """Moments of a play, the state saved before each, and noise to replay `[B, H, N, ...]`.

    As late as leaves the lookahead room, but spread over half an episode at least.
    """
    chance = random.Streams(random.derive(seed, "alignment"), env.num_envs)
    decision = env.reset()
    last = max(env.horizon - min(lookahead, env.horizon // 2), 1)
    stops = {last * (m + 1) // (moments + 1) for m in range(moments)}
    for t in range(max(stops) + 1):
        seen = decision.observation
        if t in stops:
            order = chance.uniform(env.num_agents).to(env.device) - seen.active.float()
            tryers = order.argsort(-1)[:, :agents]  # agents with something to decide come first
            noise = chance.uniform(lookahead, env.num_agents, *way.draws).to(env.device)
            tried, mask = (rows(x, tryers) for x in way.tries(seen, chance))
            saved, actions = env.state_dict(), play.act(decision, noise[:, 0])
            yield Moment(decision, actions, env.step(actions).state, tryers, tried, mask), saved, noise
            decision = env.load_state_dict(saved)
        decision = env.step(play.act(decision, chance.uniform(env.num_agents, *way.draws).to(env.device))).decision


def _costs(replays: Replays, saved: dict[str, Any], moment: Moment, p: int, noise: Tensor) -> tuple[Tensor, Tensor]:
    """If the p-th agent did each of its tries, cost of the next steps, of the first; `[B, K]`, 0 where it may not."""
    paid = replays.paid(saved, moment.each(p), noise).movedim(0, 1)
    may = moment.mask[:, p]
    return paid.sum(-1).where(may, 0.0), paid[..., 0].where(may, 0.0)
