"""The environment: repeatable, independent of the batch, honest about what it shows and what it charges."""

import copy
import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dgpg.types import Context, Decision, Influence, Observation, Step
from dgpg_cloud import dynamics
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.observation import sizes
from dgpg_cloud.reward import bill, step_cost
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
        (4, 3, 3, 1, 1, 16, 0.4, 0.5, 2, 1),
        (5, 5, 1, 6, 2, 24, 0.7, 0.8, 16, 32),
        (6, 4, 3, 7, 3, 16, 0.5, 0.4, 1, 2),
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


# --- randomness --------------------------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_the_seed_decides_everything(config: Config, seed: int) -> None:
    one, other = (domain.make_env(config, 2, CPU, seed) for _ in range(2))
    rng = np.random.default_rng(seed)
    assert_same(one.reset(), other.reset())
    for _ in range(2 * config.horizon + 1):
        actions = any_actions(rng, one)
        assert_same(one.step(actions), other.step(actions))


@some
@given(config=st.sampled_from(SMALL), seed=seeds, envs=st.integers(2, 5), data=st.data())
def test_an_environment_of_a_batch_is_the_one_alone(config: Config, seed: int, envs: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, envs - 1), label="b")
    batch, alone = domain.make_env(config, envs, CPU, seed), domain.make_env(config, 1, CPU, seed + b)
    rng = np.random.default_rng(seed)
    assert_same(alone.reset(), batch.reset(), slice(b, b + 1))
    for _ in range(3 * config.horizon + 1):
        actions = any_actions(rng, batch)
        assert_same(alone.step(actions[b : b + 1]), batch.step(actions), slice(b, b + 1))


@pytest.mark.parametrize("config", SMALL)
def test_a_warm_start_does_not_depend_on_the_batch(config: Config) -> None:
    """Others may have more jobs of before the episode, and so need more rounds to place them."""
    batch = domain.make_env(config, 16, CPU, 0)
    batch.reset()
    for b in range(16):
        alone = domain.make_env(config, 1, CPU, b)
        alone.reset()
        rows = slice(b * config.machine_count, (b + 1) * config.machine_count)
        assert torch.equal(alone.cluster.placed, batch.cluster.placed[b : b + 1])
        assert torch.equal(alone.cluster.used, batch.cluster.used[rows])


def test_an_environment_of_a_large_batch_is_the_one_alone() -> None:
    """Long rows go through other kernels than short ones."""
    batch, alone = domain.make_env(Config(), 9, CPU, 4), domain.make_env(Config(), 1, CPU, 4 + 7)
    rng = np.random.default_rng(0)
    assert_same(alone.reset(), batch.reset(), slice(7, 8))
    for _ in range(70):
        actions = any_actions(rng, batch)
        assert_same(alone.step(actions[7:8]), batch.step(actions), slice(7, 8))


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_arrivals_do_not_depend_on_what_was_done(config: Config, seed: int) -> None:
    one, other = (domain.make_env(config, 2, CPU, seed) for _ in range(2))
    rng = np.random.default_rng(seed)
    one.reset(), other.reset()
    for _ in range(config.horizon):
        one.step(any_actions(rng, one)), other.step(any_actions(rng, other))
    for field in fields(Tape):
        mine, theirs = getattr(one.tape, field.name), getattr(other.tape, field.name)
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs)), field.name


@some
@given(seed=seeds)
def test_more_candidates_leave_the_arrivals_as_they_are(seed: int) -> None:
    config = SMALL[0]
    few, all_machines = (
        domain.make_env(c, 2, CPU, seed) for c in (config, config.model_copy(update={"everywhere": True}))
    )
    few.reset(), all_machines.reset()
    assert all_machines.action_space.nvec.tolist() == [config.machine_count] * config.num_agents
    for field in fields(Tape):
        mine, theirs = getattr(few.tape, field.name), getattr(all_machines.tape, field.name)
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs)), field.name


def test_global_generators_are_neither_used_nor_touched() -> None:
    def play(global_seed: int) -> list[Step]:
        torch.manual_seed(global_seed), np.random.seed(global_seed), random.seed(global_seed)
        before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
        build.cache_clear()
        env = domain.make_env(SMALL[1], 2, CPU, 3)
        rng = np.random.default_rng(0)
        env.reset()
        steps = [env.step(any_actions(rng, env)) for _ in range(3)]
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1:] == (str(np.random.get_state()), random.getstate())
        return steps

    state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        for one, other in zip(play(1), play(2), strict=True):
            assert_same(one, other)
    finally:
        torch.set_rng_state(state[0]), np.random.set_state(state[1]), random.setstate(state[2])


# --- saving and restoring ----------------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL), seed=seeds, data=st.data())
def test_a_restored_environment_goes_on_bit_for_bit_over_the_end_of_the_episode(
    config: Config, seed: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, 2 * config.horizon), label="steps before saving")
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    decision = env.reset()
    for _ in range(first):
        decision = env.step(any_actions(rng, env)).decision
    file = io.BytesIO()
    torch.save(env.state_dict(), file)  # as a checkpoint holds it, and read without trust
    actions = [any_actions(rng, env) for _ in range(config.horizon + 1)]
    expected = [env.step(a) for a in actions]
    file.seek(0)
    other, restored = loaded(config, torch.load(file, weights_only=True), 2)
    assert_same(restored, decision)
    for a, step in zip(actions, expected, strict=True):
        assert_same(other.step(a), step)


@pytest.mark.parametrize("goes_on", ["the one that saved it", "the one that loaded it"])
def test_a_saved_state_does_not_change_when_the_environment_goes_on(goes_on: str) -> None:
    env = domain.make_env(SMALL[4], 2, CPU, 0)
    env.reset()
    rng = np.random.default_rng(0)
    state = env.state_dict()
    kept = copy.deepcopy(state)
    if goes_on == "the one that loaded it":
        env = domain.make_env(SMALL[4], 2, CPU, 1)
        env.load_state_dict(state)
    for _ in range(2):
        env.step(any_actions(rng, env))
    assert state["streams"] == kept["streams"] and state["t"] == kept["t"] and state["length"] == kept["length"]
    for part in ("tape", "cluster"):
        for name, value in kept[part].items():
            assert torch.equal(value, state[part][name]), (part, name)


# --- the end of an episode ---------------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_an_episode_is_cut_at_the_horizon_and_shows_what_it_ended_in(config: Config, seed: int) -> None:
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    env.reset()
    for t in range(1, 2 * config.horizon + 1):
        step = env.step(any_actions(rng, env))
        over = t % config.horizon == 0
        assert not step.terminated.any()
        assert step.truncated.tolist() == [over] * 2
        assert (step.final is not None) == over
        # Nothing has come to a machine since x_t; a new episode has machines of its own.
        seen = (step.final or step.decision).context["requested"]
        assert (seen <= step.state[..., : seen.shape[-1]] + 1e-3).all()


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_what_was_shown_does_not_change_afterwards(config: Config, seed: int) -> None:
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    shown: list[Any] = [env.reset()]
    kept = [copy.deepcopy(shown[0])]
    for _ in range(config.horizon + 1):
        shown.append(env.step(any_actions(rng, env)))
        kept.append(copy.deepcopy(shown[-1]))
    for now, then in zip(shown, kept, strict=True):
        assert_same(now, then)


# --- what a step costs -------------------------------------------------------------------------


def only(config: Config, **weights: float) -> Config:
    values = {"waiting": 0.0, "price": 0.0, "stranded": 0.0, **weights}
    return Config.model_validate({**config.model_dump(), "weights": values})


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
        pool=Pool(demand, np.ones(3), ((),), np.zeros(3, np.int64), None),
        base_steps=np.array([3, 2, 1]),
        allowed=np.ones((1, 2), bool),
        shape=np.arange(3),
        reach=np.ones((3, 2), bool),
        hosts=np.array([[0, 1]] * 3),
        host_count=np.array([2, 2, 2]),
        notes=(),
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
        older=torch.zeros(1, agents, dtype=torch.int64),
        rank=torch.arange(agents).expand(env.horizon, 1, agents).contiguous(),
        length=len(rows[0]),
    )
    state = env.state_dict()
    cluster = dynamics.empty(tape, env.plant.hardware, 1, agents)
    state |= {"t": 0, "length": tape.length, "cluster": cluster.tensors()}
    state["tape"] = {name: x for name, x in vars(tape).items() if isinstance(x, Tensor)}
    return env.load_state_dict(state)


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

    # Machine 1 is empty and off; machine 0 runs one job, half of its vCPU and a quarter of its memory.
    step = env.step(torch.tensor([[0, 0]]))
    assert step.state[0].flatten().tolist() == pytest.approx([2, 2, 2, 2, 0, 0, 0, 0])
    assert step.reward.item() == pytest.approx(-(1 + 3 * 1 * 0.25))


def test_costs_by_hand() -> None:
    weights = Config(weights={"waiting": 0.5, "price": 2.0, "stranded": 4.0}).weights
    cost = step_cost(
        waiting=torch.tensor([3.0, 0.0]),
        on=torch.tensor([[True, False, True], [True, False, False]]),
        used=torch.tensor([[[1.0, 4.0], [0.0, 0.0], [2.0, 0.0]], [[0.0, 4.0], [0.0, 0.0], [0.0, 0.0]]]),
        inverse=torch.tensor([[0.5, 0.125], [1.0, 1.0], [0.25, 0.0625]]),
        price=torch.tensor([1.0, 10.0, 2.0]),
        weights=weights,
    )
    # Machine 0 uses half of both; machine 2, at price 2, half of its vCPU and no memory. Then machine 0 uses half
    # of its memory and no vCPU, which strands as much as the reverse.
    assert cost.tolist() == [0.5 * 3 + 2 * (1 + 2) + 4 * (0 + 0.5 * 2), 2 * 1 + 4 * 0.5 * 1]
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


# --- choices that are not allowed --------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL).map(lambda c: only(c, waiting=1.0)), seed=seeds)
def test_the_mask_allows_what_can_ever_run_where_a_place_is_free(config: Config, seed: int) -> None:
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    env.reset()
    instance, length = env.instance, env.tape.length
    for t in range(config.horizon):
        mask = env.decision.observation.mask
        for b, n, k in np.ndindex(*mask.shape):
            i, m = int(env.cluster.placed[b, n]), instance.candidates[n, k]
            allowed = i < env.tape.arrived[t, b, n]
            if allowed:
                demand = env.tape.demand[(b * config.num_agents + n) * length + i, :-1].numpy()
                room = env.cluster.length[b * config.machine_count + m] < config.machines.queue_places
                allowed = bool((demand <= instance.capacity[m]).all() and room)
            assert mask[b, n, k] == allowed
        if t < config.horizon - 1:
            env.step(any_actions(rng, env))


@pytest.mark.parametrize("config", [only(c, waiting=1.0) for c in (SMALL[0], SMALL[3], SMALL[4])])
def test_a_choice_that_is_not_allowed_places_nothing_and_the_job_goes_on_waiting(config: Config) -> None:
    rng, refused = np.random.default_rng(1), 0
    for seed in range(20):
        env = domain.make_env(config, 2, CPU, seed)
        env.reset()
        for t in range(config.horizon - 1):
            before = env.decision
            mask = before.observation.mask
            wrong = pick(rng, ~mask)
            stubborn = ~mask.gather(-1, wrong.unsqueeze(-1)).squeeze(-1)
            has_job = before.context["has_job"]
            cluster = env.cluster
            step, taken = placed(env, wrong)
            assert not (taken & stubborn).any()
            still = has_job & stubborn
            assert step.decision.context["has_job"][still].all()
            for name in ("demand", "steps"):
                assert torch.equal(step.decision.context[name][still], before.context[name][still])
            buffered = env.tape.arrived[t] - cluster.placed
            waiting = buffered.sum(-1) + cluster.length.view(2, -1).sum(-1)
            # Length and placed are those of after the step: starts took place, nothing was placed since.
            assert torch.equal(-step.reward, waiting.float())
            assert (buffered[still] >= 1).all()
            refused += int(still.sum())
    assert refused > 10


def test_a_job_that_waits_in_the_buffer_is_placed_later_and_charged_until_then() -> None:
    instance = hand_made(waiting=1.0, price=0.0, stranded=0.0)
    large = replace(instance.pool, demand=np.array([[8000, 4096]] * 3))
    env = CloudEnv(replace(instance, pool=large), 1, CPU, 0)
    env.reset()
    decision = with_jobs(env, [[0], [0]], [[1, 0]] * 5)
    assert decision.observation.mask.tolist() == [[[False, True], [False, False]]]
    assert decision.observation.active.tolist() == [[True, False]]
    for _ in range(2):
        step = env.step(torch.tensor([[0, 0]]))  # machine 0 is too small
        assert step.reward.tolist() == [-1.0] and step.local_reward.tolist() == [[-1.0, 0.0]]
        assert not step.state.any()
    step = env.step(torch.tensor([[1, 0]]))
    assert step.reward.tolist() == [0.0]
    assert step.state[0].flatten().tolist() == pytest.approx([0, 0, 0, 0, 8, 4, 24, 12])


# --- the mapping -------------------------------------------------------------------------------


def dense(influence: Influence, blocks: int) -> Tensor:
    """z_i(k) as what is added to every block, `[B, N, K, G, m]`."""
    index, value = influence.index, influence.value
    result = torch.zeros(*index.shape[:3], blocks, value.shape[-1])
    return result.scatter_add(3, index.unsqueeze(-1).expand(value.shape), value)


def chosen(z: Tensor, actions: Tensor) -> Tensor:
    """z_i(a_i), `[B, N, G, m]`."""
    at = actions[:, :, None, None, None].expand(-1, -1, 1, *z.shape[3:])
    return z.gather(2, at).squeeze(2)


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_the_state_is_the_base_state_plus_the_influence_of_every_job_sent(config: Config, seed: int) -> None:
    env, mapping = domain.make_env(config, 2, CPU, seed), domain.agent_mapping(config)
    rng = np.random.default_rng(seed)
    env.reset()
    for _ in range(config.horizon + 1):
        decision = env.decision
        actions = any_actions(rng, env)
        # A job that a full queue refuses was sent all the same: x_t is what the joint action asked for.
        sent = decision.observation.mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        step = env.step(actions)
        z = dense(mapping.influence(decision.observation, decision.context), config.machine_count)
        expected = mapping.base_state(decision.context) + (chosen(z, actions) * sent[..., None, None]).sum(1)
        # Both are sums of the same numbers below 1e5 in float32, in other orders.
        torch.testing.assert_close(step.state, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("config", [SMALL[2], SMALL[4], SMALL[0].model_copy(update={"everywhere": True})])
def test_another_choice_moves_exactly_the_blocks_that_the_influence_says(config: Config) -> None:
    mapping, moved = domain.agent_mapping(config), 0
    env = domain.make_env(config, 1, CPU, 5)
    rng = np.random.default_rng(5)
    decision = env.reset()
    for _ in range(min(config.horizon - 1, 3)):
        state, mask = env.state_dict(), decision.observation.mask
        actions = pick(rng, mask)
        z = dense(mapping.influence(decision.observation, decision.context), config.machine_count)
        step = env.step(actions)
        for n, k in mask[0].nonzero().tolist():
            other = actions.clone()
            other[0, n] = k
            difference = loaded(config, state)[0].step(other).state - step.state
            expected = z[:, n, k] - z[:, n, int(actions[0, n])]
            torch.testing.assert_close(difference, expected, rtol=1e-5, atol=1e-3)
            assert torch.equal(difference.abs().amax(-1) > 1e-3, expected.abs().amax(-1) > 1e-3)
            moved += int(k != actions[0, n])
        decision = step.decision
    assert moved > 5 or config.candidate_count == 1


# --- what agents see ---------------------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_observations_have_the_announced_sizes_and_lie_in_the_announced_space(config: Config, seed: int) -> None:
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    agent, choice, central = sizes(2)
    n, k = config.num_agents, config.candidate_count
    decision = env.reset()
    for _ in range(config.horizon + 1):
        o = decision.observation
        assert (o.agent.shape, o.choices.shape) == ((2, n, agent), (2, n, k, choice))
        assert (o.mask.shape, o.central.shape) == ((2, n, k), (2, central))
        for b in range(2):
            one = {f.name: getattr(o, f.name)[b].numpy() for f in fields(Observation)}
            assert env.observation_space.contains(one | {"mask": one["mask"].astype(np.int8)})
        actions = any_actions(rng, env)
        assert env.action_space.contains(actions[0].numpy())
        decision = env.step(actions).decision


def busy(config: Config, seed: int, steps: int) -> CloudEnv:
    """An environment in the middle of an episode."""
    env = domain.make_env(config, 1, CPU, seed)
    rng = np.random.default_rng(seed)
    decision = env.reset()
    for _ in range(steps):
        decision = env.step(pick(rng, decision.observation.mask)).decision
    return env


WIDE = Config(num_agents=12, candidates=3, horizon=8, seed=1, workload={"longest": 24}, machines={"run_slots": 4})


@some
@given(seed=seeds, n=st.integers(0, WIDE.num_agents - 1), data=st.data())
def test_a_dispatcher_sees_its_candidates_its_jobs_and_one_coarse_load(seed: int, n: int, data: st.DataObject) -> None:
    env = busy(WIDE, seed, data.draw(st.integers(0, 7), label="steps"))
    before, state = env.decision.observation, env.state_dict()
    rng = np.random.default_rng(seed)
    outside = np.setdiff1d(np.arange(WIDE.machine_count), env.instance.candidates[n])
    cluster, capacity = state["cluster"], env.plant.hardware.capacity
    length = torch.from_numpy(rng.integers(WIDE.machines.queue_places + 1, size=len(outside)))
    cluster["used"][outside] = (capacity[outside] * torch.from_numpy(rng.random((len(outside), 1)))).int()
    cluster["waiting"][outside] = (capacity[outside] * torch.from_numpy(rng.random((len(outside), 1)))).int()
    cluster["length"][outside] = length
    cluster["work"][outside] = torch.from_numpy(rng.random((len(outside), 2)) * 1e6).float()
    others = np.arange(WIDE.num_agents) != n
    cluster["placed"][0, others] = torch.from_numpy(rng.integers(env.tape.length, size=others.sum()))
    cluster["own_waiting"][0, others] = 3
    after = loaded(WIDE, state)[1].observation
    assert torch.equal(after.choices[:, n], before.choices[:, n])
    assert torch.equal(after.mask[:, n], before.mask[:, n])
    assert torch.equal(after.agent[:, n, :-1], before.agent[:, n, :-1])
    assert not torch.equal(after.central, before.central)
    for load in (before.agent[..., -1], after.agent[..., -1]):
        assert torch.equal(load, (load * 10).round() / 10) and (load == load[:, :1]).all()


def without_the_future(env: CloudEnv) -> Decision:
    """The same moment with other jobs to come: another demand, another duration, other times."""
    state = env.state_dict()
    tape, length = state["tape"], env.tape.length
    to_come = (torch.arange(length) >= tape["arrived"][env.t].unsqueeze(-1)).flatten()
    tape["demand"][to_come] = torch.tensor([1234, 5678, 1], dtype=torch.int32)
    tape["base_steps"][to_come] = 11
    tape["arrived"][env.t + 1 :] = tape["arrived"][env.t]
    tape["rank"] = tape["rank"].flip(-1)
    return loaded(env.instance.config, state)[1]


@some
@given(seed=seeds, data=st.data())
def test_an_agent_that_decides_knows_nothing_of_jobs_that_have_not_come(seed: int, data: st.DataObject) -> None:
    env = busy(WIDE, seed, data.draw(st.integers(0, 7), label="steps"))
    now, other = env.decision.observation, without_the_future(env).observation
    assert torch.equal(now.mask, other.mask)
    assert torch.equal(now.agent[now.active], other.agent[now.active])
    assert torch.equal(now.choices[now.active], other.choices[now.active])


@some
@given(seed=seeds, data=st.data())
def test_neither_model_nor_critic_know_anything_of_jobs_that_have_not_come(seed: int, data: st.DataObject) -> None:
    env = busy(WIDE, seed, data.draw(st.integers(0, 7), label="steps"))
    assert_same(env.decision, without_the_future(env))


def test_features_of_a_choice_by_hand() -> None:
    """A job of 2 vCPU, 2 GiB, 2 steps; on 4 vCPU, 8 GiB runs one of 1 vCPU, 4 GiB with 2 of 3 steps left."""
    env = CloudEnv(hand_made(), 1, CPU, 0)
    env.reset()
    with_jobs(env, [[0, 1], [1, 1]], [[1, 0], [2, 2], [2, 2], [2, 2], [2, 2]])
    o = env.step(torch.tensor([[0, 0]])).decision.observation
    log = np.log1p
    free, requested, drain = [3 / 4, 1 / 2], [1 / 4, 1 / 2], [log(2 / 4), log(8 / 8)]
    machine = [*free, *requested, *drain, 0, 1]
    kind, share = [1.0, 1.0, 4 / 16, 8 / 64], [1 / 2, 1 / 4]
    rest = [1, max(1 / 4 + 1 / 2, 1 / 2 + 1 / 4) - 1, 0, log(2)]
    assert o.choices[0, 0, 0].tolist() == pytest.approx([*machine, *kind, *share, *rest], abs=1e-6)
    empty = [1, 1, 0, 0, 0, 0, 0, 0]
    kind, share = [3.0, 0.5, 8 / 16, 16 / 64], [1 / 4, 1 / 8]
    assert o.choices[0, 0, 1].tolist() == pytest.approx([*empty, *kind, *share, 1, 1 / 4 - 1, 0, log(4)], abs=1e-6)
    # The two machines hold 1/2 and 0 of their fullest resource: 0.25, rounded to tenths.
    load = o.agent[0, 0, -1].item()
    assert load == pytest.approx(0.2, abs=1e-6)
    assert o.agent[0, 0, :-1].tolist() == pytest.approx([2 / 8, 2 / 32, log(2), log(1)], abs=1e-6)
    assert o.agent[0, 1, :-1].tolist() == pytest.approx([2 / 8, 2 / 32, log(2), log(2)], abs=1e-6)


# --- the warm start ----------------------------------------------------------------------------


def least_requested(env: CloudEnv, context: Context, mask: Tensor) -> Tensor:
    capacity, candidates = env.plant.capacity, torch.from_numpy(env.instance.candidates)
    there = (context["requested"] / capacity)[:, candidates]
    share = there + context["demand"].unsqueeze(-2) / capacity[candidates]
    return share.amax(-1).masked_fill(~mask, torch.inf).argmin(-1)


@pytest.mark.parametrize("preset", ["default", "waiting"])
def test_an_episode_starts_as_busy_as_it_goes_on(preset: str) -> None:
    """Shares in use over the first 8 steps against the rest, under the rule that also fills the machines.

    64 episodes know the ratio of the two means to 3 % (one standard error; arrivals follow a cycle of random
    phase). Jobs of before the episode never waited before they started, so the start is 3 to 7 % less busy. From
    empty machines the ratio is 0.70 to 0.76.
    """
    env = domain.make_env(Config(preset=preset), 64, CPU, 0)
    decision, used = env.reset(), []
    for _ in range(env.horizon):
        used.append(decision.context["used"].sum(1) / env.plant.capacity.sum(0))
        decision = env.step(least_requested(env, decision.context, decision.observation.mask)).decision
    share = torch.stack(used).mean(1)
    ratio = share[:8].mean(0) / share[8:].mean(0)
    assert ((ratio > 0.9) & (ratio < 1.1)).all(), ratio
