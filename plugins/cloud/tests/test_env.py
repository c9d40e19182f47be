"""The environment: it repeats itself whatever the batch, goes on where it was saved, and ends where it should."""

import copy
import io
import random
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain import Step
from dgpg_cloud.arrivals import Tape
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import build

from .made import CPU, SMALL, any_actions, assert_same, loaded, seeds, some

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
