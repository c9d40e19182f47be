"""What the rest of the core asks of a kind of action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from dgpg.errors import PluginError
from dgpg.intents import Intents
from dgpg.networks import Actor
from dgpg.protocols import AgentMapping, AnalyticalModel, JointMapping
from dgpg.sharing import Sharing
from dgpg.types import Decision, Guidance, Observation, Trajectory


def joint(mapping: AgentMapping | JointMapping, who: str) -> JointMapping:
    """The mapping, if it is one of joint actions; PluginError that names `who` needs it otherwise."""
    if not isinstance(mapping, JointMapping):
        raise PluginError(f"{who} need a mapping with state(actions, context), see dgpg.protocols")
    return mapping


class ActionKind(Protocol):
    """How to sample, score and guide. `policy` stands for the parameters of a policy, `[..., K]`, `[..., A, .]`
    or `[..., K + .]`."""

    @property
    def ESTIMATORS(self) -> tuple[str, ...]:
        """How an analytical model can enter; the first is the default."""
        ...

    @property
    def DRAWS(self) -> tuple[int, ...]:
        """Uniform numbers that one decision takes, as the shape after `[B, N]`."""
        ...

    def make_actor(self, sizes: Mapping[str, int], hidden: int, sharing: Sharing, seed: torch.Generator) -> Actor:
        """The network whose outputs `parameters` understands."""
        ...

    def parameters(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """The policy `[..., K]`, `[..., A, .]` or `[..., K + .]` that a network's outputs mean."""
        ...

    def sample(self, policy: Tensor, noise: Tensor) -> Tensor:
        """Draw from uniform `noise` `[..., *DRAWS]`."""
        ...

    def greedy(self, policy: Tensor) -> Tensor:
        """The action without chance, of the shape of a drawn one: `[...]`, `[..., A]` or `[..., K]`."""
        ...

    def to_env(self, actions: Tensor) -> Tensor:
        """Drawn actions `[B, N, ...]` in the units of the environment."""
        ...

    def anything(self, observation: Observation, chance: torch.Generator) -> Tensor:
        """A random allowed joint action `[B, N, ...]` in the units of the environment, spread over all there are."""
        ...

    def log_prob(self, policy: Tensor, actions: Tensor) -> Tensor:
        """log pi(a), `[...]`."""
        ...

    def entropy(self, policy: Tensor) -> Tensor:
        """Entropy of the policy, `[...]`."""
        ...

    def policy_loss(
        self, policy: Tensor, policy_old: Tensor, actions: Tensor, advantage: Tensor, u: Tensor | None,
        alpha: float, clip: float,
    ) -> Tensor:  # fmt: skip
        """What an update descends, a number a row."""
        ...

    def guide(
        self, estimator: str, model: AnalyticalModel, mapping: AgentMapping | JointMapping, trajectory: Trajectory,
        gamma: float, scaled: bool,
    ) -> Guidance:  # fmt: skip
        """What the model says about a trajectory, in the form the estimator asks for."""
        ...

    def intents(self, model: AnalyticalModel, mapping: AgentMapping | JointMapping, decision: Decision) -> Intents:
        """What agents may say to each other in a moment of decision, see `dgpg.coordination`."""
        ...
