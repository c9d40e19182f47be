"""Running scale of value targets: the critic learns and predicts normalised values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgpg.learning.shards import WHOLE, Shard


class ValueNormaliser(nn.Module):
    """Debiased running mean and variance of returns (Yu et al. 2022, MAPPO's value normalisation)."""

    mean: Tensor
    square: Tensor
    debias: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        for name in ("mean", "square", "debias"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, target: Tensor, shard: Shard = WHOLE) -> None:
        """Take in a batch of returns, any shape, of which this is one shard's part."""
        target = target.double()
        count = torch.full_like(self.mean, target.numel())
        whole, square, count = shard.total(torch.stack([target.sum(), target.square().sum(), count])).unbind()
        shard.once(lambda: self._take(whole / count, square / count))

    def _take(self, mean: Tensor, square: Tensor) -> None:
        rate = 1 - self.decay
        self.mean.lerp_(mean, rate)
        self.square.lerp_(square, rate)
        self.debias.lerp_(torch.ones_like(self.debias), rate)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation so far, float32 `[]`; 0 and 1 before the first update."""
        if self.debias == 0:
            return self.mean.float(), torch.ones_like(self.mean, dtype=torch.float32)
        mean = self.mean / self.debias
        variance = self.square / self.debias - mean.square()
        return mean.float(), variance.clamp(min=1e-4).sqrt().float()

    def normalise(self, value: Tensor) -> Tensor:
        """Raw to normalised, any shape."""
        mean, deviation = self.moments()
        return (value - mean) / deviation

    def denormalise(self, value: Tensor) -> Tensor:
        """Normalised to raw, any shape."""
        mean, deviation = self.moments()
        return value * deviation + mean
