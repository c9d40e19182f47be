"""What is told beside the cost: waits, use, machines and money, by hand and by counting job by job."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.measuring import play
from dgpg_cloud.baselines import baselines
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.measures import not_started, of_waits, waits

from .made import CPU, SMALL, any_actions, hand_made, seeds, some, with_jobs


def test_an_episode_by_hand() -> None:
    env = CloudEnv(hand_made(waiting=0.2, price=1.0, stranded=3.0), 1, CPU, 0)
    env.reset()
    with_jobs(env, [[0, 1], [1, 2]], [[1, 1], [2, 2], [2, 2], [2, 2], [2, 2]])
    told = []
    for action in ([0, 1], [0, 0], [0, 0], [0, 0]):
        told.append({name: x.item() for name, x in env.step(torch.tensor([action])).measures.items()})

    # Both first jobs on machine 0, of 3 of 12 vCPUs and 6 of 24 GiB.
    first = told[0]
    assert (first["use_vcpu"], first["use_memory"], first["use_slots"]) == pytest.approx((3 / 12, 6 / 24, 2 / 32))
    assert (first["machines_on"], first["usd_per_hour"]) == (1, 1)
    assert first["stranded_share"] == pytest.approx(0, abs=1e-6)
    # One job waits in the queue of machine 0, and machine 1, at three of four dollars, strands a quarter of itself.
    second = told[1]
    assert (second["waiting_buffers"], second["waiting_queues"]) == (0, 1)
    assert (second["machines_on"], second["usd_per_hour"]) == (2, 4)
    assert second["stranded_share"] == pytest.approx(3 * 0.25 / 4)
    # Four jobs of equal weight, one of which waited a step: their mean over four steps is told, all in the last.
    assert [x["wait_mean_steps"] for x in told[:-1]] == [0, 0, 0]
    assert told[-1]["wait_mean_steps"] / 4 == pytest.approx(0.25)
    assert told[-1]["wait_p50_steps"] == 0 and told[-1]["wait_over_limit"] == 0 == told[-1]["not_started"]
    assert told[-1]["wait_p95_steps"] / 4 == pytest.approx(0.85)  # of 0, 0, 0, 1: 0.15 of the way from the last
    assert next(iter(told[0])) == "wait_mean_steps"  # the one that a table shows


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_waits_are_what_was_waited_job_by_job(config: Config, seed: int) -> None:
    """Those of the episode's own jobs; with those of before, they are the jobs waiting summed over steps."""
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    env.reset()
    tape, cluster, total = env.tape, env.cluster, torch.zeros(2)
    for _ in range(config.horizon):
        measures = env.step(any_actions(rng, env)).measures
        total += measures["waiting_buffers"] + measures["waiting_queues"]
    found = waits(cluster, tape, config.horizon).view(2, config.num_agents, -1)
    start = cluster.start.view(2, config.num_agents, -1)
    for b in range(2):
        own, older, late = [], 0, 0
        for n in range(config.num_agents):
            came = np.repeat(np.arange(config.horizon + 1), np.diff(tape.arrived[:, b, n], prepend=0))
            for i, at in enumerate(came):
                until = int(start[b, n, i]) if start[b, n, i] >= 0 else config.horizon
                if i < tape.older[b, n]:
                    older += until
                    assert found[b, n, i].isnan()
                elif at < config.horizon:
                    own.append(until - at)
                    late += bool(start[b, n, i] < 0)
                    assert found[b, n, i] == until - at
        assert int((~found[b].isnan()).sum()) == len(own)
        assert total[b] == sum(own) + older
        assert not_started(cluster, found.flatten(1))[b].item() == pytest.approx(late / max(len(own), 1))
        if own:
            told = of_waits(found[b].flatten().unsqueeze(0), 3.0, ("s", 2.0))
            assert told["wait_mean_s"].item() == pytest.approx(2 * np.mean(own))
            assert told["wait_over_limit"].item() == pytest.approx(np.mean(2 * np.array(own) > 3))
            for q in (50, 95, 99):
                assert told[f"wait_p{q}_s"].item() == pytest.approx(np.quantile(2 * np.array(own), q / 100), abs=1e-4)


def test_an_episode_without_jobs_has_waited_for_nothing() -> None:
    told = of_waits(torch.full((3, 5), torch.nan), 1.0, ("steps", 1.0))
    assert all(x.tolist() == [0, 0, 0] for x in told.values())


def test_an_evaluation_tells_the_mean_over_episodes() -> None:
    config = Config(num_agents=6, horizon=12, workload={"load": 0.6})
    rule = next(r for r in baselines(config) if r.name == "random")
    played = play(domain, config, rule, 5, 3, CPU)
    assert all(x.shape == (5,) for x in played.measures.values())
    assert 0 < played.measures["wait_mean_steps"].mean() < 12
    assert (played.measures["wait_p50_steps"] <= played.measures["wait_p99_steps"]).all()
    assert (played.measures["use_vcpu"] < 1).all() and (played.measures["machines_on"] <= 6).all()
