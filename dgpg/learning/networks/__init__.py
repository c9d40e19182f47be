"""Function approximators: actors, critics, and who shares weights with whom."""

from dgpg.learning.networks.actors import Actor, MlpActor, ScoringActor
from dgpg.learning.networks.by_parts import ByParts, placed
from dgpg.learning.networks.critics import (
    BlockCritic,
    CentralCritic,
    Critic,
    LocalCritic,
    make_block_critic,
    make_critic,
    values,
)
from dgpg.learning.networks.layers import input_norm, mlp, sharing_of, sizes
from dgpg.learning.networks.normalise import ValueNormaliser
from dgpg.learning.networks.sharing import Independent, Parameters, Shared, Sharing

__all__ = [
    "Actor",
    "BlockCritic",
    "ByParts",
    "CentralCritic",
    "Critic",
    "Independent",
    "LocalCritic",
    "MlpActor",
    "Parameters",
    "ScoringActor",
    "Shared",
    "Sharing",
    "ValueNormaliser",
    "input_norm",
    "make_block_critic",
    "make_critic",
    "mlp",
    "placed",
    "sharing_of",
    "sizes",
    "values",
]
