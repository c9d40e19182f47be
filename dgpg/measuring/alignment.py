"""Before any training: does the model's guidance point where the true cost falls?

In saved states, single agents try each of their choices (or some continuous actions) while everything else,
the other agents' draws and all later chance included, stays as it was (common random numbers). What that
does to the cost of the next steps is the gradient of J with respect to the agent's logits; what the model
says about the same tries is the gradient of -G. Both are measured under the policy that draws evenly.

Two questions, because one future of a state is mostly luck (nothing redraws it) and luck has to average out:

- `direction`: the cosine of both gradients with respect to the last layer of a new shared policy, averaged
  over states. Inner products are taken between different states only, so luck does not bias it.
- `detail`: the cosine choice by choice. Luck lowers it, so it is compared with the same model whose blocks
  are shuffled: a model that knows its blocks does better than that.

Why these two and no others: docs/adr/0009-alignment-is-a-direction-and-a-control.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgpg.domain import AnalyticalModel, Context, Environment, SupportsBlockPotential, random
from dgpg.learning import Task
from dgpg.learning.actions import kind_of, make_actor
from dgpg.learning.advantage import centre
from dgpg.measuring.tries import Choices, Moment, Numbers, rows, tries_of

Array = NDArray[np.float64]
Interval = tuple[float, float]
TRUSTED, DOUBTFUL = 0.8, 0.3
"""Directions from which a model may be trusted, and below which it may not."""
SIZE = 1e-3, 1e3
"""Scales beyond which units are probably mixed up."""
SAME, LONG = 0.99, 2.0
"""Cosine from which a potential is the cost of its step, and how much later cost is worth a word then."""
GROUPS = 4
"""The states are ordered by their potential and cut in so many groups; `worst` is the worst of them."""
ROWS = 2400
"""Agents times environments that a measurement is made in, with 4 to 48 environments."""
CONTROLS = 4
"""Shuffles of the model's blocks that `gain` is the mean over."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: `moments` states of each environment, `agents` in each state."""

    moments: int = 3
    agents: int = 6
    horizon: int = 16
    """Steps of cost that a choice is charged with."""


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


@dataclass(frozen=True)
class Alignment:
    """What was measured; intervals are 95 % bootstraps over states."""

    direction: float
    direction_ci95: Interval
    worst: float
    """The direction in the worst of the groups of states in which luck leaves one to be seen."""
    detail: float
    gain: float
    """`detail` less that of the same model with shuffled blocks."""
    gain_ci95: Interval
    scale: float
    """Cost that one unit of the potential stands for: 1 where a value potential is the whole truth."""
    states: int
    own: float
    """The cosine choice by choice with the cost of the step itself: 1 where the potential is that cost."""
    lasting: float
    """What a choice costs in all the steps looked at, over what it costs in its own."""

    @property
    def advice(self) -> str:
        """What else might help; "" where nothing is known."""
        if self.own < SAME or self.lasting < LONG:
            return ""
        return (
            f"its potential is the cost of one step, but what a choice costs over the next ones is {self.lasting:.2g} "
            "times that: if some of it lasts longer than the rest, let the potential count it for as long (docs, Your "
            "first plugin, What lasts)"
        )

    @property
    def trusted(self) -> bool:
        """Whether the model may be used with a large alpha."""
        right = self.direction_ci95[0] >= TRUSTED and self.worst > 0 and self.gain_ci95[0] > 0
        return right and SIZE[0] < self.scale < SIZE[1]

    @property
    def verdict(self) -> str:
        """What a user should do about it, one sentence."""
        low, high = self.direction_ci95
        if high < 0:
            return "it misleads: it points where the cost rises; look for a wrong sign, index order or reference"
        if low < DOUBTFUL:
            return "it may not be trusted: it does not point where the cost falls; train with mappo or ippo-local"
        if self.trusted:
            return "it may be trusted with a large alpha: it points where the cost falls and knows its blocks apart"
        if self.gain_ci95[0] <= 0:
            return (
                "use a small alpha that falls to 0: it is no better than with its blocks shuffled, so it takes them "
                "for alike or for one another (right only if they are alike); check the order and size of its data"
            )
        if not SIZE[0] < self.scale < SIZE[1]:
            return (
                f"check its units first: one unit of its potential stands for {self.scale:.1e} of cost, so some "
                "coordinate may be off by a factor (a distance in units of its own is fine: guidance is normalised)"
            )
        return "use alpha 0.5 falling to 0: it points the right way on the whole, not in all states"


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


def measure(task: Task, plan: Plan, seed: int) -> Alignment:
    """Measure on fresh episodes of the task's environment, which is left in an arbitrary state."""
    chance = np.random.default_rng(random.derive(seed, "bootstrap"))
    return summarise(sample(task, plan, seed), chance)


def summarise(found: Sample, rng: np.random.Generator, resamples: int = 1000) -> Alignment:
    """Cosines, their intervals and the scale."""
    count = len(found.true)
    true, guided = (np.einsum("spk,spkd->sd", x, found.features) for x in (found.true, found.guided))
    draws = rng.integers(count, size=(resamples, count))
    groups = np.array_split(found.potential.argsort(), GROUPS)

    def detail(states: Any) -> float:
        return _cosine(found.true[states], found.guided[states])

    def gain(states: Any) -> float:
        return detail(states) - float(np.mean([_cosine(found.true[states], x[states]) for x in found.shuffled]))

    every = np.arange(count)
    return Alignment(
        direction=_direction(true, guided),
        direction_ci95=_interval([_direction(true[s], guided[s]) for s in draws]),
        worst=min((d for s in groups if (d := _direction(true[s], guided[s]))), default=0.0),
        detail=detail(every),
        gain=gain(every),
        gain_ci95=_interval([gain(s) for s in draws]),
        scale=float((found.true * found.guided).sum() / max(float(np.square(found.guided).sum()), 1e-300)),
        states=count,
        own=_cosine(found.step, found.guided),
        lasting=float((found.true * found.step).sum() / max(float(np.square(found.step).sum()), 1e-300)),
    )


def _cosine(one: Array, other: Array) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _direction(one: Array, other: Array) -> float:
    """Cosine of the means of `[S, D]` over states, 0 where luck outweighs them; no state is multiplied by itself."""

    def product(a: Array, b: Array) -> float:
        return float(a.sum(0) @ b.sum(0) - (a * b).sum())

    power, power_other = product(one, one), product(other, other)
    if power <= 0 or power_other <= 0:
        return 0.0
    return float(np.clip(product(one, other) / np.sqrt(power * power_other), -1.0, 1.0))


def _interval(values: list[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def sample(task: Task, plan: Plan, seed: int) -> Sample:
    """Gradients in moments along episodes under even draws."""
    actor = make_actor(task.env, kind_of(task.env.action_space), "shared", 32, seed)
    chance = random.generator(random.derive(seed, "shuffles"))
    way = tries_of(task.env, task.mapping)
    controls: list[AnalyticalModel] = []
    parts = []
    for moment, saved, noise in _moments(task.env, way, plan, seed):
        controls = controls or _shuffles(task.model, moment.state, chance)
        even = moment.mask / moment.mask.sum(-1, keepdim=True).clamp(min=1)
        costs = [_costs(task.env, way, saved, moment, p, noise) for p in range(moment.agents.shape[1])]
        rises = way.rises((task.model, *controls), moment)
        said = [even * centre(rise, even) for rise in rises]
        with torch.no_grad():
            phi = task.model.potential(moment.state, moment.decision.context)
        true, step = (even * centre(torch.stack(cost, 1), even) for cost in zip(*costs, strict=True))
        columns = (true, said[0], torch.stack(said[1:], 1), way.features(actor, moment), phi, step)
        parts.append([_numpy(x) for x in columns])
    true_, guided, shuffled, features, potential, own = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Sample(true_, guided, shuffled.swapaxes(0, 1), features, potential, own)


def _shuffles(model: AnalyticalModel, state: Tensor, chance: torch.Generator) -> list[AnalyticalModel]:
    """Controls for states of this shape."""
    kind = ShuffledBlocks if isinstance(model, SupportsBlockPotential) else Shuffled
    orders = [torch.randperm(state.shape[1], generator=chance) for _ in range(CONTROLS)]
    return [kind(model, order.to(state.device)) for order in orders]


def _numpy(x: Tensor) -> Array:
    array: Array = x.detach().double().cpu().numpy()
    return array


def _moments(
    env: Environment, way: Choices | Numbers, plan: Plan, seed: int
) -> Iterator[tuple[Moment, dict[str, Any], Tensor]]:
    """Moments under even draws, the state saved before each, and noise to replay `[B, H, N, ...]`."""
    chance = random.Streams(random.derive(seed, "alignment"), env.num_envs)
    decision = env.reset()
    last = max(env.horizon - plan.horizon, 1)
    stops = {last * (m + 1) // (plan.moments + 1) for m in range(plan.moments)}
    for t in range(max(stops) + 1):
        seen = decision.observation
        if t in stops:
            order = chance.uniform(env.num_agents).to(env.device) - seen.active.float()
            agents = order.argsort(-1)[:, : plan.agents]  # agents with something to decide come first
            noise = chance.uniform(plan.horizon, env.num_agents, *way.draws).to(env.device)
            tried, mask = (rows(x, agents) for x in way.tries(seen, chance))
            saved, actions = env.state_dict(), way.even(seen, noise[:, 0])
            yield Moment(decision, actions, env.step(actions).state, agents, tried, mask), saved, noise
            seen = env.load_state_dict(saved).observation
        decision = env.step(way.even(seen, chance.uniform(env.num_agents, *way.draws).to(env.device))).decision


def _costs(
    env: Environment, way: Choices | Numbers, saved: dict[str, Any], moment: Moment, p: int, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """If the p-th agent did each of its tries, cost of the next steps, of the first; `[B, K]`, 0 where it may not."""
    costs, first = [], []
    for k in range(moment.mask.shape[-1]):
        env.load_state_dict(saved)
        step = env.step(moment.instead(p, k))
        cost, over = -step.reward.double(), step.terminated | step.truncated
        first.append(cost)
        for noise_t in noise[:, 1:].unbind(1):
            step = env.step(way.even(step.decision.observation, noise_t))
            cost = cost - step.reward.double() * ~over
            over = over | step.terminated | step.truncated
        costs.append(cost)
    may = moment.mask[:, p]
    return torch.stack(costs, -1).where(may, 0.0), torch.stack(first, -1).where(may, 0.0)
