"""A policy in use: what one pair of zones knows of its demand and of the roads to what it sees; numpy alone.

`features` are those of `dgpg_traffic.observation`, of any number of agents.
"""

from dgpg_traffic.deploy.adapter import Splitting, make
from dgpg_traffic.deploy.features import History, features
from dgpg_traffic.deploy.rules import fastest, logit, usual
from dgpg_traffic.deploy.scales import Scales

__all__ = ["History", "Scales", "Splitting", "fastest", "features", "logit", "make", "usual"]
