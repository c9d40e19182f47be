"""An independent judge: splits driven through a simulator that knows nothing of delay functions.

So it judges whether the model's picture of who should drive where survives another physics: UXsim or mesoscopic SUMO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dgpg.domain import Policy
from dgpg.errors import ConfigError
from dgpg_traffic.assignment.assign import USER_EQUILIBRIUM
from dgpg_traffic.config import Config
from dgpg_traffic.instance import TRUE, build
from dgpg_traffic.judge import in_sumo, in_uxsim
from dgpg_traffic.judge.replay import replay
from dgpg_traffic.judge.vehicles import Drive
from dgpg_traffic.network.capacities import explained

DAYS = 2
"""Most days that are driven: one takes seconds, and more where roads jam."""
SIMULATORS = {"uxsim": in_uxsim, "sumo": in_sumo}
"""By the setting `judge`."""


def judge(
    config: Config, policies: Mapping[str, Policy], episodes: int, seed: int
) -> Sequence[Mapping[str, float | str]]:
    """One row a policy: the busiest period of at most two days, from empty roads, with the policy's splits.

    A link lets out its capacity and no more, incidents included; who waits, waits on it. Delay functions are another
    picture of it: they allow flows above capacity (2.5 times in the optimum of Sioux Falls) and charge for flows below
    it. Where they are steep in flow alone, as on braess, capacity is a parameter and times say little: compare.

    Raises:
        ConfigError: the simulator is not installed, the equilibrium is not among the policies, or capacities are
            arbitrary.
    """
    if USER_EQUILIBRIUM.name not in policies:
        expected = f"expected {USER_EQUILIBRIUM.name} among them, to compare with: see domain.baselines(config)"
        raise ConfigError(f"policies = {list(policies)}: {expected}")
    simulator = SIMULATORS[config.judge]
    simulator.ready()
    instance = build(config)
    if instance.meaningless:
        raise ConfigError(
            f"--judge lets out of a link what its capacity says: {explained(instance.network)}: set {TRUE}"
        )
    days, driven = min(episodes, DAYS), {}
    for name, policy in policies.items():
        shown = replay(config, policy, days, seed)
        driven[name] = [simulator.drive(instance, shown, day) for day in range(days)]
    usual = _mean_time(driven[USER_EQUILIBRIUM.name])
    return [
        {
            "name": name,
            "travel_time_min": _mean_time(found),
            "over_user_equilibrium_percent": 100 * (_mean_time(found) / usual - 1),
            "arrived_percent": 100 * float(np.concatenate([one.arrived for one in found]).mean()),
        }
        for name, found in driven.items()
    ]


def _mean_time(found: Sequence[Drive]) -> float:
    return float(np.concatenate([one.time for one in found]).mean())
