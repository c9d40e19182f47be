"""Bad simulators: one message with environment, episode, step and the author's traceback; nothing is left behind."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch

from dgpg.bridges.simulators import Simulators, View, Workers
from dgpg.domain import Names, numbered
from dgpg.errors import ConfigError, PluginError, SimulatorError

from . import toys

cloudpickle.register_pickle_by_value(toys)
CPU = torch.device("cpu")


def fails(simulation, count=1, envs=2, timeout=30.0):
    """What is said when all take a second step in their second episode."""
    env = Simulators(simulation, envs, CPU, 0, workers=Workers(count=count, timeout=timeout))
    env.reset()
    env.step(torch.zeros(envs, 3, dtype=torch.long))
    env.reset()
    env.step(torch.zeros(envs, 3, dtype=torch.long))
    with pytest.raises(SimulatorError) as told:
        env.step(torch.zeros(envs, 3, dtype=torch.long))
    with pytest.raises(SimulatorError):  # and so it is again, not another number
        env.step(torch.zeros(envs, 3, dtype=torch.long))
    return str(told.value)


def setting(**parts):
    def change(view):
        for name, value in parts.items():
            setattr(view, name, value)

    return change


@pytest.mark.parametrize("count", [0, 1])
def test_one_that_raises(count):
    said = fails(toys.bad(toys.raises), count)
    first, *rest = said.splitlines()
    assert first == "environment 0, episode 1, step 1: step raised ValueError: no such lane"
    assert rest[0] == "Traceback (most recent call last):" and rest[-1] == "ValueError: no such lane"
    assert "toys.py" in said and "self.fault(self)" in said and "dgpg/bridges" not in said


@pytest.mark.parametrize("count", [0, 1])
def test_a_message_that_was_written_for_people_stands_alone(count):
    assert fails(toys.bad(toys.tells), count) == "environment 0, episode 1, step 1: town.xml: no such lane; correct it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"agent": [[0.0], [np.nan], [1.0]]}, "View.agent[1, 0] is nan; expected finite numbers"),
        ({"cost": float("inf")}, "View.cost is inf; expected finite numbers"),
        ({"context": {"x": np.nan, "late": True}}, "View.context['x'] is nan"),
        ({"context": {"x": [1.0, 2.0], "late": True}}, "View.context.x has shape [2]; it had [] in the first view"),
        ({"context": {"x": 1.0}}, "View.context.late is not given and was in the first view; give the same parts"),
        ({"agent": np.zeros((3, 2))}, "View.agent has shape [3, 2]; expected [3, 1], [N, F], F as in names.agent"),
        ({"agent": np.zeros((2, 1))}, "View.agent has rows of 2 agents; expected 3, always"),
        ({"agent": "much"}, "View.agent holds no numbers: 'much'"),
        ({"agent": None}, "View.agent is missing"),
        ({"mask": [[2, 1]] * 3}, "View.mask: expected True and False, got int64 [2, 1"),
        ({"mask": np.ones((3, 3), bool)}, "View.mask has shape [3, 3]; expected [3, 2], [N, K]"),
        ({"central": [1.0, 2.0]}, "View.central has shape [2]; expected [3]"),
        ({"state": None}, "View.state is not given and was"),
        ({"local_reward": [0.0] * 3}, "View.local_reward is given and was not"),
        ({"measures": {"steps": [1.0, 2.0]}}, "View.measures['steps'] has shape [2]; expected [], a number"),
        ({"cost": 1e300}, "View.cost is 1e+300; expected a number that float32 holds"),
        ({"agent": np.full((3, 1), 1j)}, "View.agent holds complex numbers"),
        ({"agent": np.full((3, 1), 1e300)}, "View.agent[0, 0] is inf"),
        ({"agent": torch.zeros(3, 1, requires_grad=True)}, "View.agent: Can't call numpy() on Tensor that requires"),
        ({"agent": [[0.0], [0.0, 1.0], [0.0]]}, "View.agent holds no numbers"),
        ({"context": [1.0]}, "View.context: expected a dict with names as keys, got [1.0]"),
        ({"context": {1: 1.0}}, "View.context: expected a dict with names as keys, got {1: 1.0}"),
        ({"measures": [1]}, "View.measures: expected a dict with names as keys"),
        ({"state": [0.0]}, "View.state has shape [1]; expected [G, m]"),
        ({"terminated": "yes"}, "View.terminated: expected True and False"),
    ],
)
def test_what_does_not_fit(change, words):
    said = fails(toys.bad(toys.changing(setting(**change))), 0)
    assert said.startswith("environment 0, episode 1, step 1: View.") and words in said, said


def test_one_that_hangs_is_ended_and_says_where():
    said = fails(toys.bad(toys.hangs), timeout=1.0)
    assert said.startswith("environment 0, episode 1, step 1: no answer within 1 s (workers.timeout); it was here:")
    assert "toys.py" in said and "in hangs" in said


def test_one_that_hangs_with_the_interpreter_is_ended_too():
    assert "in hangs_in_c" in fails(toys.bad(toys.hangs_in_c), timeout=1.0)


def test_one_that_ends_its_process():
    assert "died 4 times in a row in step, step 1 of the longest" in (said := fails(toys.bad(toys.exits)))
    assert "its process ended with status 7" in said
    assert "step raised SystemExit: 3" in fails(toys.bad(toys.leaves))


def test_one_that_crashes_shows_where():
    said = fails(toys.bad(toys.crashes))
    assert "SIGSEGV" in said and "Fatal Python error: Segmentation fault" in said and "in crashes" in said


def test_one_that_prints_is_told_once_and_changes_nothing(caplog, capfd):
    env = Simulators(toys.bad(toys.prints), 2, CPU, 0, workers=Workers(count=1))
    env.reset()
    with caplog.at_level(logging.WARNING):
        for _ in range(12):
            env.step(torch.zeros(2, 3, dtype=torch.long))
    (message,) = [record.getMessage() for record in caplog.records]
    assert "environment 0, episode 0, by step 1: one line of a simulator" in message
    out, _ = capfd.readouterr()
    assert out == ""


def test_what_cannot_be_sent_or_made():
    import threading

    lock = threading.Lock()
    env = Simulators(toys.simulation(lambda seed: lock), 1, CPU, 0, workers=Workers(count=1))
    with pytest.raises(ConfigError, match=r"cannot be sent to a process .*use workers.count=0"):
        env.reset()
    env = Simulators(toys.simulation(lambda seed: object()), 1, CPU, 0, workers=Workers(count=1))
    with pytest.raises(SimulatorError, match="environment 0, episode 0, at its start: make returned object without"):
        env.reset()
    env = Simulators(toys.simulation(read=lambda sim, said: {"agent": 1}), 1, CPU, 0, workers=Workers(count=1))
    with pytest.raises(SimulatorError, match=r"read returned dict; expected a dgpg.bridges.simulators.View"):
        env.reset()
    env = Simulators(toys.simulation(), 1, CPU, 0, workers=Workers(count=1))
    with pytest.raises(PluginError, match="call reset or load_state_dict first"):
        env.step(torch.zeros(1, 3, dtype=torch.long))


def test_spaces_that_no_agents_have():
    from gymnasium import spaces

    with pytest.raises(PluginError, match=r"let K be the most and View.mask say"):
        Simulators(toys.simulation(action_space=spaces.MultiDiscrete([2, 3, 2])), 1, CPU, 0)
    with pytest.raises(ConfigError, match="needs a process of its own"):
        Simulators(toys.simulation(alone=True), 2, CPU, 0, workers=Workers(count=0))


def test_a_state_that_nobody_says():
    def read(sim, said):
        return View([[sim.x]] * 3, {"x": sim.x})

    env = Simulators(toys.simulation(read=read), 1, CPU, 0, workers=Workers(count=0))
    env.reset()
    with pytest.raises(PluginError, match="is missing: give it, or give Simulators a mapping"):
        env.step(torch.zeros(1, 3, dtype=torch.long))


ORPHANS = """
import sys
sys.path.insert(0, {root!r})
import torch
from dgpg.bridges.simulators import Simulators, Workers
from tests.bridges import toys

env = Simulators(toys.bad(toys.breeds), 2, torch.device("cpu"), 0, workers=Workers(count=2))
env.reset()
env.step(torch.zeros(2, 3, dtype=torch.long))
print(*env.pids, flush=True)
env.step(torch.zeros(2, 3, dtype=torch.long))
"""


def group_members(groups):
    """Processes of these groups that are no zombies."""
    shown = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in shown.splitlines()]
    return [row for row in rows if int(row[0]) in groups and not row[1].startswith("Z")]


def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path):
    """Not even workers that hang in C and hold the interpreter, nor what they started."""
    root = Path(__file__).parent.parent.parent
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(ORPHANS).format(root=str(root)))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        groups = {int(pid) for pid in parent.stdout.readline().split()}
        assert len(groups) == 2
        deadline = time.monotonic() + 20
        while len(group_members(groups)) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(group_members(groups)) == 4, "two workers and a child of each"
        os.kill(parent.pid, signal.SIGKILL)
    while group_members(groups) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_members(groups) == []


def test_names_give_the_sizes():
    env = Simulators(
        toys.simulation(names=Names(numbered("number", 4), numbered("of a choice", 2)), central=5), 1, CPU, 0
    )
    space = env.observation_space
    assert [space[name].shape for name in ("agent", "choices", "mask", "central")] == [(3, 4), (3, 2, 2), (3, 2), (5,)]


ENDS = """
import atexit, os, sys

def look():
    try:
        print("left:", os.waitpid(-1, os.WNOHANG), flush=True)
    except ChildProcessError:
        print("none is left", flush=True)

atexit.register(look)  # called last, as it is registered first
""" + ORPHANS.replace("toys.bad(toys.breeds)", "toys.simulation()")


def test_no_child_is_left_for_python_to_find_at_its_end():
    """Which says ResourceWarning of it."""
    script = ENDS.format(root=str(Path(__file__).parent.parent.parent))
    ran = subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "none is left" and ran.stderr == "", ran


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"make": toys.Drift(0)}, r"make: expected a function or a class, got .*; give its class, Drift"),
        ({"read": 3}, "read: expected a function or a class, got 3"),
        ({"names": "waiting"}, "names: expected dgpg.domain.Names, got 'waiting'"),
        ({"horizon": 0}, "horizon: expected a whole number of steps, at least 1, got 0"),
        ({"horizon": "24"}, "horizon: expected a whole number of steps, at least 1, got '24'"),
    ],
)
def test_a_description_that_is_none(parts, words):
    with pytest.raises(PluginError, match=r"Simulation\." + words):
        toys.simulation(**parts)


def test_other_arguments_than_those_of_an_environment():
    with pytest.raises(PluginError, match=r"expected workers=Workers\(count=4\), got 4"):
        Simulators(toys.simulation(), 2, CPU, 0, workers=4)
    with pytest.raises(PluginError, match="expected num_envs of at least 1, got 0"):
        Simulators(toys.simulation(), 0, CPU, 0)
    with pytest.raises(PluginError, match=r"Names.agent: expected Feature\('waiting'\), of dgpg.domain, got 'waiting'"):
        Names(agent=("waiting",))
