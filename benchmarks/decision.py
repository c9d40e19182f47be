"""Milliseconds of one decision for all units: a trained policy against solving DC optimal power flow each time.

    OMP_NUM_THREADS=1 python benchmarks/decision.py

One thread. Every method decides the same hours, in turn with the others, so that what slows the machine slows all. Each
first decides the hour before, untimed, so that caches hold its own data. Given what it has to decide on, it returns:

    network         features of all units -> the actors' raw outputs
    policy          the same -> base points in MW and shares (NetworkPolicy.act, greedy)
    measurements    loads, flows, outputs -> features (the critic's too) -> base points and shares
    exported        the same by dgpg_power.deploy and the exported policy: numpy and onnxruntime; one moment alone
    HiGHS, warm     outputs, as all below: the linear program, row bounds changed, last basis
    HiGHS, binding  the same with those lines alone that an optimum has ever broken, checked against all
    interior point  dgpg.convex.solve, the whole batch at once
    cvxpy           a parametrised problem, canonicalised once, solved by Clarabel
    cvxpylayers     its default back end with Clarabel and Clarabel's own tolerances, without derivative
    layer, ...      dgpg.convex.ConvexLayer with either solver, without derivative; solutions are checked

All but the policy's solve one program, PGLib-OPF's api case (no ramps, losses or outages). The cost of what they return
is compared with HiGHS'. The time of a policy does not depend on its weights, so it is not trained here.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import torch
from common import emit
from convex import UNIT, Binding, Direct, Highs, Layer
from power import network
from publishing import published
from torch import Tensor

from dgpg.convex.layer import TOLERANCES, ConvexLayer
from dgpg.deploy import Policy
from dgpg.domain import Decision
from dgpg.export import export
from dgpg.learning import Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring import NetworkPolicy
from dgpg.runs import launch, start
from dgpg.runs.training import train
from dgpg_power.deploy import Scales, Snapshot
from dgpg_power.env import PowerEnv
from dgpg_power.load import Tape
from dgpg_power.observation import Past, decide

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import dcopf

HIGHEST = 0.92
"""Largest common level of demand: with the noise of the buses, every hour has a dispatch within all limits."""
CLARABELS = 1e-8
"""Tolerance that Clarabel has by itself."""
AGAINST = "cvxpylayers"
"""What `faster` divides by the method's time."""
WARM = "HiGHS, warm"
"""What `warm HiGHS over it` divides by the method's time, hour by hour."""


@dataclass(frozen=True)
class Hour:
    """One moment of decision of B environments."""

    decision: Decision
    demand: Tensor
    """MW, float64 `[B, nb]`."""
    tape: Tape
    past: Past
    t: int

    @cached_property
    def snapshot(self) -> Snapshot:
        """What a control room measures, of the first environment."""
        clock = self.tape.clock[self.t, 0].tolist()
        return Snapshot(
            load=self.tape.forecast[self.t, 0].numpy(),
            last_load=self.decision.context["last_load"][0].numpy(),
            output=self.past.output[0].numpy(),
            flow=self.past.flow[0].numpy(),
            hour=math.atan2(*clock) * 12 / math.pi,
            residual=float(self.past.residual[0]),
            available=self.tape.most[self.t, 0].numpy(),
        )


Method = Callable[[Hour], Tensor]


def still(decision: Decision) -> Tensor:
    """The chance of policies that use none, `[B, N, 2]`."""
    return torch.zeros(*decision.observation.mask.shape[:2], 2)


def hours(env: PowerEnv, policy: NetworkPolicy, count: int) -> list[Hour]:
    """The first hours that the policy lives through."""
    decision, found = env.reset(), []
    nothing = still(decision)
    for _ in range(count):
        found.append(Hour(decision, env.tape.load[env.t].double(), env.tape, env.past, env.t))
        decision = env.step(policy.act(decision, nothing)).decision
    return found


def parametrised(grid: dcopf.Grid) -> tuple[cp.Problem, cp.Variable, cp.Parameter, cp.Parameter]:
    """DC optimal power flow in units of `UNIT` MW: problem, outputs, flows that loads cause, total demand."""
    x, load, total = cp.Variable(len(grid.pmin)), cp.Parameter(len(grid.limit)), cp.Parameter()
    flow = (grid.ptdf @ grid.units).numpy() @ x - load
    low, high, limit = ((t / UNIT).numpy() for t in (grid.pmin, grid.pmax, grid.limit))
    rows = [cp.sum(x) == total, flow <= limit, flow >= -limit, x >= low, x <= high]
    return cp.Problem(cp.Minimize(grid.linear.numpy() @ x), rows), x, load, total


def one_by_one(grid: dcopf.Grid) -> Method:
    """cvxpy with Clarabel, instance after instance."""
    problem, x, load, total = parametrised(grid)

    def solve(hour: Hour) -> Tensor:
        found = []
        for demand in hour.demand:
            load.value, total.value = (demand @ grid.ptdf.mT / UNIT).numpy(), float(demand.sum()) / UNIT
            problem.solve(solver=cp.CLARABEL)
            found.append(UNIT * np.asarray(x.value))
        return torch.from_numpy(np.stack(found))

    return solve


def checked(grid: dcopf.Grid, solver: Any) -> Method:
    """`ConvexLayer`; with Clarabel's own tolerances: those that derivatives need leave some of these unsolved."""
    problem, x, load, total = parametrised(grid)
    own = dict.fromkeys(TOLERANCES, CLARABELS) if solver == "clarabel" else {}
    layer = ConvexLayer(problem, [load, total], [x], solver=solver, solver_args=own)
    return lambda hour: UNIT * layer(hour.demand @ grid.ptdf.mT / UNIT, hour.demand.sum(-1) / UNIT)[0]


def solvers(grid: dcopf.Grid) -> dict[str, Method]:
    """Everything that solves the program."""
    highs, binding, direct = Highs(grid), Binding(grid), Direct(grid)
    plain = Layer(grid, solve_method="Clarabel", n_jobs_forward=1, **dict.fromkeys(TOLERANCES, CLARABELS))
    return {
        WARM: lambda hour: highs.forward(hour.demand),
        "HiGHS, binding": lambda hour: binding.forward(hour.demand),
        "interior point": lambda hour: direct.forward(hour.demand),
        "cvxpy, Clarabel": one_by_one(grid),
        "cvxpylayers": lambda hour: plain.forward(hour.demand),
        "layer, clarabel": checked(grid, "clarabel"),
        "layer, interior-point": checked(grid, "interior-point"),
    }


def policies(env: PowerEnv, policy: NetworkPolicy) -> dict[str, Method]:
    """The parts of what an operator would run."""

    def measured(hour: Hour) -> Tensor:
        return policy.act(decide(env.grid, env.sight, hour.tape, hour.past, hour.t), still(hour.decision))

    return {
        "network": lambda hour: policy.team.actor.outputs(hour.decision.observation),
        "policy": lambda hour: policy.act(hour.decision, still(hour.decision)),
        "measurements, policy": measured,
    }


def exported(settings: dict[str, Any], place: Path) -> Method:
    """The policy as an operator has it; it is trained for a step, which its time does not depend on."""
    plan = launch.resolve("power", {"settings": settings, "device": "cpu", "iterations": 1, "num_envs": 2})
    trainer, run = start(plan, place / "run")
    with torch.enable_grad():
        train(trainer, run, None, lambda metrics: None)
    export(run.path, place / "out", decisions=500)
    policy = Policy.load(place / "out")
    scales = Scales.read(policy.description["plain"])

    def decided(hour: Hour) -> Tensor:
        return torch.from_numpy(policy.run(hour.snapshot.seen(scales), ("greedy",))[0])[None]

    return decided


def timed(methods: dict[str, Method], every: Sequence[Hour]) -> tuple[dict[str, list[float]], dict[str, list[Tensor]]]:
    """Seconds and results of each method in each hour but the first, methods in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    results: dict[str, list[Tensor]] = {name: [] for name in methods}
    for before, hour in pairwise(every):
        for name, method in methods.items():
            method(before)
            start = time.perf_counter()
            result = method(hour)
            seconds[name].append(time.perf_counter() - start)
            results[name].append(result)
    return seconds, results


def row(name: str, batch: int, seconds: dict[str, list[float]], dearer: float | None) -> dict[str, Any]:
    """Median, 10 and 90 % of a decision for the batch in ms, times as fast as others, cost over HiGHS'."""
    low, middle, high = 1e3 * np.quantile(seconds[name], [0.1, 0.5, 0.9])
    faster = 1e3 * float(np.median(seconds[AGAINST])) / middle
    paired = float(np.median(np.array(seconds[WARM]) / seconds[name]))
    times = {"median": middle, "10 %": low, "90 %": high, "an instance": middle / batch, "faster": faster}
    return {"batch": batch, "method": name, **times, "warm HiGHS over it": paired, "cost over HiGHS'": dearer}


@torch.no_grad()
def main() -> None:
    """One JSON line a batch size and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="case118_ieee__api", help="of PGLib-OPF, with linear costs")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 256])
    parser.add_argument("--hours", nargs="+", type=int, default=[200, 12], help="timed, for each batch size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    grid = dcopf.pglib(options.case)
    settings = {"network": network(options.case), "load": {"high": HIGHEST}}
    plan = launch.resolve("power", {"settings": settings, "device": "cpu"})
    trainer = Trainer(plan.run, find(plan.run.algorithm), plan.task)
    policy = NetworkPolicy(trainer.team, "greedy")
    for batch, count in zip(options.batch, options.hours, strict=True):
        env = plan.domain.make_env(plan.config, batch, torch.device("cpu"), 0)
        exact, every = solvers(grid), hours(env, policy, count + 1)
        methods = {**policies(env, policy), **exact}
        if batch == 1:
            for hour in every:
                _ = hour.snapshot  # as it comes from the control room
            with tempfile.TemporaryDirectory() as place:
                methods["measurements, exported"] = exported(settings, Path(place))
        seconds, results = timed(methods, every)
        best = torch.stack(results[WARM]) @ grid.linear
        for name in seconds:
            cost = torch.stack(results[name]) @ grid.linear if name in exact else None
            emit(row(name, batch, seconds, None if cost is None else float((cost / best - 1).abs().max())))


if __name__ == "__main__":
    published(main)
