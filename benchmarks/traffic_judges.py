"""Where two simulators and the delay functions agree on how long drivers take, and where they do not.

    python benchmarks/traffic_judges.py $DGPG_DATA/traffic/tntp/SiouxFalls --time-unit 36 --scale 0.1 0.25 0.5

A record of a demand and a rule: mean minutes of a trip of one period of the same splits by the delay functions, by
UXsim and by mesoscopic SUMO, without traffic, and what each simulator is off the functions.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from common import ARRIVALS, emit
from publishing import published

from dgpg_traffic.config import Config
from dgpg_traffic.domain import domain
from dgpg_traffic.instance import build
from dgpg_traffic.judge.judge import SIMULATORS
from dgpg_traffic.judge.replay import replay
from dgpg_traffic.judge.vehicles import busiest

RULES = ("user-equilibrium", "system-optimum")


def config_of(network: str, time_unit: float, scale: float) -> Config:
    """One period of demand that is always the same, without queues that last: what the functions are of."""
    demand = {"scale": scale, "noise": 0.0, "profile": "flat"}
    settings = {"network": network, "time_unit": time_unit, "horizon": 1, "queues": False, "demand": demand}
    return Config.model_validate(settings)


def row(config: Config, rule: Any, names: list[str]) -> dict[str, Any]:
    """Minutes of a trip by each."""
    instance, shown = build(config), replay(config, rule, 1, ARRIVALS)
    unit, t = config.time_unit / 60, busiest(shown, 0)
    going = shown.demand[t, 0, :, None] * shown.splits[t, 0]
    free = instance.routes.times(instance.network.free_time)
    free = np.where(going > 0, free.repeat(config.agents_per_pair, 0), 0.0)  # nobody takes routes that are not there
    functions = float(shown.travel_time[t, 0]) * unit
    found: dict[str, Any] = {
        "demand": config.demand.scale, "rule": rule.name,
        "without traffic": float((going * free).sum() / going.sum()) * unit, "delay functions": functions,
        "flow over capacity, most": float((shown.flow[t, 0] / shown.capacity[t, 0]).max()),
    }  # fmt: skip
    for name in names:
        drive = SIMULATORS[name].drive(instance, shown, 0)
        minutes = float(drive.time.mean())
        off = 100 * (minutes / functions - 1)
        found |= {name: minutes, f"{name} off, %": off, f"{name} arrived, %": 100 * float(drive.arrived.mean())}
    return found


def main() -> None:
    """A record of a demand and a rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--time-unit", type=float, default=60.0, help="seconds of the network's unit of time")
    parser.add_argument("--scale", type=float, nargs="+", default=[0.1, 0.25, 0.5, 1.0], help="of demand")
    parser.add_argument("--simulators", nargs="+", default=list(SIMULATORS))
    args = parser.parse_args()
    for scale in args.scale:
        config = config_of(args.network, args.time_unit, scale)
        for rule in domain.baselines(config):
            if rule.name in RULES:
                emit(row(config, rule, args.simulators))


if __name__ == "__main__":
    published(main)
