"""What large grids take: CPU seconds to build an instance, to play one episode by each row, and to judge it.

    OMP_NUM_THREADS=1 python benchmarks/power_size.py --network case118_ieee --copies 1 11

A grid of K copies is a ring of them, three ties from each to the next, without names of units. A network is the name
of a PGLib file under DGPG_DATA (power/pglib) without its prefix, or any that the domain knows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import ARRIVALS, emit
from power import network
from publishing import published

from dgpg.domain import SupportsOwnConfig
from dgpg.measuring import play
from dgpg_power.config import Config
from dgpg_power.data.case import Case
from dgpg_power.data.load import load_case
from dgpg_power.data.write import matpower_text
from dgpg_power.domain import domain
from dgpg_power.instance import build
from dgpg_power.network import FloatArray

TIES = 3
REACTANCE, RATE = 0.02, 300.0
"""Of a tie, per unit and MVA."""
BUS, TYPE, SLACK, HELD = 0, 1, 3, 2


def ring(case: Case, copies: int) -> Case:
    """Copies of a case side by side, the slack in the first; ties join buses of the highest voltage."""
    if copies == 1:
        return case
    bus, gen, branch = case.bus.array(13), case.gen.array(10), case.branch.array(13)
    step = 10 ** len(str(int(bus[:, BUS].max())))
    ends = bus[np.argsort(-bus[:, 9], kind="stable")[:TIES], BUS]
    tie = np.zeros((TIES, branch.shape[1]))
    tie[:, [3, 5, 6, 7]], tie[:, 10], tie[:, 11:13] = [REACTANCE, RATE, RATE, RATE], 1, [-360, 360]

    def moved(rows: FloatArray, columns: list[int], by: int) -> FloatArray:
        rows = rows.copy()
        rows[:, columns] += by * step
        return rows

    buses, lines = [], []
    for k in range(copies):
        own, ties = moved(bus, [BUS], k), tie.copy()
        own[:, TYPE] = np.where((own[:, TYPE] == SLACK) & (k > 0), HELD, own[:, TYPE])
        ties[:, 0], ties[:, 1] = ends + k * step, ends + (k + 1) % copies * step
        buses.append(own)
        lines += [moved(branch, [0, 1], k), ties]
    parts = {
        "bus": np.concatenate(buses),
        "gen": np.concatenate([moved(gen, [0], k) for k in range(copies)]),
        "branch": np.concatenate(lines),
        "gencost": np.tile(np.array(case.gencost.rows), (copies, 1)),
    }
    made = {
        name: replace(getattr(case, name), rows=tuple(map(tuple, x.tolist())), line=()) for name, x in parts.items()
    }
    return replace(case, name=f"{case.name}_{copies}", unit_name=(), unit_kind=(), **made)


def measured(config: Config) -> dict[str, float]:
    """CPU seconds by part."""
    spent, start = {}, time.process_time()

    def mark(name: str) -> None:
        nonlocal start
        spent[name] = round(time.process_time() - start, 2)
        start = time.process_time()

    build(config)
    mark("build")
    rules = domain.baselines(config)
    for rule in rules:
        own = rule.config if isinstance(rule, SupportsOwnConfig) else config
        play(domain, own, rule, 1, ARRIVALS, torch.device("cpu"))
        mark(rule.name)
    domain.judge(config, {rule.name: rule for rule in rules if rule.name != "bound"}, 1, ARRIVALS)
    mark("judge")
    return spent


def main() -> None:
    """One JSON line a grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="case118_ieee")
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    args = parser.parse_args()
    for copies in args.copies:
        case = ring(load_case(network(args.network)), copies)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{case.name}.m"
            file.write_text(matpower_text(case, case.name))
            config = Config(network=str(file))
            spent = measured(config)
            grid = build(config).network
        sizes = {"buses": grid.num_buses, "lines": grid.num_lines, "units": grid.num_units}
        emit({"network": args.network, "copies": copies, **sizes, "cpu s": spent})


if __name__ == "__main__":
    published(main)
