"""How a network takes in messages of intent rounds (`dgpg.learning.rounds.intents`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgpg.learning.networks.sharing import Sharing
from dgpg.learning.shards import WHOLE, Shard


class Hearing(nn.Module):
    """Messages, raw, as inputs of order one: over their size in the first moment heard, bounded."""

    BOUND = 5.0

    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.zeros(features))

    @property
    def ready(self) -> bool:
        """Whether sizes are known."""
        return bool(self.scale.any())

    def measure(self, message: Tensor, mask: Tensor, shard: Shard = WHOLE) -> None:
        """Take the root mean square of messages `[B, N, K, M]` where `mask` `[B, N, K]` or `[B, N, 1]` allows; stay as
        it is if nowhere."""
        heard = message[mask.expand(message.shape[:-1])]
        count = torch.full_like(self.scale, len(heard))
        square, count = shard.total(torch.stack([heard.square().sum(0), count])).unbind()
        size = (square / count).sqrt()
        if bool(count[0] > 0):
            shard.once(lambda: self.scale.copy_(torch.where(size > 0, size, 1.0)))

    def forward(self, message: Tensor) -> Tensor:
        """`[..., M]`, same shape."""
        scale = torch.where(self.scale > 0, self.scale, 1.0)  # nobody has had anything to decide yet
        return (message / scale).clamp(-self.BOUND, self.BOUND)


class Listener(nn.Module):
    """What messages add to a network: to its first layer, and straight to its outputs.

    The straight way begins as a step of mirror descent, outputs = where the agent stands + step x u, which the rest
    of the network learns to correct.

    Args:
        messages: M, see `dgpg.learning.rounds.intents.Intents.size`.
        together: messages that one row of the first layer takes in: 1, or K of a row that sees all choices.
        hidden: width of that layer.
        step: to begin with, in sizes of u.
        sharing: who shares weights.
        seed: of the weights.
    """

    def __init__(
        self, messages: int, together: int, hidden: int, step: float, sharing: Sharing, seed: torch.Generator
    ) -> None:
        super().__init__()
        self.hearing = Hearing(messages)
        self.inner = sharing.layer(together * messages, hidden, math.sqrt(2), seed)
        self.straight = sharing.layer(2, 1, 1.0, seed)
        weight = self.straight.get_parameter("weight")
        weight.data.view(-1, 2).copy_(torch.tensor([1.0, step]))

    def forward(self, message: Tensor) -> tuple[Tensor, Tensor]:
        """Of raw messages `[..., K, M]`, as inputs of `inner`, and what they add to the outputs, `[..., K]`."""
        heard = self.hearing(message)
        direct: Tensor = self.straight(torch.stack([message[..., -1], heard[..., -2]], -1))
        return heard, direct.squeeze(-1)
