"""A policy in use: one job and its candidate nodes, in an operator's plain values, to what a dispatcher sees.

numpy alone: neither torch nor an instance. `features` are those of `dgpg_cloud.observation`, `rules` those of
`dgpg_cloud.baselines`, `rise` that of `dgpg_cloud.models.potentials`, all on arrays of one decision or of R.
"""

from dgpg_cloud.deploy.adapter import Placement, make
from dgpg_cloud.deploy.estimate import rise
from dgpg_cloud.deploy.features import Job, Nodes, features, load
from dgpg_cloud.deploy.rules import RULES
from dgpg_cloud.deploy.scales import Scales

__all__ = ["RULES", "Job", "Nodes", "Placement", "Scales", "features", "load", "make", "rise"]
