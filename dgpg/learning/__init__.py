"""The algorithm, one file a step: `rollout`, `guidance`, `advantage`, `update`; `train` is the only loop.

`estimators/` are the ways in which a model enters, `actions/` the kinds of action, `rounds/` what agents say before
they act, `networks/` the function approximators.
"""

from dgpg.learning.algorithms import ALGORITHMS, Algorithm
from dgpg.learning.config import AlphaSchedule, ChannelConfig, CoordinationConfig, RunConfig, TrainConfig
from dgpg.learning.parts import Task
from dgpg.learning.train import Metrics, Trainer
from dgpg.learning.trajectory import Trajectory

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AlphaSchedule",
    "ChannelConfig",
    "CoordinationConfig",
    "Metrics",
    "RunConfig",
    "Task",
    "TrainConfig",
    "Trainer",
    "Trajectory",
]
