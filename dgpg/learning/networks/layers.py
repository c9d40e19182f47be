"""Layers that actors and critics are made of, and what an environment's spaces say about their sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from dgpg.domain import Environment
from dgpg.learning.networks.sharing import Independent, Parameters, Shared, Sharing


def input_norm(features: int) -> nn.Module:
    """LayerNorm without weights of its own: the layer after it has them, and nothing flows back through it.

    Of one feature it would leave nothing and of two only a sign: fewer than three pass as they are.
    """
    return nn.LayerNorm(features, elementwise_affine=False) if features > 2 else nn.Identity()


def mlp(sizes: Sequence[int], last_gain: float, sharing: Sharing, seed: torch.Generator) -> nn.Sequential:
    """LayerNorm on the input, then ReLU layers."""
    hidden = hidden_layers(sizes[:-1], sharing, seed)
    return nn.Sequential(input_norm(sizes[0]), *hidden, sharing.layer(sizes[-2], sizes[-1], last_gain, seed))


def hidden_layers(sizes: Sequence[int], sharing: Sharing, seed: torch.Generator) -> list[nn.Module]:
    """Linear layers of these sizes, a ReLU after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [sharing.layer(inputs, outputs, math.sqrt(2), seed), nn.ReLU()]
    return layers


def sizes(env: Environment) -> dict[str, int]:
    """Numbers of features: F, C and S."""
    return {name: (env.observation_space[name].shape or (0,))[-1] for name in ("agent", "choices", "central")}


def sharing_of(env: Environment, parameters: Parameters) -> Sharing:
    """Who shares weights with whom, for an environment's agents."""
    return Shared() if parameters == "shared" else Independent(env.num_agents)
