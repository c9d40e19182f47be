"""Environments of PettingZoo and Gymnasium as simulators: agents by name, deaths, masks, joint actions."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import cloudpickle
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from dgpg import checks
from dgpg.bridges.simulators import Simulators, Workers, from_gymnasium, from_parallel_env
from dgpg.errors import PluginError, SimulatorError

pettingzoo = pytest.importorskip("pettingzoo", reason="the extra that brings PettingZoo is not installed")
CPU, LOCAL = torch.device("cpu"), Workers(count=0)
EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "simulators" / "charging.py"


def nothing(env):
    return {}


class Turns(pettingzoo.ParallelEnv):
    """Agent i dies after step i + 1; a has two choices, the others three, of which one is not allowed when late."""

    possible_agents = ("a", "b", "c")
    kinds = staticmethod(lambda agent: spaces.Discrete(2 if agent == "a" else 3))

    def observation_space(self, agent):
        seen = spaces.Box(-1, 99, (1 if agent == "a" else 2,), np.float32)
        return spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(3)})

    def action_space(self, agent):
        return self.kinds(agent)

    def reset(self, seed=None, options=None):
        self.agents, self.t, self.taken = list(self.possible_agents), 0, []
        return self._seen(self.agents), {}

    def step(self, actions):
        self.taken.append(dict(actions))
        self.t += 1
        here = list(self.agents)
        ended = {a: self.possible_agents.index(a) < self.t for a in here}
        self.agents = [a for a in here if not ended[a]]
        rewards = {a: float(actions[a]) for a in here}
        return self._seen(here), rewards, ended, dict.fromkeys(here, False), {}

    def _seen(self, agents):
        size = {a: (1 if a == "a" else 2) for a in agents}
        mask = {a: np.array([1, 1, self.t < 1][: 2 if a == "a" else 3], np.int8) for a in agents}
        return {a: {"observation": np.full(size[a], self.t + 1, np.float32), "action_mask": mask[a]} for a in agents}


class Mapping:
    """A state that nobody looks at."""

    def state(self, actions, context):
        return torch.zeros(len(actions), 1, 1)


def batch(simulation, envs=1):
    return Simulators(simulation, envs, CPU, 0, Mapping(), LOCAL)


def test_agents_by_name_die_and_have_masks():
    env = batch(from_parallel_env(Turns, lambda turns: {"taken": len(turns.taken)}, 9))
    first = env.reset()
    assert first.observation.agent.tolist() == [[[1, 0], [1, 1], [1, 1]]]
    assert first.observation.mask.tolist() == [[[True, True, False], [True] * 3, [True] * 3]]
    step = env.step(torch.tensor([[1, 2, 0]]))
    assert step.reward.item() == 3 and step.local_reward.tolist() == [[1, 2, 0]]
    assert step.decision.observation.mask.tolist() == [[[False] * 3, [True, True, False], [True, True, False]]]
    assert step.decision.observation.agent.tolist() == [[[0, 0], [2, 2], [2, 2]]]
    assert not step.terminated and step.decision.context["taken"].item() == 1
    step = env.step(torch.tensor([[1, 1, 1]]))
    assert step.reward.item() == 2, "the dead are not asked"
    step = env.step(torch.tensor([[0, 0, 1]]))
    assert step.terminated.item() and not step.truncated.item() and not step.final.observation.mask.any()
    assert step.decision.observation.mask.tolist() == first.observation.mask.tolist()


def test_an_end_that_is_only_a_cut_is_one():
    class Cut(Turns):
        def step(self, actions):
            seen, rewards, ended, cut, infos = super().step(actions)
            self.agents = []
            return seen, rewards, dict.fromkeys(ended, False), dict.fromkeys(cut, True), infos

    env = batch(from_parallel_env(Cut, nothing, 9))
    env.reset()
    step = env.step(torch.tensor([[0, 0, 0]]))
    assert step.truncated.item() and not step.terminated.item()


def test_agents_that_nobody_knew():
    class Grows(Turns):
        def step(self, actions):
            found = super().step(actions)
            self.agents = [*self.agents, "d"]
            return found

    env = batch(from_parallel_env(Grows, nothing, 9))
    env.reset()
    with pytest.raises(SimulatorError, match=r"environment 0, episode 0, step 0: step raised ValueError: agents d are"):
        env.step(torch.tensor([[0, 0, 0]]))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Discrete(3, start=1), "from 0"),
        (spaces.MultiBinary(2), "MultiBinary"),
        (spaces.Box(0, 1, (2, 2)), "of one shape"),
    ],
)
def test_agents_that_do_something_else(space, words):
    kind = type("Other", (Turns,), {"kinds": staticmethod(lambda agent: space)})
    with pytest.raises(PluginError, match=r"from_parallel_env: expected a Discrete\(K\) from 0") as told:
        from_parallel_env(kind, nothing, 9)
    assert words in str(told.value)


class Joint(gymnasium.Env):
    """Rows of two agents, or one flat observation."""

    def __init__(self, flat=False, action=None):
        self.flat = flat
        self.observation_space = spaces.Box(-9, 9, (4,) if flat else (2, 2), np.float32)
        self.action_space = action or spaces.MultiDiscrete([3, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(size=4).astype(np.float32)
        return self._seen(), {"action_mask": np.array([[1, 1, 0], [1, 1, 1]])}

    def step(self, action):
        self.x[: len(action)] += action
        return self._seen(), float(-self.x.sum()), bool(self.x.sum() > 9), False, {}

    def _seen(self):
        return self.x.copy() if self.flat else self.x.reshape(2, 2).copy()


@pytest.mark.parametrize("flat", [False, True])
def test_a_joint_action_of_gymnasium(flat):
    env = batch(from_gymnasium(partial(Joint, flat), lambda joint: {"x": joint.x}, 20), envs=2)
    first = env.reset()
    x = first.context["x"]
    seen = x.unsqueeze(1).expand(-1, 2, -1) if flat else x.view(2, 2, 2)
    assert torch.equal(first.observation.agent, seen) and torch.equal(first.observation.central, x)
    assert first.observation.mask.tolist() == [[[True, True, False], [True] * 3]] * 2 and not torch.equal(x[0], x[1])
    step = env.step(torch.tensor([[1, 2], [0, 0]]))
    assert step.reward.tolist() == pytest.approx([-float(x[0].sum()) - 3, -float(x[1].sum())])
    ended = [env.step(torch.tensor([[2, 2], [0, 0]])).terminated.tolist() for _ in range(2)]
    assert any(first for first, _ in ended) and not any(second for _, second in ended)


def test_environments_of_other_kinds():
    with pytest.raises(PluginError, match="got a VectorEnv, which restarts episodes with seeds that nobody"):
        from_gymnasium(lambda: gymnasium.vector.SyncVectorEnv([Joint]), nothing, 9)
    with pytest.raises(PluginError, match="expected a joint action"):
        from_gymnasium(partial(Joint, False, spaces.Discrete(3)), nothing, 9)
    with pytest.raises(PluginError, match="3 agents act and rows of 2 are observed"):
        from_gymnasium(partial(Joint, False, spaces.MultiDiscrete([2, 2, 2])), nothing, 9)


@pytest.fixture(scope="module")
def charging():
    spec = importlib.util.spec_from_file_location("charging", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["charging"] = module
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    return module


def test_the_example_of_ten_agents_passes_the_checks_and_its_own_standard(charging):
    """The checks that play with it, in this process; one of them in workers, which get the example by its text."""
    from pettingzoo.test import parallel_api_test

    parallel_api_test(charging.Street(), 30)
    assert len(EXAMPLE.read_text().splitlines()) <= 150
    subject = checks.subject(charging.domain, {"workers": {"count": 0}})
    for check in (
        checks.members, checks.named, checks.observations, checks.finite, checks.new_episode, checks.idle_agents,
        checks.determinism, checks.batch, checks.joint_state, checks.slope_is_effect, checks.gradient,
    ):  # fmt: skip
        check(subject)
    checks.restore(checks.subject(charging.domain, {"workers": {"count": 1}}))
