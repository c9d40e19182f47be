"""A policy in use: what one unit measures and is told, in MW, to what it sees; numpy alone.

`features` are those of `dgpg_power.observation`, of any number of units. `Snapshot` is a whole grid at once, and
`dispatch` what automatic generation control makes of base points and shares.
"""

from dgpg_power.deploy.adapter import Dispatch, make
from dgpg_power.deploy.features import Signals, features
from dgpg_power.deploy.scales import Scales, following
from dgpg_power.deploy.snapshot import Snapshot, dispatch

__all__ = ["Dispatch", "Scales", "Signals", "Snapshot", "dispatch", "features", "following", "make"]
