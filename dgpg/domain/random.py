"""Own random streams: nothing in dgpg touches a global generator."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDEN = -0x61C8864680B583EB
"""2^64 over the golden ratio, as a signed number."""


def derive(seed: int, *keys: str | int) -> int:
    """A 48-bit seed for one purpose, independent of the seeds for other purposes.

    48 bits leave room for `seed + b`, the stream of environment b, in every library's seed type.
    """
    text = "/".join(str(part) for part in (seed, *keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def generator(seed: int) -> torch.Generator:
    """A CPU generator of its own; results on another device start from the same numbers."""
    return torch.Generator().manual_seed(seed)


def autoregressive(innovation: NDArray[np.float64], memory: float) -> NDArray[np.float64]:
    """Stationary unit-variance process x_t = m x_{t-1} + sqrt(1 - m^2) e_t along the first axis of `[T, ...]`.

    Args:
        innovation: e, independent and of unit variance; x_0 = e_0.
        memory: m, in [0, 1), the autocorrelation.
    """
    fresh = np.sqrt(1 - memory**2)
    from scipy.signal import lfilter  # takes a second to import, and few ask for it

    x: NDArray[np.float64] = lfilter([fresh], [1.0, -memory], innovation, axis=0, zi=(1 - fresh) * innovation[:1])[0]
    return x


def more(uniform: Tensor, count: int, purpose: int) -> Tensor:
    """`count` further uniform numbers from each of `uniform` `[...]`, `[..., count]`: a hash of its 24 bits.

    SplitMix64 (Steele, Lea and Flood 2014), multiples of 2^-24 again. Another `purpose` gives other numbers.
    """

    def mixed(z: Tensor, shift: int) -> Tensor:
        return z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))  # >> copies the sign, of which the mask is rid

    place = torch.arange(1, count + 1, device=uniform.device) + (purpose << 32)
    z = ((uniform.double() * 2**24).long() << 24).unsqueeze(-1) + place * GOLDEN
    z = mixed(z, 30) * -0x40A7B892E31B1A47
    z = mixed(z, 27) * -0x6B2FB644ECCEEE15
    return ((mixed(z, 31) >> 40) & (2**24 - 1)).float() / 2**24


class Streams:
    """One random stream per environment, so that a batch never changes what an environment draws.

    Environment b draws from `seed + b`, as in Gymnasium's vector environments: environment b of a
    batch and a single environment made with `seed + b` see the same numbers.
    """

    def __init__(self, seed: int, num_envs: int) -> None:
        self.generators = [np.random.default_rng(seed + b) for b in range(num_envs)]

    def __len__(self) -> int:
        return len(self.generators)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32 `[B, *shape]`: one call per environment, not per number."""
        return torch.from_numpy(np.stack([g.random(shape, dtype=np.float32) for g in self.generators]))

    def state_dict(self) -> dict[str, Any]:
        """Exact state, made of numbers and strings only."""
        return {"streams": [g.bit_generator.state for g in self.generators]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        states: Sequence[dict[str, Any]] = state["streams"]
        for g, one in zip(self.generators, states, strict=True):
            g.bit_generator.state = one
