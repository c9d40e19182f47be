"""What a plugin supplies. Four members are required of a domain; the rest is optional.

An author needs no base class: an object with these members fits. `dgpg.domain.models` has two small
bases that turn a reference or a cost into a complete analytical model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from gymnasium import spaces
from pydantic import BaseModel
from torch import Tensor

from dgpg.domain.names import Names
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


@runtime_checkable
class SupportsBaselines(Protocol):
    """A domain that brings rules to compare with."""

    def baselines(self, config: Any) -> Sequence[Baseline]:
        """Rules of both groups of information."""
        ...


@runtime_checkable
class SupportsSmall(Protocol):
    """A domain that names a small instance of itself for quick checks."""

    @property
    def small(self) -> Mapping[str, Any]:
        """Settings that differ from the defaults: few agents, a short horizon."""
        ...


@runtime_checkable
class SupportsDeterminism(Protocol):
    """A domain that says whether anything in it is random; without it, something is."""

    @property
    def deterministic(self) -> bool:
        """True if another seed gives the same numbers."""
        ...


@runtime_checkable
class SupportsTraining(Protocol):
    """A domain that was tuned: how each algorithm trains on it unless the user says otherwise."""

    def training(self, algorithm: str) -> Mapping[str, Any]:
        """Fields of `RunConfig` (iterations, num_envs, train); empty for what the algorithm brings itself."""
        ...


@runtime_checkable
class SupportsViews(Protocol):
    """A domain with settings that change what agents see and nothing else: runs that differ in them compare."""

    @property
    def views(self) -> Sequence[str]:
        """Names of fields of `Config`."""
        ...


@runtime_checkable
class SupportsTransfer(Protocol):
    """A domain whose instance says what features mean, by scales say: a policy elsewhere must be told what to keep."""

    def transfer(self, trained: Any, wished: Any) -> Any:
        """Settings `wished`, seen by agents as under `trained`: both of the domain's `Config`, as is the result.

        `trained` are those of a run, `wished` the same with some fields changed. The result holds all that is kept; it
        is `wished` itself where `trained` says nothing about it. Of equal settings, it gives the same numbers.
        """
        ...


@runtime_checkable
class SupportsEpisodes(Protocol):
    """A domain whose episodes are of what was recorded, and that is so much and no more."""

    def episodes(self, config: Any) -> int | None:
        """How many first episodes of neighbouring seeds share nothing that was recorded; None where each is drawn."""
        ...

    def begins(self, config: Any, seed: int, count: int) -> Sequence[int]:
        """When in the recording the first episodes of `seed`, `seed` + 1, ... begin: neighbours are alike."""
        ...


@runtime_checkable
class SupportsDescription(Protocol):
    """A domain that can say what it made of its configuration and files."""

    def describe(self, config: Any) -> Sequence[str]:
        """Lines a user should read before a run: sizes, what was skipped or estimated."""
        ...


@runtime_checkable
class SupportsNames(Protocol):
    """A domain that says what each number is that its agents see and do: figures, exports and services use it."""

    def names(self, config: Any) -> Names:
        """Of features of an agent, of a choice, and of an action, in their order."""
        ...


@runtime_checkable
class SupportsAgentNames(Protocol):
    """A domain whose agents have names, of units or of pairs say: bridges call them so."""

    def agent_names(self, config: Any) -> Sequence[str]:
        """Of agents, N, each only once."""
        ...


@runtime_checkable
class SupportsPlain(Protocol):
    """A domain whose plugin turns an operator's plain values into features without an environment: `dgpg.deploy`."""

    def plain(self, config: Any) -> Mapping[str, Any]:
        """What that needs of the instance beside names: scales, prices, limits, as JSON; an export holds it."""
        ...


@runtime_checkable
class SupportsJudge(Protocol):
    """A domain with an independent simulator to replay policies in: more exact than its environment, other code."""

    def judge(
        self, config: Any, policies: Mapping[str, Policy], episodes: int, seed: int
    ) -> Sequence[Mapping[str, float | str]]:
        """One row a policy, on the CPU: first `name`, its key in `policies`, then measures named with their unit.

        Episodes are the first of those that `dgpg.measuring.play` draws from `seed`, at most `episodes` of them.
        """
        ...


@runtime_checkable
class SupportsFigures(Protocol):
    """A domain that draws what policies do, for people who know the system."""

    def figures(self, config: Any, policies: Mapping[str, Policy], folder: Path, seed: int) -> Sequence[Path]:
        """Files drawn into `folder`, on the CPU, of the trained policy (the first) and the domain's rules.

        An evaluation hands on the policy before its training too, as `untrained`. Episodes are the first of those
        that `dgpg.measuring.play` draws from `seed`. matplotlib is installed when this is called: import it within.
        `dgpg.showing.blank` and `save` give a figure and reproducible SVG, `dgpg.showing.maps.moving` one that moves on
        the page of a run.
        """
        ...


@runtime_checkable
class SupportsCalibration(Protocol):
    """A domain that fits unknown parameters of its analytical model to what the real system logged."""

    def calibrate(
        self, config: Any, data: Path, out: Path | None, iterations: int
    ) -> Sequence[Mapping[str, float | str]]:
        """One row a parameter: `parameter`, `unit`, `start`, `fitted` and `note`, empty where there is nothing to say.

        `data` is the log, in a format of the domain's. The fitted model goes to `out`, in a form that the domain's
        configuration can name; None writes nothing. `iterations` bounds the steps of the fit.
        """
        ...
