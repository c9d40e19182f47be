"""The arrivals of an episode of synthetic jobs, and how arrivals are laid out; traces are in `test_replay.py`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg_cloud.arrivals import Jobs, draw, tape
from dgpg_cloud.config import Config
from dgpg_cloud.instance import build
from dgpg_cloud.workload import steps_on

some = settings(max_examples=settings().max_examples // 3)  # dozens of episodes an example


# --- arrivals ----------------------------------------------------------------------------------


def test_synthetic_arrivals_follow_the_cycle() -> None:
    """At most one a dispatcher and step before some are handed on; the mean rate; its swing over a period."""
    config = Config(num_agents=40, horizon=128, workload={"arrivals": 0.5, "swing": 0.6, "period": 128, "load": 0.3})
    instance = build(config)
    counts = []
    for seed in range(100):
        jobs = draw(np.random.default_rng(seed), instance)
        counts.append(np.bincount(jobs.arrival[(jobs.arrival >= 0) & (jobs.arrival < 128)], minlength=128) / 40)
    rates = np.array(counts)
    # One period exactly: a mean of 512,000 coin flips.
    assert rates.mean() == pytest.approx(0.5, abs=5 * 0.5 / 512_000**0.5)
    # First Fourier coefficient of each episode: rate x swing x period / 2, whatever the phase.
    swing = np.abs(np.fft.rfft(rates, axis=1)[:, 1]) / 64 / 0.5
    assert swing.mean() == pytest.approx(0.6, rel=0.03)
    phase = np.exp(1j * np.angle(np.fft.rfft(rates, axis=1)[:, 1]))
    assert abs(phase.mean()) < 4 / 10  # 100 uniform phases: 4 standard errors


@some
@given(seed=st.integers(0, 2**48))
def test_what_one_episode_draws(seed: int) -> None:
    config = Config(num_agents=10, horizon=20, workload={"longest": 12, "load": 0.4})
    instance = build(config)
    jobs = draw(np.random.default_rng(seed), instance)
    order = np.lexsort((jobs.arrival, jobs.dispatcher))
    assert np.array_equal(order, np.arange(len(order)))
    assert jobs.arrival.min() >= -12 and jobs.arrival.max() <= 20
    full = instance.base_steps[jobs.row]
    older = jobs.arrival < 0
    assert np.array_equal(jobs.base_steps[~older], full[~older])
    # An older job has run since it came at the speed of one of its dispatcher's candidates, and is still not done.
    permille = instance.speed_permille[instance.graph[jobs.dispatcher]]
    left = steps_on(full[:, None], permille) + jobs.arrival[:, None]
    possible = np.where(left > 0, np.maximum(left * permille // 1000, 1), 0)
    assert (possible == jobs.base_steps[:, None]).any(1)[older].all()
    assert (jobs.base_steps > 0).all()
    assert (np.sort(jobs.rank, axis=1) == np.arange(10)).all() and jobs.rank.shape == (20, 10)
    again = draw(np.random.default_rng(seed), instance)
    assert all(np.array_equal(getattr(jobs, name), getattr(again, name)) for name in vars(jobs))


def test_every_order_within_a_step_is_as_likely() -> None:
    instance = build(Config(num_agents=3, num_machines=4, horizon=600, workload={"longest": 8}))
    rank = np.concatenate([draw(np.random.default_rng(seed), instance).rank for seed in range(4)])
    _, counts = np.unique(rank, axis=0, return_counts=True)
    # 2400 orders of 6: chi-square with 5 degrees of freedom, 20.5 at the 0.1 % level.
    assert len(counts) == 6 and ((counts - 400) ** 2 / 400).sum() < 20.5


def test_a_tape_by_hand() -> None:
    config = Config(num_agents=3, num_machines=4, horizon=2, workload={"longest": 8})
    instance = build(config)
    rank = np.array([[0, 1, 2], [2, 1, 0]])
    first = Jobs(
        dispatcher=np.array([0, 0, 0, 2]), row=np.array([5, 6, 7, 8]), arrival=np.array([-3, -1, 1, 2]),
        base_steps=np.array([9, 2, 3, 4]), seat=np.array([3, -1, -1, -1]), rank=rank,
    )  # fmt: skip
    second = Jobs(
        dispatcher=np.array([1]),
        row=np.array([4]),
        arrival=np.array([0]),
        base_steps=np.array([6]),
        seat=np.array([-1]),
        rank=rank[::-1],
    )
    made = tape([first, second], instance, torch.device("cpu"))
    assert made.length == 3
    assert made.seat.tolist() == [3] + [-1] * 17
    assert made.older.tolist() == [[2, 0, 0], [0, 0, 0]]
    assert made.arrived.tolist() == [[[2, 0, 0], [0, 1, 0]], [[3, 0, 0], [0, 1, 0]], [[3, 0, 1], [0, 1, 0]]]
    assert made.rank.tolist() == [[[0, 1, 2], [2, 1, 0]], [[2, 1, 0], [0, 1, 2]]]
    base, demand = made.base_steps.view(2, 3, 3), made.demand.view(2, 3, 3, 3)
    assert base[0, 0].tolist() == [9, 2, 3] and base[0, 2, 0] == 4 and base[1, 1, 0] == 6
    for place, row in (((0, 0, 0), 5), ((0, 0, 1), 6), ((0, 0, 2), 7), ((0, 2, 0), 8), ((1, 1, 0), 4)):
        assert demand[place].tolist() == [*instance.pool.demand[row], 1]


def test_an_episode_starts_with_as_many_jobs_running_as_run_at_any_time() -> None:
    """Little's law: jobs that come in a step times the steps they run, long ones included."""
    config = Config(num_agents=20, horizon=4, workload={"longest": 200, "load": 0.4, "swing": 0.0})
    instance = build(config)
    steps = steps_on(instance.base_steps[:, None], instance.speed_permille[instance.graph].reshape(1, -1))
    expected = 0.5 * 20 * steps.mean()
    counts = np.array([(draw(np.random.default_rng(seed), instance).arrival < 0).sum() for seed in range(400)])
    # A job that comes in the step before has run one step of its own: those of one step never are older.
    assert counts.mean() == pytest.approx(expected - 0.5 * 20, abs=4 * counts.std() / 20)
    long = steps.max(1) > 50
    assert long.any()
