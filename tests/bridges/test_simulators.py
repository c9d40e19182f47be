"""Simulators in processes: the same numbers however many, restarts at different lengths, saved and replayed."""

import os
import random
import signal
import threading
import time

import cloudpickle
import numpy as np
import pytest
import torch

from dgpg.bridges.simulators import Simulators, Workers
from dgpg.checks.nested import difference
from dgpg.domain import observations
from dgpg.domain.random import derive, generator
from dgpg.errors import PluginError, SimulatorError
from dgpg.learning.actions import CATEGORICAL, kind_of, make_actor

from . import toys

cloudpickle.register_pickle_by_value(toys)
CPU = torch.device("cpu")


def made(simulation=None, count=2, envs=5, seed=7, **workers):
    return Simulators(simulation or toys.simulation(), envs, CPU, seed, workers=Workers(count=count, **workers))


def played(env, steps=25, decision=None, first=0):
    """Every number of so many steps of random actions, which depend on the step alone."""
    seen = [] if decision is not None else [env.reset()]
    decision, kind = decision or seen[0], kind_of(env.action_space)
    for t in range(first, first + steps):
        step = env.step(kind.anything(decision.observation, generator(t)))
        seen.append(step)
        decision = step.decision
    return seen


def test_numbers_are_those_of_the_simulator_alone():
    """By hand: one Drift outside of everything, with the same seeds and actions, over the end of its episode."""
    env, first, make_seed = made(count=1, envs=1), 7, derive(7, "make") % 2**31
    sim, episode = toys.Drift(make_seed), 0
    sim.reset(derive(first, "episode", episode) % 2**31)
    env.reset()
    lengths = []
    for t in range(40):
        actions = torch.tensor([[1, t % 2, 0]])
        active = toys.read(sim, None).mask.any(-1)
        step = env.step(actions)
        sim.step(np.where(active, actions[0].numpy(), 0))
        assert step.reward.item() == pytest.approx(-sim.cost, rel=1e-6) and step.state.item() == np.float32(sim.x)
        ended, cut = sim.t == sim.ends, sim.t == toys.LONGEST and sim.t != sim.ends
        assert (step.terminated.item(), step.truncated.item()) == (ended, cut)
        assert step.measures["steps"].item() == sim.t
        if ended or cut:
            lengths.append(sim.t)
            assert step.final.context["x"].item() == np.float32(sim.x)
            episode += 1
            sim.reset(derive(first, "episode", episode) % 2**31)
        else:
            assert step.final is None
        assert step.decision.context["x"].item() == np.float32(sim.x)
        assert step.decision.context["late"].dtype == torch.bool
    assert len(set(lengths)) > 2


@pytest.mark.parametrize("make", [toys.Drift, toys.Global])
def test_numbers_do_not_depend_on_the_number_of_processes(make):
    """Not even of simulators that draw from the global generators."""
    state = random.getstate(), np.random.get_state()[1].tolist()
    alone = played(made(toys.simulation(make), 0))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state
    for count in (1, 2, 5):
        assert difference(alone, played(made(toys.simulation(make), count))) is None, count
    single = played(made(toys.simulation(make), 1, envs=1, seed=7 + 3), 1)
    assert difference(single[0].context, {k: x[3:4] for k, x in alone[0].context.items()}) is None


def test_idle_agents_give_nothing_to_the_simulator():
    env = made(count=0, envs=1)
    env.reset()
    env.step(torch.zeros(1, 3, dtype=torch.long))
    state = env.state_dict()
    one = env.step(torch.tensor([[0, 0, 0]]))
    env.load_state_dict(state)
    assert difference(one, env.step(torch.tensor([[0, 0, 1]]))) is None


@pytest.mark.parametrize("count", [0, 2])
def test_saved_and_restored_elsewhere(count):
    env = made(count=count)
    whole = played(env, 30)
    other = made(count=count, seed=99)
    again = made(count=count)
    played(again, 13)
    decision = other.load_state_dict(again.state_dict())
    assert difference(whole[13].decision, decision) is None
    assert difference(whole[14:], played(other, 17, decision, 13)) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (toys.Clock, "does not repeat itself: made with seed"),
        (toys.Remembers, "keep nothing of former episodes"),
    ],
)
def test_one_that_does_not_repeat_itself_is_told_when_it_is_first_saved(make, words):
    env = made(toys.simulation(make), envs=2)
    env.reset()
    for _ in range(12):
        env.step(torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(SimulatorError, match=words):
        env.state_dict()


def test_one_that_is_declared_not_to_repeat_itself_is_not_saved():
    env = made(toys.simulation(toys.Clock, repeats=False), envs=2)
    played(env, 3)
    with pytest.raises(SimulatorError, match="declared not to repeat itself"):
        env.state_dict()
    kill(env)
    with pytest.raises(SimulatorError, match="its worker died, and the simulator is declared not to repeat itself"):
        env.step(torch.zeros(2, 3, dtype=torch.long))


def test_one_that_saves_itself_is_not_replayed():
    env = made(toys.simulation(toys.Saves), envs=3)
    seen = played(env, 4)
    decision = made(toys.simulation(toys.Saves), envs=3).load_state_dict(env.state_dict())
    assert difference(seen[-1].decision, decision) is None


def kill(env, which=0):
    os.kill(env.pids[which], signal.SIGKILL)
    time.sleep(0.01)


def test_workers_killed_at_random_moments_change_no_number():
    """`python benchmarks/simulators.py --kills 100` does it a hundred times."""
    undisturbed = played(made(), 300)
    env, chance, seen = made(), random.Random(1), []
    killed: list[int] = []

    def disturb():
        """Whenever a step was done since the last time, at any moment after it."""
        last = 0
        while len(killed) < 8:
            time.sleep(chance.uniform(0, 0.02))
            if len(seen) > last + 1:
                last = len(seen)
                kill(env, chance.randrange(2))
                killed.append(last)

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    seen.append(env.reset())
    for t in range(300):
        seen += played(env, 1, seen[-1] if t == 0 else seen[-1].decision, t)
        time.sleep(0.002)
    thread.join(10)
    assert len(killed) == 8 and difference(undisturbed, seen) is None


def test_an_interrupt_in_the_middle_of_a_step_loses_nothing(monkeypatch):
    env, plain = made(), made()
    seen, whole = played(env, 4), played(plain, 12)
    carrier = env._crew._carriers[1]

    def interrupted(timeout):
        raise KeyboardInterrupt

    monkeypatch.setattr(carrier, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        env.step(torch.zeros(5, 3, dtype=torch.long))
    monkeypatch.undo()
    assert difference(whole[5:], played(env, 8, seen[-1].decision, 4)) is None


def test_processes_are_reused_and_end_with_python():
    first = made()
    first.reset()
    pids = first.pids
    del first
    second = made(toys.simulation(toys.Global))
    second.reset()
    assert set(second.pids) == set(pids)


def test_choices_without_features_are_told_apart_by_their_numbers():
    """A policy scores each choice by its features: without any it could never prefer one."""
    env = made(count=0, envs=2)
    seen = env.reset().observation
    assert seen.choices.shape[1:] == env.observation_space["choices"].shape == (toys.AGENTS, toys.CHOICES, toys.CHOICES)
    assert torch.equal(seen.choices, torch.eye(toys.CHOICES).expand_as(seen.choices))
    actor = make_actor(env, CATEGORICAL, "shared", 16, 0)
    logits = actor.outputs(seen)
    assert (logits[..., 0] != logits[..., 1])[seen.active].all()


def test_a_policy_of_choices_that_nothing_tells_apart_is_refused():
    env = made(count=0, envs=1)
    env.observation_space = observations(toys.AGENTS, toys.CHOICES, 1, 0, toys.AGENTS)
    with pytest.raises(PluginError, match=r"3 agents have 2 choices without features.*torch.eye\(2\)"):
        make_actor(env, CATEGORICAL, "shared", 16, 0)
