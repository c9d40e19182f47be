"""What a step costs, by hand and by what waits, and what a dispatcher is billed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import build
from dgpg_cloud.mapping import PlacementMapping
from dgpg_cloud.plant import make
from dgpg_cloud.reward import bill, machine_cost

from .made import CPU, SMALL, any_actions, hand_made, only, seeds, some, with_jobs


@some
@given(config=st.sampled_from(SMALL).map(lambda c: only(c, waiting=1.0)), seed=seeds)
def test_jobs_waiting_summed_over_steps_are_the_total_waiting_time(config: Config, seed: int) -> None:
    """Little's law, exactly: a job that starts in the step of its arrival has not waited."""
    env = domain.make_env(config, 3, CPU, seed)
    rng = np.random.default_rng(seed)
    env.reset()
    tape, cluster = env.tape, env.cluster  # the step that ends the episode leaves them as they are then
    reward, local = torch.zeros(3), torch.zeros(3, config.num_agents)
    for _ in range(config.horizon):
        step = env.step(any_actions(rng, env))
        assert step.local_reward is not None
        reward += step.reward
        local += step.local_reward
    start = cluster.start.view(3, config.num_agents, tape.length)
    waited = torch.zeros(3, config.num_agents)
    for b, n in np.ndindex(3, config.num_agents):
        came = np.repeat(np.arange(config.horizon + 1), np.diff(tape.arrived[:, b, n], prepend=0))
        for i, arrival in enumerate(came):  # jobs of before the episode wait from its start
            until = int(start[b, n, i]) if start[b, n, i] >= 0 else config.horizon
            waited[b, n] += until - arrival
    assert torch.equal(-local, waited)
    assert torch.equal(-reward, waited.sum(-1))


def test_an_episode_by_hand() -> None:
    env = CloudEnv(hand_made(waiting=0.2, price=1.0, stranded=3.0), 1, CPU, 0)
    env.reset()
    with_jobs(env, [[0, 1], [1, 2]], [[1, 1], [2, 2], [2, 2], [2, 2], [2, 2]])

    # Both first jobs to machine 0: 3/4 of its vCPU and 6/8 of its memory, nothing stranded, one machine on.
    # Billed: half of a machine of price 1 for 3 and for 2 steps.
    step = env.step(torch.tensor([[0, 1]]))
    assert step.state[0].flatten().tolist() == pytest.approx([3, 6, 3 + 2 * 2, 4 * 3 + 2 * 2, 0, 0, 0, 0])
    assert step.reward.item() == pytest.approx(-1.0)
    assert step.local_reward.flatten().tolist() == pytest.approx([-0.5 * 3, -0.5 * 2])

    # The next of dispatcher 0 finds 1 vCPU free and waits; the other's takes half of the vCPU and a quarter
    # of the memory of machine 1, which strands a quarter of it, and runs 2 steps at half the speed.
    step = env.step(torch.tensor([[0, 0]]))
    assert step.state[0].flatten().tolist() == pytest.approx([5, 8, 2 + 2 + 4, 8 + 2 + 4, 4, 4, 4, 4])
    assert step.reward.item() == pytest.approx(-(0.2 * 1 + (1 + 3) + 3 * 3 * 0.25))
    assert step.local_reward.flatten().tolist() == pytest.approx([-(0.2 + 0.5 * 2), -0.5 * 2 * 3])

    # Job 1 of dispatcher 1 has run its 2 steps, so the waiting one starts.
    step = env.step(torch.tensor([[0, 0]]))
    assert step.state[0].flatten().tolist() == pytest.approx([3, 6, 1 + 4, 4 + 4, 4, 4, 2, 2])
    assert step.reward.item() == pytest.approx(-((1 + 3) + 3 * 3 * 0.25))
    assert step.local_reward.tolist() == [[0, 0]]

    # What is not of a machine is the jobs in buffers, and there are none.
    assert step.block_cost.sum(-1).tolist() == pytest.approx((-step.reward).tolist())

    # Machine 1 is empty and off; machine 0 runs one job, half of its vCPU and a quarter of its memory.
    step = env.step(torch.tensor([[0, 0]]))
    assert step.state[0].flatten().tolist() == pytest.approx([2, 2, 2, 2, 0, 0, 0, 0])
    assert step.reward.item() == pytest.approx(-(1 + 3 * 1 * 0.25))


def test_costs_by_hand() -> None:
    weights = Config(weights={"waiting": 0.5, "price": 2.0, "stranded": 4.0}).weights
    cost = machine_cost(
        queued=torch.tensor([[1, 0, 2], [0, 0, 0]]),
        on=torch.tensor([[True, False, True], [True, False, False]]),
        used=torch.tensor([[[1.0, 4.0], [0.0, 0.0], [2.0, 0.0]], [[0.0, 4.0], [0.0, 0.0], [0.0, 0.0]]]),
        inverse=torch.tensor([[0.5, 0.125], [1.0, 1.0], [0.25, 0.0625]]),
        price=torch.tensor([1.0, 10.0, 2.0]),
        weights=weights,
    )
    # Machine 0 uses half of both; machine 2, at price 2, half of its vCPU and no memory. Then machine 0 uses half
    # of its memory and no vCPU, which strands as much as the reverse.
    assert cost.tolist() == [[0.5 * 1 + 2 * 1, 0, 0.5 * 2 + 2 * 2 + 4 * 0.5 * 2], [2 * 1 + 4 * 0.5 * 1, 0, 0]]
    own = bill(
        placed=torch.tensor([[True, False]]),
        share=torch.tensor([[0.25, 0.5]]),
        steps=torch.tensor([[3.0, 3.0]]),
        price=torch.tensor([[4.0, 4.0]]),
        weights=weights,
    )
    assert own.tolist() == [[2 * 4 * 0.25 * 3, 0]]


def test_without_the_bill_a_dispatcher_pays_for_its_waiting_jobs_alone() -> None:
    config = Config(num_agents=6, horizon=6, local_reward="waiting", workload={"load": 0.6})
    billed, waiting = (
        CloudEnv(build(config.model_copy(update={"local_reward": how})), 2, CPU, 3) for how in ("bill", "waiting")
    )
    actions = torch.zeros(2, 6, dtype=torch.int64)
    billed.reset()
    waiting.reset()
    for _ in range(6):
        paid, less = billed.step(actions).local_reward, waiting.step(actions).local_reward
        assert paid is not None and less is not None
        assert (paid <= less).all()
        assert torch.allclose(less / 0.2, (less / 0.2).round(), atol=1e-5)


def test_a_machine_is_on_while_it_runs_anything() -> None:
    env = CloudEnv(hand_made(waiting=0.0, price=1.0, stranded=0.0), 1, CPU, 0)
    env.reset()
    with_jobs(env, [[2, 2], [1, 1]], [[1, 0], [1, 1], [1, 1], [1, 1], [1, 1]])
    # One step of a job on machine 0, then two of another; then it is off.
    costs = [-env.step(torch.tensor([[0, 1]])).reward.item() for _ in range(4)]
    assert costs == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("permille", "base"), [(1000, 3), (500, 3), (901, 2), (1104, 5), (1300, 39), (1050, 63), (650, 39)]
)
def test_a_dispatcher_is_billed_for_the_steps_that_its_job_runs(permille: int, base: int) -> None:
    """Some quotients are whole, where float32 arithmetic gives a little more: 39 / 1.3 = 30 steps."""
    instance = replace(hand_made(waiting=0.0, price=1.0, stranded=0.0), speed_permille=np.array([permille, 1000]))
    env = CloudEnv(instance, 1, CPU, 0)
    env.reset()
    with_jobs(env, [[0], [0]], [[1, 0]] * 5, base={0: base})
    step = env.step(torch.tensor([[0, 0]]))
    runs = int(env.cluster.finish[0] - env.cluster.start[0])
    assert runs == -(-base * 1000 // permille)
    assert step.local_reward is not None
    assert -step.local_reward[0, 0].item() / 0.5 == pytest.approx(runs)


@given(st.integers(0, 99), st.integers(1, 6))
def test_machines_and_buffers_are_all_of_the_cost(seed: int, agents: int) -> None:
    config = Config(num_agents=agents, horizon=8, workload={"load": 0.9}, machines={"queue_places": 1})
    env, chance = CloudEnv(build(config), 2, CPU, seed), torch.Generator().manual_seed(seed)
    decision = env.reset()
    for _ in range(7):
        actions = torch.randint(decision.observation.mask.shape[-1], (2, agents), generator=chance)
        step = env.step(actions)
        buffered = (env.tape.arrived[env.t - 1] - env.cluster.placed).sum(-1)
        rest = -step.reward - step.block_cost.sum(-1)
        torch.testing.assert_close(rest, config.weights.waiting * buffered.float(), rtol=1e-4, atol=1e-4)
        decision = step.decision


def test_work_of_choices_is_what_capacity_for_it_costs() -> None:
    """All capacity filled for one step is work worth what all machines cost in it, whatever they are."""
    instance = build(Config(num_agents=6, horizon=6))
    mapping, plant = PlacementMapping(instance), make(instance, CPU)
    work = plant.capacity * plant.speed.unsqueeze(-1)
    change = torch.cat([plant.capacity, work], -1).unsqueeze(0)
    torch.testing.assert_close(mapping.block_work(change, 1.0).sum(-1), plant.price.sum().unsqueeze(0))
    job = torch.tensor([2.0, 8.0])  # of three steps: 1 + gamma + gamma^2 of them count
    one = torch.zeros(1, 6, 4)
    one[0, 1] = torch.cat([job, 3 * job])
    ratio = mapping.block_work(one, 0.5) / mapping.block_work(one, 1.0).clamp(min=1e-9)
    assert ratio[0, 1].item() == pytest.approx((1 + 0.5 + 0.25) / 3)
