"""How near each algorithm comes to DC optimal power flow on the power domain, and how fast.

    python benchmarks/power.py --exact --networks case118_ieee__api --observation C
    python benchmarks/power.py --networks case24-tight --algorithms dg-pg mappo ippo ippo-local

Gap: cost of the greedy policy over that of the row `dc-opf` on the same demand, less one. ">1 %": share of steps with a
line more than 1 % over its limit. The row `forecast-opf` dispatches the forecast of all loads at least cost. `--exact`
leaves out losses, forecast errors and outages. A network is the name of a PGLib file under DGPG_DATA (power/pglib)
without its prefix, or any that the domain knows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ARRIVALS, TUNING_ARRIVALS, emit, excess, follow
from publishing import published
from torch import Tensor

from dgpg.domain import Context, Policy, SupportsOwnConfig, merge
from dgpg.measuring import Played, play
from dgpg.runs import launch
from dgpg.runs.overrides import parse_overrides
from dgpg.runs.trained import evaluated_in
from dgpg_power.baselines import Rule
from dgpg_power.grid import Grid, Grids
from dgpg_power.instance import build
from dgpg_power.programs import opf

EXACT = {"mismatch": {"losses": False, "forecast_error": 0.0, "outages": 0.0}}
EPISODES = 48
CPU = torch.device("cpu")
DATA = Path(os.environ.get("DGPG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "power" / "pglib"


def network(name: str) -> str:
    """A PGLib file where there is one of that name; `rts` is RTS-GMLC."""
    file = DATA.parent / "rts_gmlc" / "RTS_GMLC.m" if name == "rts" else DATA / f"pglib_opf_{name}.m"
    return str(file) if file.is_file() else name


def over(found: Played) -> float:
    """The ">1 %" of some episodes."""
    return float(found.measures["overload_share"].mean())


def forecast_optimum(grid: Grid, context: Context) -> Tensor:
    """DC optimal power flow of what the model is told: where guidance by `power.cost` leads, if units knew it all."""
    load, demand, low, high = (context[name] for name in ("load", "demand", "low", "high"))
    return opf.optimum(grid, load, demand, low, high, None, opf.PRICED).output


def rules(plan: launch.Plan, config: Any, arrivals: int = ARRIVALS) -> dict[str, Played]:
    """Every rule and the optimum, by name."""
    found = {}
    told = Rule("forecast-opf", "more", Grids(build(config)), forecast_optimum)
    for rule in (*plan.domain.baselines(config), told):  # type: ignore[attr-defined]
        own = rule.config if isinstance(rule, SupportsOwnConfig) else config
        name = "optimum" if rule.name == "dc-opf" else rule.name
        found[name] = play(plan.domain, own, rule, EPISODES, arrivals, CPU)
    return found


def learn(
    plan: launch.Plan, config: Any, marks: Sequence[int], optimum: Played, arrivals: int = ARRIVALS
) -> dict[str, Any]:
    """Train; gap and ">1 %" at each mark (iterations), measured under `config`, and what it took."""

    def measure(policy: Policy) -> tuple[float, float]:
        found = play(plan.domain, config, policy, EPISODES, arrivals, CPU)
        return excess(found, optimum), 100 * over(found)

    result = follow(plan, marks, measure)
    found = result.pop("found")
    return {"gap": {m: x for m, (x, _) in found.items()}, "over": {m: x for m, (_, x) in found.items()}, **result}


def reached(results: Sequence[dict[str, Any]], gap: float) -> list[int | str]:
    """Adam steps of each seed until the gap was first reached, at a mark."""
    return [next((r["updates"][m] for m, g in r["gap"].items() if g <= gap), "-") for r in results]


def emit_rules(name: str, level: str, found: Mapping[str, Played]) -> None:
    """A row for every rule."""
    for rule, episodes in found.items():
        gap, share = excess(episodes, found["optimum"]), 100 * over(episodes)
        emit({"network": name, "level": level, "rule": rule, "gap": gap, "over": share})


def print_trained(title: str, marks: Sequence[int], results: Sequence[dict[str, Any]], each: float) -> None:
    """A row for the seeds of an algorithm."""
    last = max(marks)
    gaps = [round(r["gap"][last], 2) for r in results]
    mean = {m: round(float(np.mean([r["gap"][m] for r in results])), 2) for m in marks}
    print(
        f"{title} gap {mean} %, seeds {gaps}, >1 % {np.mean([r['over'][last] for r in results]):.0f} %, "
        f"updates to 5 % {reached(results, 5.0)}, "
        f"training {np.mean([r['wall_s'] for r in results]):.0f} s, with measuring {each:.0f} s",
        flush=True,
    )


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["case24-tight"])
    parser.add_argument("--algorithms", nargs="+", default=["dg-pg"])
    parser.add_argument("--observation", nargs="+", default=["C"])
    parser.add_argument("--marks", type=int, nargs="+", default=[50, 100, 200, 400, 1000])
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--tuning", action="store_true", help="measure days that no published figure uses")
    parser.add_argument("--set", nargs="*", default=[], help="more settings, as for dgpg train: a.b=v, train.x=v")
    parser.add_argument("--measure", nargs="*", default=[], help="settings of the evaluation alone: load.days=[15,21]")
    return parser.parse_args()


def main() -> None:
    """One JSON line a cell and one row of the table."""
    args = parsed()
    more, measured = parse_overrides(args.set), parse_overrides(args.measure)
    arrivals = TUNING_ARRIVALS if args.tuning else ARRIVALS
    values = {
        "device": "cpu", "model": args.model, "iterations": max(args.marks),
        "train": {"threads": 1, **more.pop("train", {})},
        **{name: more.pop(name) for name in ("num_envs", "coordination") if name in more},
    }  # fmt: skip
    for name, level in product(args.networks, args.observation):
        title, found = f"{name} {level}", dict[str, Played]()
        settings = merge(merge(EXACT if args.exact else {}, more), {"network": network(name), "observation": level})
        for algorithm in args.algorithms:
            asked = {**values, "settings": settings, "algorithm": algorithm}
            plans = [launch.resolve("power", {**asked, "seed": seed}) for seed in range(args.seeds)]
            config = evaluated_in(plans[0].domain, plans[0].config, measured)
            if not found:
                found = rules(plans[0], config, arrivals)
                emit_rules(name, level, found)
            start = time.perf_counter()
            results = [learn(plan, config, args.marks, found["optimum"], arrivals) for plan in plans]
            emit({"network": name, "level": level, "algorithm": algorithm, "model": args.model, "runs": results})
            each = (time.perf_counter() - start) / args.seeds
            print_trained(f"{title}: {algorithm}", args.marks, results, each)


if __name__ == "__main__":
    published(main)
