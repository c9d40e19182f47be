"""Mistakes in registration and settings, and in what an environment declares and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dgpg.domain import Feature, Names, Settings, Step, numbered

from . import toy
from .planted import broken, deciding, observing, returning

# --- registration and settings -----------------------------------------------------------------

broken("entry_point", "a name that is not registered", "entry point 'Toy'", "lower case", name="Toy")
broken("api_version", "no version", "api_version", "expected 1", "None", api_version=None)
broken("members", "no mapping", "agent_mapping", "misspelt", agent_mapping=None)
broken(
    "members",
    "a class for a mapping",
    "the class Routes",
    "without being called",
    agent_mapping=lambda self, c: toy.Routes,
)
broken(
    "default_model",
    "a model of no such name",
    "cloud.capacity",
    "'cloud.capacitty'",
    name="cloud",
    default_model="cloud.capacitty",
)


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
broken("transferred_settings", "what is kept, not settings", "Config()", "dict", "model_copy",
       transfer=lambda self, trained, wished: trained.model_dump())  # fmt: skip
broken("transferred_settings", "more than what features mean", "the reset", "observation", "nothing but",
       transfer=lambda self, trained, wished: wished.model_copy(update={"still": True}))  # fmt: skip
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


def nothing_of_choices(env: Any) -> None:
    inner = {**env.observation_space.spaces, "choices": spaces.Box(-np.inf, np.inf, (4, 3, 0))}
    env.observation_space = spaces.Dict(inner)


def narrow_space(env: Any) -> None:
    env.observation_space = spaces.Dict({**env.observation_space.spaces, "central": spaces.Box(-1, 0.25, (4,))})


broken("attributes", "no unit", "cost_unit", "text", env=declaring(lambda env: setattr(env, "cost_unit", "")))
broken("attributes", "a fixed batch", "num_envs", "ignores", env=declaring(lambda env: setattr(env, "num_envs", 1)))
broken("declared_spaces", "a space of the batch", "'mask'", "[N, K]", "batch", env=declaring(batched_space))
broken("declared_spaces", "choices alike", "'choices'", "3 choices apart", "torch.eye(3)",
       env=declaring(nothing_of_choices))  # fmt: skip
broken(
    "declared_spaces", "another action space", "MultiDiscrete",
    env=declaring(lambda env: setattr(env, "action_space", spaces.Discrete(3))),
)  # fmt: skip
broken(
    "named", "a feature without its name", "names(config).agent", "6 names", "taken out",
    names=lambda self, config: Names((Feature("a"),)),
)  # fmt: skip
broken(
    "named", "one name for two", "names(config).choices", "twice: b", "split",
    names=lambda self, config: Names(numbered("agent", 6), (Feature("b"),) * 4),
)  # fmt: skip
broken(
    "named", "one name for two agents", "agent_names(config)", "4 names", "3, twice: bus 1", "two agents at one part",
    agent_names=lambda self, config: ["bus 1", "bus 2", "bus 1"],
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
