"""What flows through the algorithm: tensors with a name, a shape and a moment in time.

Leading dimensions: B parallel environments, T steps. N agents, K choices, F, C and S features,
G blocks of the system state with m coordinates each, P blocks touched by one choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from dgpg.errors import PluginError

Context = Mapping[str, Tensor]
"""What an analytical model may look at, by name; every tensor is `[B, ...]`, fixed before a_t is drawn."""

Features: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Of agents `[B, N, F]`, of choices `[B, N, K, C]`, and of the whole system `[B, S]`."""

Record = TypeVar("Record")
"""A frozen dataclass of tensors, mappings of tensors or such dataclasses."""


@dataclass(frozen=True)
class Observation:
    """What agents see before they act (o_t), and apart from it what only a central critic sees.

    An agent with a continuous action within bounds has one choice without features, K = 1 and C = 0: to act. One that
    splits a unit has features and a mask for each of the K choices that it may split over.
    """

    agent: Tensor
    """Features of each agent itself, `[B, N, F]`."""
    choices: Tensor
    """Features of each choice of each agent, `[B, N, K, C]`."""
    mask: Tensor
    """True where a choice is allowed, `[B, N, K]`. An agent without any has nothing to decide."""
    central: Tensor
    """Features of the whole system for a central critic, `[B, S]`; never given to an actor."""

    @classmethod
    def on_request(cls, mask: Tensor, features: Callable[[], Features]) -> Observation:
        """An observation whose features are made when one of them is first asked for, if ever: rules look at none.

        Args:
            mask: `[B, N, K]`.
            features: makes those of agents, choices and the whole system, of nothing that changes in the meantime.
        """
        observation = object.__new__(cls)
        vars(observation).update(mask=mask, _features=features)
        return observation

    @property
    def made(self) -> bool:
        """Whether features are there; false until one of them is asked for, where they are made on request."""
        return "_features" not in vars(self)

    @cached_property
    def active(self) -> Tensor:
        """True for agents that have something to decide, `[B, N]`."""
        return allows_any(self.mask)

    def __getstate__(self) -> dict[str, Tensor]:
        """Copies and pickles hold tensors, never what would make them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    if not TYPE_CHECKING:  # to a type checker every name would be an attribute

        def __getattr__(self, name: str) -> Tensor:
            if name not in FEATURES or self.made:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            vars(self).update(zip(FEATURES, vars(self)["_features"](), strict=True))
            del vars(self)["_features"]
            return vars(self)[name]


FEATURES = ("agent", "choices", "central")
"""Fields of an observation that may be made on request."""


def allows_any(mask: Tensor) -> Tensor:
    """Whether any choice is allowed, `[..., K]` to `[...]`; to ask `any` takes twice to twenty times as long."""
    return mask.view(torch.uint8).amax(-1).view(torch.bool)


@dataclass(frozen=True)
class Influence:
    """How choices move the system state, z_i(k) of docs/theory.md section 5, sparse.

    Choice k of agent i adds `value[..., i, k, p, :]` to block `index[..., i, k, p]`; the P blocks
    of one choice are distinct, and unused places hold a zero value.
    """

    index: Tensor
    """Blocks touched, int64 `[B, N, K, P]`."""
    value: Tensor
    """What is added to their coordinates, `[B, N, K, P, m]`."""


@dataclass(frozen=True)
class Decision:
    """The moment before a joint action: what agents see (o_t) and what the model may look at (c_t)."""

    observation: Observation
    context: Context


@dataclass(frozen=True)
class Step:
    """What a joint action a_t brought about."""

    reward: Tensor
    """Shared reward r_t = -cost of the step, `[B]`."""
    state: Tensor
    """System state x_t that the action just taken produced, `[B, G, m]`."""
    terminated: Tensor
    """True where the episode reached a true end, `[B]`: no value beyond it."""
    truncated: Tensor
    """True where the episode was only cut, `[B]`: the value of `final` stands for the rest."""
    decision: Decision
    """The next moment of decision; of the next episode where this one ended."""
    final: Decision | None = None
    """Where an episode ended, the moment it ended in; None when none did."""
    local_reward: Tensor | None = None
    """Each agent's own share of the reward, `[B, N]`, where the domain can attribute one."""
    block_cost: Tensor | None = None
    """What each block of the state cost in this step, `[B, G]`, where the domain can say (`SupportsBlockCost`); what is
    left of -reward belongs to no block."""
    measures: Mapping[str, Tensor] = field(default_factory=dict)
    """What a domain reports beside the cost, by name, `[B]`: an evaluation shows the mean over steps."""
    measured: Tensor | None = None
    """The state as it was measured, `[B, G, m]`, where `state` is what the mapping expected; the check says how far
    apart the two are."""


@dataclass(frozen=True)
class Experience:
    """What T steps of B environments brought, for a model that is fitted to it; tensors start `[T, B]`."""

    decision: Decision
    """The moments of decision, each field `[T, B, ...]`."""
    actions: Tensor
    """a_t in the environment's units, as `Environment.step` was given."""
    state: Tensor
    """x_t, `[T, B, G, m]`."""
    reward: Tensor
    local_reward: Tensor | None
    """`[T, B, N]`, where the environment says."""
    block_cost: Tensor | None
    """`[T, B, G]`, where the environment says."""


def map_tensors(function: Callable[..., Tensor], *records: Record) -> Record:
    """Apply `function` to each field of some records of one type, field by field.

    Raises:
        PluginError: a field is no tensor; names it.
    """
    first = records[0]
    changes: dict[str, Any] = {}
    for column in fields(cast(Any, first)):
        values = [getattr(record, column.name) for record in records]
        if isinstance(values[0], Tensor):
            changes[column.name] = function(*values)
        elif isinstance(values[0], Mapping):
            changes[column.name] = {k: function(*(v[k] for v in values)) for k in values[0]}
        elif is_dataclass(values[0]):
            changes[column.name] = map_tensors(function, *values)
        elif values[0] is not None:
            raise PluginError(
                f"{type(first).__name__}.{column.name}: expected a tensor, got {type(values[0]).__name__}"
            )
    return cast(Record, replace(cast(Any, first), **changes))


def stack(records: Sequence[Record]) -> Record:
    """Stack records of one type along a new first dimension."""
    return map_tensors(lambda *tensors: torch.stack(tensors), *records)


def flatten(record: Record) -> Record:
    """Merge the first two dimensions, `[T, B, ...]` to `[T * B, ...]`."""
    return map_tensors(lambda tensor: tensor.flatten(0, 1), record)
