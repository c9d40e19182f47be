"""Mistakes in mappings, models, references and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, Decision, Influence, Observation, Step

from . import toy
from .broken_episodes import IdleAct
from .planted import broken, returning

# --- state and influence -----------------------------------------------------------------------


def mapping(change: Callable[[Influence], Influence]) -> type:
    class Changed(toy.Routes):
        def influence(self, observation: Observation, context: Context) -> Influence:
            return change(super().influence(observation, context))

    return Changed


def valued(factor: float) -> type:
    return mapping(lambda z: replace(z, value=factor * z.value))


def twice(z: Influence) -> Influence:
    return Influence(torch.cat([z.index, z.index], -1), torch.cat([z.value / 2, z.value / 2], -2))


def future(env: Any, step: Step) -> Step:
    """x_{t+1} for x_t: where the next step starts from."""
    return replace(step, state=step.decision.context["prior"].unsqueeze(-1))


class Before(toy.Env):
    """x_{t-1} for x_t."""

    def step(self, actions: Tensor) -> Step:
        last = getattr(self, "last", torch.zeros(self.num_envs, 3, 1))
        step = super().step(actions)
        self.last = step.state
        return replace(step, state=last)


class Ignores(toy.Env):
    """The mask is forgotten: closed routes are offered, and who takes one stays where he is."""

    def _decide(self) -> Decision:
        decision = super()._decide()
        self.open = decision.observation.mask
        return replace(decision, observation=replace(decision.observation, mask=torch.ones_like(self.open)))

    def step(self, actions: Tensor) -> Step:
        goes = self.open.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        prior = self.decision.context["prior"]
        step = super().step(actions)
        taken = torch.nn.functional.one_hot(actions, 3) * (goes * self.weight).unsqueeze(-1)
        return replace(step, state=(prior + taken.sum(1)).unsqueeze(-1))


class Crowds(toy.Env):
    """A full route turns away who comes last."""

    def step(self, actions: Tensor) -> Step:
        limit = self.decision.context["prior"] + 2
        step = super().step(actions)
        return replace(step, state=torch.minimum(step.state, limit.unsqueeze(-1)))


class Counts(toy.Routes):
    calls = 0

    def base_state(self, context: Context) -> Tensor:
        self.calls += 1
        return super().base_state(context) + self.calls


class Averages(toy.Routes):
    def base_state(self, context: Context) -> Tensor:
        return super().base_state(context).mean(0, keepdim=True).expand(len(context["prior"]), -1, -1)


broken("influence_format", "int32", "Influence.index", "int64",
       mapping=mapping(lambda z: replace(z, index=z.index.int())))  # fmt: skip
broken("influence_format", "off by one", "Influence.index", "0 ... 2", "counted",
       mapping=mapping(lambda z: replace(z, index=z.index + 1)))  # fmt: skip
broken("distinct_blocks", "a block twice", "block", "places 0 and 1", "twice", mapping=mapping(twice))
broken("state_is_sum", "the future", "future", "x_{t+1}", env=returning(future))
broken("state_is_sum", "the past", "environment", "agents", "too early", env=Before)
broken("state_is_sum", "a factor of 1000", "1000 times", "units", mapping=valued(0.001))
broken("state_is_sum", "a limit", "does not add up", "limit", env=Crowds)
broken("state_is_sum", "everybody acts", "without an allowed choice", env=IdleAct)
broken("influence_is_effect", "wrong sign", "agent", "choice", "sign", mapping=valued(-1))
broken("influence_is_effect", "a factor of 1000", "units", "1000", mapping=valued(0.001))
broken("influence_is_effect", "a forgotten mask", "mask", "ignores", env=Ignores)
broken("mapping_is_pure", "a counter", "counter", "context", mapping=Counts)
broken("mapping_is_pure", "a mean over the batch", "in a batch and alone", "mean", mapping=Averages)

# --- the model ---------------------------------------------------------------------------------


class Negative(toy.RouteCost):
    def potential(self, state: Tensor, context: Context) -> Tensor:
        return -super().potential(state, context)


class OneNumber(toy.RouteCost):
    def potential(self, state: Tensor, context: Context) -> Tensor:
        return super().potential(state, context).sum()


class HalfDetached(toy.RouteCost):
    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * torch.tensor(toy.SLOPES)[index] * block[..., 0] * block[..., 0].detach()


class ByNumpy(toy.RouteCost):
    def potential(self, state: Tensor, context: Context) -> Tensor:
        return torch.from_numpy((state.detach().numpy() ** 2).sum((-1, -2)))


class ByPlace(toy.RouteCost):
    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        slopes = torch.tensor(toy.SLOPES).repeat(2)[: block.shape[1]]
        return 0.5 * slopes * block[..., 0].square()


class PartOnly(toy.RouteCost):
    def potential(self, state: Tensor, context: Context) -> Tensor:
        return super().potential(state, context) + state.amax((-1, -2))


class Counting(toy.RouteCost):
    calls = 0

    def potential(self, state: Tensor, context: Context) -> Tensor:
        self.calls += 1
        return super().potential(state, context) + self.calls


class OverTheBatch(toy.RouteCost):
    def potential(self, state: Tensor, context: Context) -> Tensor:
        phi = super().potential(state, context)
        return phi / phi.max()


broken("potential_format", "a reward for a cost", "potential", ">= 0", "reward instead of cost", model=Negative)
broken("potential_format", "a sum over the batch", "potential", "[3]", "batch", model=OneNumber)
broken("gradient", "half of it detached", "grad phi", "autograd", "detach", model=HalfDetached)
broken("gradient", "computed by numpy", "differentiable", "numpy", model=ByNumpy)
broken("block_potential", "place for number", "another order", "index", model=ByPlace)
broken("block_potential", "a part in no block", "sum over all blocks", "no block", model=PartOnly)
broken("model_is_pure", "a counter", "counter", "context", model=Counting)
broken("model_is_pure", "a maximum over the batch", "in a batch and alone", "maximum", model=OverTheBatch)

# --- the reference -----------------------------------------------------------------------------


class Declared(CostModel):
    """The true cost with a reference that `shift` spoils: the even split is its optimum."""

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * torch.tensor(toy.SLOPES)[index] * block[..., 0].square()

    def reference(self, context: Context) -> Tensor:
        best = toy.EvenSplit().reference(context)
        return best + torch.tensor(self.shift).unsqueeze(-1)


class NoCoordinates(Declared):
    def reference(self, context: Context) -> Tensor:
        return super().reference(context).squeeze(-1)


class AllCounted(toy.EvenSplit):
    def reference(self, context: Context) -> Tensor:
        return super().reference({**context, "acting": torch.ones_like(context["acting"])})


class Spy(toy.Env):
    """Lets a model look at what was done last."""

    def step(self, actions: Tensor) -> Step:
        Spy.seen = actions.float().mean(-1)
        return super().step(actions)

    def reset(self) -> Decision:
        Spy.seen = torch.zeros(self.num_envs)
        return super().reset()


class SeesTheAction(Declared):
    def reference(self, context: Context) -> Tensor:
        return super().reference(context) + Spy.seen[:, None, None]


class Tosses(Declared):
    calls = 0.0

    def reference(self, context: Context) -> Tensor:
        self.calls += 1
        return super().reference(context) + self.calls


def model_of(shift: tuple[float, float, float]) -> type:
    return type("Shifted", (Declared,), {"shift": shift})


broken("reference_format", "no coordinates", "reference", "as Step.state", model=NoCoordinates)
broken("reference_is_least", "another function", "at most", "another function", model=model_of((2.0, 3.0, 4.0)))
broken("reference_is_stationary", "a little off", "slope", "does not minimise", model=model_of((0.1, -0.1, 0.0)))
broken("reference_is_exogenous", "sees the action", "reference", "the action", env=Spy, model=SeesTheAction)
broken("reference_is_exogenous", "a counter", "two calls in a row", "counter", model=Tosses)
broken("conservation", "idle agents are counted", "quantity 0", "idle agents", model=AllCounted)

# --- baselines ---------------------------------------------------------------------------------


class Blind(toy.Emptiest):
    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        return torch.zeros(noise.shape, dtype=torch.long)


class Knows(toy.Emptiest):
    information = "everything"


class OwnChance(toy.Emptiest):
    calls = 0

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        self.calls += 1
        mask = decision.observation.mask.float()
        return (mask + 0.1 * torch.arange(3).roll(self.calls)).argmax(-1)


broken("baseline_names", "a name twice", "'emptiest' twice", "told apart",
       baselines=lambda self, config: [toy.Emptiest(), toy.Emptiest()])  # fmt: skip
broken("baseline_names", "a word of its own", "information", "everything", "same",
       baselines=lambda self, config: [Knows()])  # fmt: skip
broken("baseline_actions", "the mask is ignored", "emptiest", "agent", "mask", baselines=lambda self, config: [Blind()])
broken("baseline_actions", "chance of its own", "same noise", "noise", baselines=lambda self, config: [OwnChance()])
