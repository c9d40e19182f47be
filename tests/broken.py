"""Plugins with one planted mistake each: the toy, or a wrapper of it, as an author might get it wrong.

`BROKEN` says by check which plugins it must catch, and words that its message must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import dgpg_tests_toy as toy  # loaded by name: see load in test_checks_broken.py
import dgpg_tests_toy_box as toy_box
import numpy as np
import torch
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from dgpg.config import Settings
from dgpg.models import CostModel
from dgpg.types import Context, Decision, Influence, Observation, Step


@dataclass(frozen=True)
class Case:
    """A broken plugin and what the message of the check must speak of."""

    label: str
    domain: Any
    words: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


BROKEN: dict[str, list[Case]] = {}


def broken(
    check: str, label: str, *words: str, name: str | None = None, settings: Any = None, base: type = toy.Domain,
    **members: Any,
) -> None:  # fmt: skip
    """The toy `base` with other members: env, model and mapping are classes without arguments of their own."""
    parts: dict[str, Any] = {key: value for key, value in members.items() if key not in ("env", "model", "mapping")}
    if "env" in members:
        parts["make_env"] = lambda self, c, envs, device, seed: members["env"](envs, seed, c.horizon, c.still)
    if "model" in members:
        parts["analytical_model"] = lambda self, config: members["model"]()
    if "mapping" in members:
        parts["agent_mapping"] = lambda self, config: members["mapping"]()
    domain = type("Broken", (base,), parts)()
    BROKEN.setdefault(check, []).append(Case(label, domain, words, settings or {}, name))


def returning(change: Callable[[Any, Step], Step]) -> type:
    """An environment whose steps are changed afterwards."""

    class Changed(toy.Env):
        def step(self, actions: Tensor) -> Step:
            return change(self, super().step(actions))

    return Changed


def deciding(change: Callable[[Any, Decision], Decision]) -> type:
    """An environment whose decisions are changed."""

    class Changed(toy.Env):
        def _decide(self) -> Decision:
            return change(self, super()._decide())

    return Changed


def observing(**fields: Callable[[Any, Tensor], Tensor]) -> type:
    def change(env: Any, decision: Decision) -> Decision:
        seen = decision.observation
        return replace(decision, observation=replace(seen, **{k: f(env, getattr(seen, k)) for k, f in fields.items()}))

    return deciding(change)


# --- registration and settings -----------------------------------------------------------------

broken("entry_point", "a name that is not registered", "entry point 'Toy'", "lower case", name="Toy")
broken("api_version", "no version", "api_version", "expected 1", "None", api_version=None)
broken("members", "no mapping", "agent_mapping", "misspelt", agent_mapping=None)


class Needs(Settings):
    horizon: int = Field(3, ge=1, description="steps")
    still: bool = Field(False, description="no chance")
    trace: str = Field(description="a file")


class Loose(BaseModel):
    model_config = ConfigDict(extra="forbid")
    horizon: int = Field(3, ge=1, description="steps")
    still: bool = Field(False, description="no chance")


class Doubling(toy.Config):
    @field_validator("horizon")
    @classmethod
    def _in_half_steps(cls, value: int) -> int:
        return 2 * value


class Bare(toy.Config):
    size: int = 3


class Lax(Settings):
    model_config = ConfigDict(extra="ignore")
    ends: float = Field(0.2, ge=0, le=1, description="probability")


class LaxInside(toy.Config):
    more: Lax = Lax()


class Early(toy.Config):
    @model_validator(mode="before")
    @classmethod
    def _compare(cls, values: Any) -> Any:
        if values.get("horizon", 1) > 10_000:
            raise ValueError("too long")
        return values


class Anything(toy.Config):
    size: Any = Field(3, description="whatever")
    horizon: Any = Field(3, description="steps")


class FromNothing(toy.Config):
    horizon: int = Field(3, ge=0, description="steps")


class Wordless(toy.Config):
    @model_validator(mode="after")
    def _check(self) -> Wordless:
        if self.horizon == 2:
            raise ValueError("this does not work")
        return self


broken(
    "default_settings", "a field without default", "trace", "default", Config=Needs, settings={"trace": "x"},
    make_env=lambda self, c, envs, device, seed: toy.Env(envs, seed, c.horizon),
)  # fmt: skip
broken("frozen_settings", "a plain pydantic model", "frozen", "Settings", Config=Loose, env=toy.Env)
broken("stored_settings", "a validator that is not idempotent", "config.json", "validator", Config=Doubling)
broken("described_settings", "a plain default", "size", "description", Config=Bare)
broken("unknown_setting", "a table that ignores", "more.no_such_setting", "extra", Config=LaxInside)
broken("wrong_type", "a validator before the types", "horizon", "mode='before'", Config=Early)
broken("edge_values", "a horizon of 0", "horizon=0", "bounds", Config=FromNothing)
broken("edge_values", "a refusal without a name", "horizon=2", "does not name it", Config=Wordless)

# --- what an environment declares and returns --------------------------------------------------


class Declares(toy.Env):
    changes: ClassVar[Callable[[Any], None]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).changes(self)


def declaring(change: Callable[[Any], None]) -> type:
    return type("Changed", (Declares,), {"changes": staticmethod(change)})


def batched_space(env: Any) -> None:
    inner = {**env.observation_space.spaces, "mask": spaces.MultiBinary([env.num_envs, 4, 3])}
    env.observation_space = spaces.Dict(inner)


def narrow_space(env: Any) -> None:
    env.observation_space = spaces.Dict({**env.observation_space.spaces, "central": spaces.Box(-1, 0.25, (4,))})


broken("attributes", "no unit", "cost_unit", "text", env=declaring(lambda env: setattr(env, "cost_unit", "")))
broken("attributes", "a fixed batch", "num_envs", "ignores", env=declaring(lambda env: setattr(env, "num_envs", 1)))
broken("declared_spaces", "a space of the batch", "'mask'", "[N, K]", "batch", env=declaring(batched_space))
broken(
    "declared_spaces", "another action space", "MultiDiscrete",
    env=declaring(lambda env: setattr(env, "action_space", spaces.Discrete(3))),
)  # fmt: skip
broken("observations", "numpy's float64", "observation.agent", "float32", "float64", "numpy",
       env=observing(agent=lambda env, x: x.double()))  # fmt: skip
broken("observations", "a number beyond its space", "observation.central", "environment", "0.25", "scale",
       env=declaring(narrow_space))  # fmt: skip
broken(
    "observations", "a mask of numbers", "observation.mask", "torch.bool", env=observing(mask=lambda env, x: x.float())
)
broken(
    "contexts", "an array", "context['slopes']", "ndarray",
    env=deciding(lambda env, d: replace(d, context={**d.context, "slopes": np.ones(3)})),
)  # fmt: skip
broken(
    "contexts", "no batch", "context['slopes']", "[3, ...]", "batch dimension",
    env=deciding(lambda env, d: replace(d, context={**d.context, "slopes": torch.ones(2)})),
)  # fmt: skip
broken("steps", "a double reward", "Step.reward", "float32", "float64",
       env=returning(lambda env, s: replace(s, reward=s.reward.double())))  # fmt: skip
broken("steps", "no coordinates", "Step.state", "G, m", env=returning(lambda env, s: replace(s, state=s.state[..., 0])))
broken("steps", "a flag that is a number", "Step.terminated", "bool",
       env=returning(lambda env, s: replace(s, terminated=s.terminated.long())))  # fmt: skip
broken("finals", "always a final", "Step.final", "None", "decision",
       env=returning(lambda env, s: replace(s, final=s.final or s.decision)))  # fmt: skip
broken(
    "finals", "cut and ended at once", "terminated", "truncated", "both True",
    env=returning(lambda env, s: replace(s, truncated=s.truncated | s.terminated)),
)  # fmt: skip


def flat_final(env: Any, step: Step) -> Step:
    if step.final is None:
        return step
    seen = replace(step.final.observation, central=step.final.observation.central.mean(0))
    return replace(step, final=replace(step.final, observation=seen))


broken("final_observations", "no batch at the end", "central", "the end in step", env=returning(flat_final))

# --- episodes ----------------------------------------------------------------------------------

broken("finite", "a logarithm of zero", "step.reward", "-inf", "logarithm",
       env=returning(lambda env, s: replace(s, reward=(s.reward * 0).log())))  # fmt: skip


class OneMore(toy.Env):
    """The clock is compared with horizon + 1."""

    def step(self, actions: Tensor) -> Step:
        self.horizon += 1
        step = super().step(actions)
        self.horizon -= 1
        return step


class IdleAct(toy.Env):
    def step(self, actions: Tensor) -> Step:
        seen = self.decision.observation
        idle = ~seen.active
        step = super().step(actions)
        extra = torch.nn.functional.one_hot(actions, 3) * idle.unsqueeze(-1) * self.weight.unsqueeze(-1)
        return replace(step, state=step.state + extra.sum(1).unsqueeze(-1))


class Overwrites(toy.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        actions.add_(1)
        return step


class Reuses(toy.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        if not hasattr(self, "buffer"):
            self.buffer = torch.empty_like(step.state)
        return replace(step, state=self.buffer.copy_(step.state))


broken("horizon", "off by one", "truncated", "no end", "clock", env=OneMore, settings={"still": True})
broken("new_episode", "observed before the reset", "Step.decision", "Step.final", "reset",
       env=returning(lambda env, s: replace(s, decision=s.final or s.decision)))  # fmt: skip
broken("someone_acts", "an empty mask", "mask", "inverted", env=observing(mask=lambda env, x: x & False))
broken("idle_agents", "everybody acts", "agents", "active", "state", env=IdleAct)
broken("action_matters", "x_0 for x_t", "same state", "before the actions",
       env=returning(lambda env, s: replace(s, state=torch.ones_like(s.state))))  # fmt: skip
broken("actions_kept", "changed in place", "actions", "in-place", "clone", env=Overwrites)
broken("outputs_kept", "one buffer for all steps", "step.state", "shares memory", "clone", env=Reuses)


# --- chance ------------------------------------------------------------------------------------


class Unseeded(toy.Env):
    def _draw(self) -> Tensor:
        return super()._draw() + 0.01 * float(np.random.default_rng().random())


class SameForAll(toy.Env):
    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, 0, *args)


class OneStream(toy.Env):
    def _draw(self) -> Tensor:
        first = self.streams.generators[0]
        return torch.from_numpy(first.random((self.num_envs, self.num_agents + 1, 3), dtype=np.float32))


class Forgets(toy.Env):
    """The random streams are not saved."""

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        return super().load_state_dict({**state, "streams": self.streams.state_dict()})


class SeedInside(toy.Env):
    """Something drawn in __init__ is not saved."""

    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, seed, *args)
        self.slopes = self.slopes + 0.1 * torch.arange(seed, seed + 1)


class Shares(toy.Env):
    """The clock is saved as it is and moves in place."""

    def step(self, actions: Tensor) -> Step:
        step, clock = super().step(actions), self.shared
        self.shared = clock.add_(1)
        return step

    def reset(self) -> Decision:
        self.shared = torch.zeros(self.num_envs)
        return super().reset()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "shared": self.shared}

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        self.shared = state["shared"]
        return super().load_state_dict(state)


class Pickles(toy.Env):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "generators": self.streams.generators}


class Global(toy.Env):
    def _draw(self) -> Tensor:
        return super()._draw() + 1e-3 * torch.rand(())


class Seeds(toy.Env):
    def __init__(self, num_envs: int, seed: int, *args: Any) -> None:
        super().__init__(num_envs, seed, *args)
        np.random.seed(seed)


class Remembers(toy.Env):
    """Reads a global seed without drawing."""

    def _draw(self) -> Tensor:
        return super()._draw() + 1e-3 * torch.initial_seed()


broken("determinism", "a generator without seed", "seed 0", "bit for bit", "unseeded", env=Unseeded)
broken("seeds", "the seed is ignored", "seeds 0 and 1000", "make_env", "deterministic", env=SameForAll)
broken("batch", "one stream for all", "environment 0", "alone", "one stream", env=OneStream)
broken("batch", "a mean over the batch", "environment 0", "averaged",
       env=returning(lambda env, s: replace(s, reward=s.reward.mean().expand_as(s.reward))))  # fmt: skip
broken("restore", "streams left out", "load_state_dict in the same environment", "random stream", env=Forgets)
broken(
    "restore_elsewhere", "drawn in __init__, not saved", "a fresh environment", "leaves something out", env=SeedInside
)
broken("saved_state_kept", "the environment's own tensor", "shared", "clone", env=Shares)
broken("saved_to_a_file", "a generator object", "weights_only", "object", "Streams", env=Pickles)
broken("global_generators", "torch.rand", "global generator of torch", "Streams", env=Global)
broken("global_generators", "np.random.seed", "global generator of numpy", "seeds them", env=Seeds)
broken("global_generators", "a global seed that is read", "other global seeds", env=Remembers)

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
    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        return torch.zeros(noise.shape, dtype=torch.long)


class Knows(toy.Emptiest):
    information = "everything"


class OwnChance(toy.Emptiest):
    calls = 0

    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        self.calls += 1
        mask = decision.observation.mask.float()
        return (mask + 0.1 * torch.arange(3).roll(self.calls)).argmax(-1)


broken("baseline_names", "a name twice", "'emptiest' twice", "told apart",
       baselines=lambda self, config: [toy.Emptiest(), toy.Emptiest()])  # fmt: skip
broken("baseline_names", "a word of its own", "information", "everything", "same",
       baselines=lambda self, config: [Knows()])  # fmt: skip
broken("baseline_actions", "the mask is ignored", "emptiest", "agent", "mask", baselines=lambda self, config: [Blind()])
broken("baseline_actions", "chance of its own", "same noise", "noise", baselines=lambda self, config: [OwnChance()])

# --- continuous actions ------------------------------------------------------------------------


def box(check: str, label: str, *words: str, **members: Any) -> None:
    broken(check, label, *words, base=toy_box.Domain, **members)


class BoxDeclares(toy_box.Env):
    changes: ClassVar[Callable[[Any], None]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).changes(self)


def bounded(low: Any, high: Any) -> type:
    def change(env: Any) -> None:
        env.action_space = spaces.Box(np.float32(low), np.float32(high))

    return type("Changed", (BoxDeclares,), {"changes": staticmethod(change)})


class TooEarly(toy_box.Env):
    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(0 * actions)


class IdleActToo(toy_box.Env):
    def effect(self, actions: Tensor) -> Tensor:
        context = self.decision.context
        return toy_box.delivered(actions, {**context, "acting": torch.ones_like(context["acting"])})


class Rescales(toy_box.Env):
    """Stretches what is in its units already."""

    def effect(self, actions: Tensor) -> Tensor:
        low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
        return super().effect(low + (high - low) * actions)


class Limits(toy_box.Env):
    """Takes no more than 0.6 from an agent on a resource: a limit that the mapping leaves out."""

    def effect(self, actions: Tensor) -> Tensor:
        return super().effect(actions.clamp(max=0.6))


class OneLate(toy_box.Env):
    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        return replace(step, state=toy_box.delivered(actions, step.decision.context))


class Joint(toy_box.Loads):
    change: ClassVar[Callable[[Tensor, Context], Tensor]]

    def state(self, actions: Tensor, context: Context) -> Tensor:
        return type(self).change(actions, context)


def joint(change: Callable[[Tensor, Context], Tensor]) -> type:
    return type("Changed", (Joint,), {"change": staticmethod(change)})


def through_numpy(actions: Tensor, context: Context) -> Tensor:
    return toy_box.delivered(torch.from_numpy(actions.detach().numpy()), context)


def straight_through(actions: Tensor, context: Context) -> Tensor:
    """Right numbers, half of the slope: someone was too careful with detach."""
    return toy_box.delivered((actions + actions.detach()) / 2, context)


class CountsToo(toy_box.Loads):
    calls = 0

    def state(self, actions: Tensor, context: Context) -> Tensor:
        self.calls += 1
        return super().state(actions, context) + self.calls


class Beyond(toy_box.Middle):
    def act(self, decision: Decision, noise: Tensor, coordination: Tensor | None = None) -> Tensor:
        return super().act(decision, noise) + 1


def centred(actions: Tensor, context: Context) -> Tensor:
    """Takes numbers on [0, 1]."""
    low, high = torch.tensor(toy_box.LOW), torch.tensor(toy_box.HIGH)
    return toy_box.delivered(low + (high - low) * actions, context)


box("declared_spaces", "no upper bound", "finite bounds", "limits", env=bounded(toy_box.LOW, np.full((3, 2), np.inf)))
box("declared_spaces", "nothing to decide", "low < high", env=bounded(toy_box.LOW, toy_box.LOW))
box("declared_spaces", "one number for all", "[N, A]", env=bounded(np.zeros(2), np.ones(2)))
box("idle_agents", "everybody acts, continuous", "agents", "active", "reward", env=IdleActToo)
box("mapping_is_pure", "a counter, continuous", "counter", "context", mapping=CountsToo)
box(
    "baseline_actions",
    "beyond the bounds",
    "middle",
    "numbers from",
    "clamp",
    baselines=lambda self, config: [Beyond()],
)
box("joint_state", "x_0 for x_t", "block", "too early", "before the joint action", env=TooEarly)
box("joint_state", "an environment in shares", "as JointMapping.state says", "the environment takes", env=Rescales)
box("joint_state", "a mapping in shares", "the mapping takes actions as shares", mapping=joint(centred))
box("joint_state", "the future", "too late", "next context", env=OneLate)
box("joint_state", "a factor of 1000", "1000 times", "units",
    mapping=joint(lambda a, c: toy_box.delivered(a, c) / 1000))  # fmt: skip
box("joint_state", "everybody acts", "with nothing to decide", env=IdleActToo)
box("joint_state", "a limit", "a limit", env=Limits)
box("joint_state", "a double", "float32", "float64", mapping=joint(lambda a, c: toy_box.delivered(a, c).double()))
box("joint_state", "a mapping of choices", "state(actions, context)", "Box", mapping=toy.Routes)
box("slope_is_effect", "by numpy", "differentiable", "numpy", mapping=joint(through_numpy))
box("slope_is_effect", "half detached", "agent 0", "autograd", "between", mapping=joint(straight_through))
box("slope_is_effect", "wrong sign", "sign", mapping=joint(lambda a, c: -toy_box.delivered(a, c)))
box("slope_is_effect", "other units", "1000", mapping=joint(lambda a, c: toy_box.delivered(a, c) / 1000))
box("slope_is_effect", "a clamp in the environment", "ignores this number", env=Limits)
