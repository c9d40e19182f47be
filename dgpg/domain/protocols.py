"""What a plugin supplies: four members are required of a domain, `dgpg.domain.optional` has what it may add.

An author needs no base class: an object with these members fits. `dgpg.domain.models` has two small
bases that turn a reference or a cost into a complete analytical model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from gymnasium import spaces
from pydantic import BaseModel
from torch import Tensor

from dgpg.domain.types import Context, Decision, Experience, Influence, Observation, Step

API_VERSION = 1
"""Version of this contract. A plugin declares it as `api_version`: another number is refused at load, and
`dgpg check` asks for one."""

Information = Literal["same", "sums", "more"]
Role = Literal["baseline", "oracle"]


class Environment(Protocol):
    """B environments stepped together on one device; ended episodes restart inside `step`.

    Environment b depends on `seed + b` and its own actions alone, never on the batch around it.
    """

    num_envs: int
    num_agents: int
    horizon: int
    """Length of an episode, steps."""
    device: torch.device
    observation_space: spaces.Dict
    """One environment's `agent`, `choices`, `mask` and `central`, as in `Observation`."""
    action_space: spaces.Space[Any]
    """One environment's joint action: `MultiDiscrete([K] * N)`, a `Box` `[N, A]` with each agent's own bounds, or a
    `dgpg.domain.Simplex(N, K)`: each agent splits one unit over K choices."""
    cost_unit: str
    """Unit of -reward, for tables and figures."""

    def reset(self) -> Decision:
        """Start new episodes everywhere."""
        ...

    def step(self, actions: Tensor) -> Step:
        """Take the joint action `[B, N]`, `[B, N, A]` or splits `[B, N, K]`, which are zero where not allowed.

        Entries of agents with nothing to decide are ignored.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, random streams included."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Decision:
        """Restore; returns the moment of decision that the environment was saved in."""
        ...


@runtime_checkable
class AnalyticalModel(Protocol):
    """Says how far a state is from efficient: phi(x; c) >= 0, docs/theory.md section 1."""

    def potential(self, state: Tensor, context: Context) -> Tensor:
        """phi, `[B]`, of states `[B, G, m]`. Differentiable in the state."""
        ...


@runtime_checkable
class SupportsBlockPotential(Protocol):
    """A potential that is a sum over blocks: guidance is then exact and sparse."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        """phi_g, `[B, A]`, of blocks `index` `[B, A]` if their coordinates were `block` `[B, A, m]`."""
        ...


@runtime_checkable
class SupportsReference(Protocol):
    """A model that declares its efficient state; phi is least there."""

    def reference(self, context: Context) -> Tensor:
        """x~, `[B, G, m]`: a pure function of the context."""
        ...


@runtime_checkable
class SupportsConservation(Protocol):
    """A model that declares what no joint action can change: x and x~ must agree in it."""

    def conserved(self, state: Tensor, context: Context) -> Tensor:
        """Q conserved quantities of states `[B, G, m]`, `[B, Q]` (total work, say)."""
        ...


@runtime_checkable
class SupportsFit(Protocol):
    """A model with parameters of its own that follow from what was seen while a policy trains on it.

    Checkpoints hold its state, and what opens a run restores it: a run goes on, and rules that follow the model do so,
    with what it had learned.
    """

    def fit(self, experience: Experience) -> Mapping[str, float]:
        """Take in what an iteration brought, before guidance is asked of it; figures for the run's log, by name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that `fit` changes, as of `torch.nn.Module`."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Restore it."""
        ...


@runtime_checkable
class AgentMapping(Protocol):
    """Says what each agent's choices do to the system state: x = x_0 + sum_i z_i(a_i)."""

    def base_state(self, context: Context) -> Tensor:
        """x_0, `[B, G, m]`: the state if no agent acted."""
        ...

    def influence(self, observation: Observation, context: Context) -> Influence:
        """z_i(k) for every choice, sparse."""
        ...


@runtime_checkable
class JointMapping(Protocol):
    """Says what a continuous joint action does to the system state; it need not be a sum over agents."""

    def state(self, actions: Tensor, context: Context) -> Tensor:
        """x, `[B, G, m]`, if agents took `actions` `[B, N, A]`, in the environment's units; differentiable in them."""
        ...


class Policy(Protocol):
    """Anything that acts: a trained network or a rule."""

    def act(self, decision: Decision, noise: Tensor) -> Tensor:
        """Joint action `[B, N]`, or `[B, N, A]` if continuous, from uniform `noise` of that shape, the only chance."""
        ...


class Baseline(Policy, Protocol):
    """A rule to compare with."""

    @property
    def name(self) -> str:
        """How tables call it."""
        ...

    @property
    def information(self) -> Information:
        """`same`: sees what an agent sees, decides at the same moment; `sums`: hears in rounds what all intend, added
        up (`dgpg.learning.rounds.coordination`); `more`: anything else."""
        ...


@runtime_checkable
class SupportsRole(Protocol):
    """A baseline that is no rule to beat but the optimum with full information: role `oracle`."""

    @property
    def role(self) -> Role:
        """`baseline` if it does not say."""
        ...


@runtime_checkable
class SupportsOwnConfig(Protocol):
    """A baseline that runs in a variant of the instance (say, every machine as a candidate)."""

    @property
    def config(self) -> BaseModel:
        """The variant's configuration; the same machines and arrivals."""
        ...


class Domain(Protocol):
    """A kind of system to train policies for: the object an entry point of `dgpg.domains` names."""

    Config: type[BaseModel]
    """Frozen pydantic model, `extra="forbid"`; its defaults alone give a runnable instance."""

    def make_env(self, config: Any, num_envs: int, device: torch.device, seed: int) -> Environment:
        """A batch of environments."""
        ...

    def analytical_model(self, config: Any) -> AnalyticalModel:
        """The model used unless another is named."""
        ...

    def agent_mapping(self, config: Any) -> AgentMapping | JointMapping:
        """What actions do to the state: an `AgentMapping` for choices, a `JointMapping` for continuous ones."""
        ...
