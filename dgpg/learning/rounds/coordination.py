"""Intent rounds: within a step agents announce what they are about to do, hear the sums, and think again.

Agents that decide at the same moment on the same picture herd. In each of R rounds every agent announces its policy;
the announcements add up (`intents`), each agent hears the sums without its own part, and the same network decides
again. After the last round it acts. The gradient flows through the messages, so agents learn to announce what helps.
Method and choices: docs/coordination.md and docs/adr/0017-intent-rounds.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, AnalyticalModel, Decision, JointMapping, contract, random
from dgpg.learning.actions import ActionKind, Categorical
from dgpg.learning.networks import Actor, ByParts, ScoringActor, Shared
from dgpg.learning.rounds.descent import MirrorDescent
from dgpg.learning.rounds.intents import Intents, intents_of
from dgpg.learning.shards import WHOLE, Shard


@dataclass(frozen=True)
class Channel:
    """What is wrong with messages where policies act; training assumes nothing is.

    Its chance is hashed from the numbers that decide the actions, so it does not depend on the batch.
    """

    deaf: float = 0.0
    """Share of agents that hear nothing in a step, drawn anew each step; they still speak."""
    noise: float = 0.0
    """Every sum is off by a normal error of this share of it, drawn anew for each sum and round."""
    late: bool = False
    """Messages come one round late; in the first round nothing has come."""

    def sums(self, totals: Tensor, chance: Tensor, turn: int) -> Tensor:
        """What arrives of the sums `[B, G, .]`.

        Args:
            totals: as they were formed.
            chance: uniform numbers, `[B, N, ...]`.
            turn: number of the round.
        """
        if self.noise == 0:
            return totals
        uniform = random.more(chance.flatten(1)[:, 0], totals[0].numel(), turn).view_as(totals)
        normal = math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-1 + 2**-23, 1 - 2**-23))
        return totals * (1 + self.noise * normal)

    def hears(self, chance: Tensor) -> Tensor:
        """True for agents that hear in this step, `[B, N]`."""
        return random.more(chance.view(*chance.shape[:2], -1)[..., 0], 1, 0).squeeze(-1) >= self.deaf


@dataclass(frozen=True)
class Rounds:
    """Who adds up announcements, how often, and whether gradients flow through them."""

    count: int
    """R; 0 where agents that could speak do not."""
    model: AnalyticalModel
    mapping: AgentMapping | JointMapping
    detached: bool = False
    channel: Channel | None = None
    """None where nothing is wrong."""


@dataclass(frozen=True)
class Team:
    """All agents together: one moment of decision in, everybody's policy out."""

    kind: ActionKind
    actor: Actor | MirrorDescent
    rounds: Rounds | None = None
    """None: nobody speaks, and policies depend on observations alone."""

    @property
    def by_rows(self) -> bool:
        """Whether a policy is a matter of one row of a shared network, and of exponentials and logarithms."""
        alone = self.rounds is None and isinstance(self.actor, ScoringActor)
        return alone and isinstance(self.actor.sharing, Shared) and isinstance(self.kind, Categorical)

    def policies(self, decision: Decision, sizes: list[int]) -> Tensor:
        """Policies `[B, N, K]` of parts of a batch, of so many environments each, to the last bit as of each alone.

        Only where they are `by_rows`.
        """
        acting = torch.stack([part.sum() for part in torch.split(decision.observation.active, sizes)])
        with ByParts(acting.tolist()):
            return self.policy(decision)

    def policy(self, decision: Decision, chance: Tensor | None = None) -> Tensor:
        """Policies of the action kind, `[B, N, ...]`, after the last round.

        Args:
            decision: of B environments.
            chance: uniform numbers `[B, N, ...]` for what goes wrong in the channel; None where nothing does.

        Raises:
            ConfigError: an observation of another number of agents than bounds, starts, networks or `chance` are of.
        """
        agents = decision.observation.mask.shape[-2]
        if self.kind.AGENTS is not None:
            contract.look_at_agents(agents, self.kind.AGENTS)
        if chance is not None:
            contract.look_at_noise(chance.shape[1], agents)
        if self.rounds is None:
            return self._parameters(self.actor.outputs(decision.observation), decision)
        return self._agree(self.rounds, decision, chance)

    def _agree(self, rounds: Rounds, decision: Decision, chance: Tensor | None) -> Tensor:
        seen, wanted = decision.observation, torch.is_grad_enabled()
        intents = intents_of(self.kind, rounds.model, rounds.mapping, decision)
        self._measure(intents, decision, WHOLE)
        encoded, message, coming = self.actor.encode(seen), intents.silence(), None
        silence = message
        for turn in range(rounds.count):
            with torch.set_grad_enabled(wanted and not rounds.detached):
                policy = self._parameters(self.actor.decode(encoded, message, seen.active, turn), decision)
                totals = intents.totals(policy)
                if rounds.channel is None or chance is None:
                    message = intents.message(totals, policy)
                    continue
                sent = intents.message(rounds.channel.sums(totals, chance, turn + 1), policy)
                message, coming = (silence if coming is None else coming, sent) if rounds.channel.late else (sent, None)
                message = torch.where(rounds.channel.hears(chance)[..., None, None], message, silence)
        return self._parameters(self.actor.decode(encoded, message, seen.active, rounds.count), decision)

    def measure(self, decision: Decision, shard: Shard) -> None:
        """Look at a shard's part of a moment of decision, to know sizes of messages; nothing if they are known."""
        if self.rounds is not None and not self.actor.hearing.ready:
            self._measure(intents_of(self.kind, self.rounds.model, self.rounds.mapping, decision), decision, shard)

    @torch.no_grad()
    def _measure(self, intents: Intents, decision: Decision, shard: Shard) -> None:
        """Sizes of messages: those of policies without a preference, in the first moment with something to decide."""
        if not self.actor.hearing.ready:
            even = self._parameters(0 * self.actor.outputs(decision.observation), decision)
            message = intents.message(intents.totals(even), even)
            self.actor.hearing.measure(message, decision.observation.mask, shard)

    def _parameters(self, outputs: Tensor, decision: Decision) -> Tensor:
        return self.kind.parameters(outputs, decision.observation.mask)
