"""What a margin of line limits is worth under AC power flow: share of steps with a line over rate A, and at what cost.

    python benchmarks/power_margin.py --networks case118_ieee --margins none 0 0.02
    python benchmarks/power_margin.py --networks case300_ieee --margins none 0 --iterations 0

Steps are those of evaluations (`dgpg evaluate --judge`), on days that neither training nor margin has seen. "DC over"
is the share of these steps in which DC flows, too, are over a limit by 1 %, the margin taken off: no AC flow is to
blame there. "Dearer" is generation over that of the same row within the first margin. `--iterations 0` trains no
policy. A network is the name of a PGLib file under DGPG_DATA (power/pglib) without its prefix, a file, or any that the
domain knows.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from common import ARRIVALS, emit, follow
from power import network, over
from publishing import published

from dgpg.domain import Policy
from dgpg.measuring import play
from dgpg.runs import launch
from dgpg.runs.overrides import parse_overrides
from dgpg_power.domain import domain
from dgpg_power.instance import build
from dgpg_power.judge.judge import STEPS

RULES = ("redispatch", "last-opf", "dc-opf")
COLUMNS: Mapping[str, str] = {
    "AC over %": "line over rate A by 1 %, share of steps",
    "worst": "worst line loading, MVA over rate A",
    "generation": "generation, $ per hour",
    "diverged": "diverged, steps",
}


def judged(plan: launch.Plan, policies: Mapping[str, Policy]) -> list[dict[str, Any]]:
    """A record a policy."""
    config: Any = plan.config
    episodes, price = STEPS // config.horizon, build(config).tariff.overload
    rows = []
    for row in domain.judge(config, policies, episodes, ARRIVALS):
        found = play(domain, config, policies[str(row["name"])], episodes, ARRIVALS, torch.device("cpu"))
        values = {name: float(row[column]) for name, column in COLUMNS.items()}
        values["AC over %"] *= 100
        rows.append({"price": price, "row": row["name"], **values, "DC over %": 100 * over(found)})
    return rows


def main() -> None:
    """One JSON line a row of every network and margin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["case118_ieee"])
    parser.add_argument("--margins", nargs="+", default=["none", "0"])
    parser.add_argument("--iterations", type=int, default=None, help="of dg-pg; its default if left out, 0 for none")
    parser.add_argument("--set", nargs="*", default=[], help="more settings, as for dgpg train: a.b=v, train.x=v")
    args = parser.parse_args()
    for name in args.networks:
        first: dict[str, float] = {}
        for margin in args.margins:
            more = parse_overrides(args.set)
            values = {"device": "cpu", "train": {"threads": 1, **more.pop("train", {})}}
            values |= {"iterations": args.iterations} if args.iterations else {}
            values |= {"num_envs": more.pop("num_envs")} if "num_envs" in more else {}
            share = None if margin == "none" else float(margin)
            plan = launch.resolve("power", {**values, "settings": more | {"network": network(name), "margin": share}})
            policies: dict[str, Policy] = {r.name: r for r in domain.baselines(plan.config) if r.name in RULES}  # type: ignore[arg-type]
            rows = judged(plan, policies)
            if args.iterations != 0:
                last = plan.run.iterations
                rows += follow(plan, [last], lambda policy, plan=plan: judged(plan, {"dg-pg": policy}))["found"][last]
            for row in rows:
                before = first.setdefault(row["row"], row["generation"])
                emit({"network": name, "margin": margin, **row, "dearer %": 100 * (row["generation"] / before - 1)})


if __name__ == "__main__":
    published(main)
