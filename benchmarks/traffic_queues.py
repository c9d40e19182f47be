"""Queues against UXsim, which follows single vehicles: mean travel time of an hour's demand on the same splits.

    python benchmarks/traffic_queues.py --publish traffic-queues

The splits of the static user equilibrium set out evenly for an hour on empty roads, until all have arrived. `model` is
the plugin's, `free` the same without delays below capacity (b = 0), of which UXsim knows none. `uxsim` gives links room
for every queue, so that none reaches back over the link before; in `uxsim short` room is in proportion to capacity, as
the judge has it, with more vehicles than the judge drives. Minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import emit
from publishing import published
from traffic import network

from dgpg.domain import validate
from dgpg_traffic.config import Config
from dgpg_traffic.domain import domain
from dgpg_traffic.instance import Instance, build
from dgpg_traffic.judge import judge
from dgpg_traffic.judge.replay import Replay, replay
from dgpg_traffic.loading import Queued

TIME_UNIT = {"SiouxFalls": 36.0}
"""Seconds; a minute elsewhere."""
STATIC = {"horizon": 1, "queues": False, "demand": {"profile": "flat", "noise": 0.0}}
ROOMY = 4.0
"""Vehicles a metre of a lane that stands: twenty times what the judge takes."""
CPU = torch.device("cpu")


def sets_out(name: str, scale: float) -> tuple[Instance, Replay]:
    """The network and an hour of its static equilibrium."""
    demand = {**STATIC["demand"], "scale": scale}  # type: ignore[dict-item]
    settings = {**STATIC, "demand": demand, "network": network(name), "time_unit": TIME_UNIT.get(name, 60.0)}
    config = validate(Config, settings, "")
    rule = next(rule for rule in domain.baselines(config) if rule.name == "user-equilibrium")
    return build(config), replay(config, rule, 1, 0)


def modelled(instance: Instance, hour: Replay, b: float) -> float:
    """Mean minutes by the plugin's queues, delays below capacity times `b`."""
    config = instance.config
    queued = replace(instance, config=config.model_copy(update={"queues": True})).roads(CPU, torch.float64)
    assert isinstance(queued.loading, Queued)
    loading = Queued(replace(queued.links, b=b * queued.links.b), queued.loading.legs, queued.loading.period)
    vehicles = torch.from_numpy(hour.demand[0, 0, :, None] * hour.splits[0, 0])[None].double()
    waiting, spent, entering = torch.zeros(1, loading.num_legs).double(), 0.0, vehicles
    while entering.sum() + waiting.sum() > 0:
        loaded = loading.load(entering, waiting, queued.links.capacity[None])
        spent += float((loading.spent(loaded).sum(-1) - loading.pending(waiting)).sum())
        waiting, entering = loaded.waiting, torch.zeros_like(vehicles)
    return spent / float(vehicles.sum()) * config.time_unit / 60


def simulated(instance: Instance, hour: Replay, platoons: int, jam: float) -> float:
    """Mean minutes in UXsim with so many platoons and such density of standing vehicles."""
    usual = {name: getattr(judge, name) for name in ("PLATOONS", "MOST", "LIMIT", "JAM")}
    changed = {
        "PLATOONS": platoons,
        "MOST": 2 * platoons * judge.PLATOON / judge.PERIOD,
        "LIMIT": 12 * judge.PERIOD,
        "JAM": jam,
    }
    try:
        for name, value in changed.items():
            setattr(judge, name, value)
        found = judge.drive(instance, hour, 0)
    finally:
        for name, value in usual.items():
            setattr(judge, name, value)
    assert found.arrived.all()
    return float(found.time.mean())


def row(name: str, scale: float, platoons: int) -> dict[str, Any]:
    """All that is compared, and how far the model is off, %."""
    instance, hour = sets_out(name, scale)
    times = {
        "model": modelled(instance, hour, 1.0),
        "free": modelled(instance, hour, 0.0),
        "uxsim": simulated(instance, hour, platoons, ROOMY),
        "uxsim short": simulated(instance, hour, platoons, judge.JAM),
    }
    off = {f"{x} off %": 100 * (times[x] / times["uxsim"] - 1) for x in ("model", "free")}
    over = int((hour.flow[0, 0] / hour.capacity[0, 0] > 1).sum())
    rounded = {key: float(np.round(value, 3)) for key, value in (times | off).items()}
    return {"network": name, "demand x": scale, "links over capacity": over, **rounded}


def main() -> None:
    """One row for each network and demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["grid", "SiouxFalls"])
    parser.add_argument("--scales", nargs="+", type=float, default=[0.5, 0.75, 1.0])
    parser.add_argument("--platoons", type=int, default=6_000, help="of five vehicles each")
    args = parser.parse_args()
    for name in args.networks:
        for scale in args.scales:
            emit(row(name, scale, args.platoons))


if __name__ == "__main__":
    published(main)
