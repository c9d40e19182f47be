"""Mirror descent on the model's potential, with two numbers a round: what rounds do without a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.domain import Observation
from dgpg.learning.networks import Shared, Sharing
from dgpg.learning.networks.hearing import Hearing


class MirrorDescent(nn.Module):
    """In each turn, outputs = keep x where the agent stands + step x u, the worth of its choices at the sums it heard.

    Outputs are logits of choices or splits, log-odds of numbers within bounds, so that a turn is a step of mirror
    descent with the negative entropy (Beck and Teboulle 2003). `keep` other than one makes the policy sharper or
    flatter. u is in units of its size in the first moment. 2 (R + 1) numbers are all there is to fit.

    Args:
        messages: M, see `dgpg.learning.rounds.intents.Intents.size`.
        rounds: R; further rounds use the numbers of the last.
        numbers: A of continuous actions without chance (K of splits), which start out still; None for choices.
    """

    def __init__(self, messages: int, rounds: int, numbers: int | None) -> None:
        super().__init__()
        self.sharing: Sharing = Shared()
        self.numbers, self.hearing = numbers, Hearing(messages)
        self.keep = nn.Parameter(torch.ones(rounds + 1))
        # Choices that are uncertain herd little; a split that is moved too far by everyone swings.
        self.step = nn.Parameter(torch.full((rounds + 1,), 1.0 if numbers is None else 0.0))

    def features(self, agent: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """As they are, `[..., F]` and `[..., K, C]`: the model is all that is looked at."""
        return agent, choices

    def forward(self, agent: Tensor, choices: Tensor) -> Tensor:
        """No preference, `[..., K]` or `[..., A, 1]`, as nothing was heard."""
        if self.numbers is None:
            return choices.new_zeros(choices.shape[:-1])
        return agent.new_zeros(*agent.shape[:-1], self.numbers, 1)

    def outputs(self, observation: Observation) -> Tensor:
        """The same for everyone, `[B, N, K]` or `[B, N, A, 1]`."""
        return self.forward(observation.agent, observation.choices)

    def encode(self, observation: Observation) -> Tensor:
        """Nothing, `[0]`."""
        return observation.agent.new_zeros(0)

    def decode(self, encoded: Tensor, message: Tensor, active: Tensor, turn: int) -> Tensor:
        """`[B, N, K]` or `[B, N, A, 1]` of messages `[B, N, K, M]` or `[B, N, A, M]`."""
        at = min(turn, len(self.keep) - 1)
        outputs: Tensor = self.keep[at] * message[..., -1] + self.step[at] * self.hearing(message)[..., -2]
        return outputs if self.numbers is None else outputs.unsqueeze(-1)
