"""Instances and moments that the tests of this folder share, and what they look at in them."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Decision, Step
from dgpg_cloud import dynamics
from dgpg_cloud.arrivals import Tape, draw
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import Instance
from dgpg_cloud.models.potentials import water_fill
from dgpg_cloud.workload import Pool

CPU = torch.device("cpu")

# Few and fixed, because an instance takes longer to build than a small episode to play. Scarce slots and
# queue places make jobs wait and queues refuse.
SMALL = tuple(
    Config(
        num_agents=agents, num_machines=machines, candidates=candidates, horizon=horizon, seed=seed,
        workload={"longest": longest, "load": load, "arrivals": arrivals, "swing": 0.1},
        machines={"run_slots": slots, "queue_places": places},
    )
    for agents, machines, candidates, horizon, seed, longest, load, arrivals, slots, places in (
        (3, 4, 2, 4, 0, 16, 0.4, 0.5, 4, 3),
        (4, 3, 3, 1, 1, 16, 0.6, 0.5, 2, 1),
        (5, 5, 1, 6, 2, 24, 0.7, 0.8, 16, 32),
        (6, 4, 3, 7, 3, 16, 0.6, 0.2, 1, 2),
        (20, 16, 8, 5, 4, 32, 0.7, 0.6, 16, 32),
    )
)  # fmt: skip
seeds = st.integers(0, 2**48)
some = settings(max_examples=settings().max_examples // 3)  # a whole episode an example


def leaves(record: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor (and None) of a Step, Decision, Observation or Context, by name."""
    if record is None or isinstance(record, Tensor):
        yield name, record
    elif isinstance(record, Mapping):
        for key, value in record.items():
            yield from leaves(value, f"{name}.{key}")
    else:
        for field in fields(record):
            yield from leaves(getattr(record, field.name), f"{name}.{field.name}")


def assert_same(one: Any, other: Any, env: slice = slice(None)) -> None:
    """Bit for bit; `env` picks environments of `other`."""
    for (name, x), (_, y) in zip(leaves(one), leaves(other), strict=True):
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.dtype == y.dtype and torch.equal(x, y[env]), name


def any_actions(rng: np.random.Generator, env: CloudEnv) -> Tensor:
    """Allowed or not."""
    return torch.from_numpy(rng.integers(env.instance.config.candidate_count, size=(env.num_envs, env.num_agents)))


def pick(rng: np.random.Generator, mask: Tensor) -> Tensor:
    """A random one of the choices in the mask; 0 where there is none."""
    return (torch.from_numpy(rng.random(mask.shape)) * mask).argmax(-1)


def placed(env: CloudEnv, actions: Tensor) -> tuple[Step, Tensor]:
    """A step, and who placed a job in it; the machines of an episode stay readable after its end."""
    cluster = env.cluster
    before = cluster.placed.clone()
    return env.step(actions), cluster.placed > before


def loaded(config: Config, state: dict[str, Any], num_envs: int = 1) -> tuple[CloudEnv, Decision]:
    env = domain.make_env(config, num_envs, CPU, 999)
    return env, env.load_state_dict(copy.deepcopy(state))


def only(config: Config, **weights: float) -> Config:
    values = {"waiting": 0.0, "price": 0.0, "stranded": 0.0, **weights}
    return Config.model_validate({**config.model_dump(), "weights": values})


def hand_made(**weights: float) -> Instance:
    """Two machines, two dispatchers that reach both; prices 1 and 3, the second at half the speed."""
    config = Config(
        num_agents=2, num_machines=2, candidates=2, horizon=4, weights=weights or Config().weights,
        workload={"longest": 4},
    )  # fmt: skip
    demand = np.array([[1000, 4096], [2000, 2048], [4000, 4096]])
    return Instance(
        config=config,
        capacity=np.array([[4000, 8192], [8000, 16384]]),
        speed_permille=np.array([1000, 500]),
        price=np.array([1.0, 3.0]),
        candidates=np.array([[0, 1], [1, 0]]),
        graph=np.array([[0, 1], [1, 0]]),
        pool=Pool(demand, np.ones(3), ((),), np.zeros(3, np.int64)),
        base_steps=np.array([3, 2, 1]),
        allowed=np.ones((1, 2), bool),
        shape=np.arange(3),
        reach=np.ones((3, 2), bool),
        hosts=np.array([[0, 1]] * 3),
        host_count=np.array([2, 2, 2]),
        notes=(),
        rows=np.arange(2),
    )


def with_jobs(
    env: CloudEnv, rows: list[list[int]], arrived: list[list[int]], base: dict[int, int] | None = None
) -> Decision:
    """Put the environment at step 0 of an episode with these jobs, rows of the pool, and empty machines."""
    pool, steps = env.instance.pool, env.instance.base_steps.copy()
    for row, value in (base or {}).items():
        steps[row] = value
    row, agents = np.array(rows).reshape(-1), len(rows)
    tape = Tape(
        demand=torch.from_numpy(np.concatenate([pool.demand[row], np.ones((len(row), 1), np.int64)], 1)).int(),
        base_steps=torch.from_numpy(steps[row]).int(),
        kind=torch.zeros(len(row), dtype=torch.int64),
        arrived=torch.tensor(arrived).unsqueeze(1),
        seat=torch.full((len(row),), -1),
        older=torch.zeros(1, agents, dtype=torch.int64),
        rank=torch.arange(agents).expand(env.horizon, 1, agents).contiguous(),
        length=len(rows[0]),
    )
    state = env.state_dict()
    cluster = dynamics.empty(tape, env.plant.hardware, 1, agents)
    state |= {"t": 0, "length": tape.length, "cluster": cluster.tensors()}
    state["tape"] = {name: x for name, x in vars(tape).items() if isinstance(x, Tensor)}
    return env.load_state_dict(state)


def episode_loads(instance: Instance, episodes: int) -> np.ndarray:
    """Work that arrives in a step over capacity, by resource, `[episodes, R]`; spread as capacity is."""
    share = instance.capacity / instance.capacity.sum(0)
    last, result = instance.config.horizon, []
    for seed in range(episodes):
        jobs = draw(np.random.default_rng(seed), instance)
        new = jobs.arrival >= 0
        steps = -(-jobs.base_steps[new, None] * 1000 // instance.speed_permille)
        work = instance.pool.demand[jobs.row[new]] * (steps @ share)
        result.append(work.sum(0) / (last + 1) / instance.capacity.sum(0))
    return np.array(result)


def off_kinks(base: Tensor, capacity: Tensor, total: Tensor) -> bool:
    """Is every machine's level clearly above or below the water?"""
    able = capacity > 0
    water = (water_fill(base, capacity, total)[able] / capacity[able]).min()
    return bool(((base[able] / capacity[able] - water).abs() > 1e-2).all())
