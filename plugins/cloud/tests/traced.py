"""Small traces on a few machines: files, settings and pools."""

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dgpg.domain import validate
from dgpg_cloud.config import Config
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.replay import Fleet
from dgpg_cloud.workload import Pool

BURSTS = {
    "even": [15.0 * i for i in range(2000)],
    "bursts": [600 * (i // 40) + 1.5 * (i % 40) for i in range(2000)],
    "at once": [600.0 * (i // 40) for i in range(2000)],
}
"""Forty jobs every ten minutes: one by one, within a minute, at one moment."""
traces = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 900), st.integers(1, 8)), min_size=2, max_size=40)
"""Rows of a trace: time since the one before, run time, vCPUs."""


def pool_of(submit: list[float], duration: list[float], vcpu: list[int] | None = None, first: int = 0) -> Pool:
    rows = len(submit)
    demand = np.array([[1000 * c, 1024] for c in vcpu or [1] * rows])
    return Pool(demand, np.array(duration, float), ((),), np.zeros(rows, np.int64), np.array(submit, float), first)


def one_speed(vcpu: int = 100, slots: int = 1000) -> Fleet:
    return Fleet(np.array([1000]), np.array([[1000.0 * vcpu, 1e9, slots]]))


def trace(folder: Path, submit: list[float], duration: list[float], vcpu: list[int] | None = None) -> Path:
    path = folder / "jobs.csv"
    rows = zip(submit, duration, vcpu or [1] * len(submit), strict=True)
    path.write_text("submit,duration,cpu,memory_gib\n" + "".join(f"{s},{d},{c},1\n" for s, d, c in rows))
    return path


def machines(folder: Path, speed: float = 1.0) -> Path:
    path = folder / "machines.csv"
    path.write_text(f"cpu,memory_gib,price,speed,count\n16,64,1,{speed},8\n")
    return path


def config_of(folder: Path, path: Path, horizon: int = 8, agents: int = 4, **workload: Any) -> Config:
    values = {"num_agents": agents, "horizon": horizon, "machines": {"file": machines(folder), "run_slots": 64}}
    return validate(Config, {**values, "workload": {"trace": path, **workload}}, "")


def uneven(folder: Path) -> Instance:
    """A trace of 500 jobs at uneven times, some of them long, a long hole in the middle."""
    rng = np.random.default_rng(0)
    submit = rng.exponential(10, 500).cumsum().round()
    submit[250:] += 1_000_000
    duration = np.where(rng.random(500) < 0.1, 2500, (rng.lognormal(4, 1, 500) + 1).round())
    path = trace(folder, submit.tolist(), duration.tolist(), rng.integers(1, 5, 500).tolist())
    return build(config_of(folder, path, 30, 10, load=0.6))
