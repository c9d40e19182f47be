"""The example of Grid2Op: its model beside the power flow, its replay, and a run that plays as an agent there."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg import checks
from dgpg.export import export
from dgpg.runs import resolve, start
from dgpg.runs.training import train

from ..distributions import Plugins

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "simulators" / "grid2op" / "dgpg_grid2op.py"
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("grid2op") is None, reason="the extra grid2op is not installed"),
    pytest.mark.filterwarnings("ignore"),  # pandapower's own, of pandas and numba
]


@pytest.fixture
def example(plugin: Plugins) -> Any:
    """Its module, installed as `grid2op`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(plugin(EXAMPLE.read_text(), owner="dgpg-plugin-grid2op", grid2op="domain"))


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 150


def test_the_network_has_the_flows_and_limits_of_the_grid(example: Any) -> None:
    """Grid2Op's power flow is AC; 5 MW and a twentieth of voltage are what DC and nominal voltages leave out."""
    hour, system = example.Hour(0), example.power_system()
    for seed in range(3):
        hour.reset(seed)
        obs = hour.obs
        injected = np.bincount(obs.gen_to_subid, obs.gen_p, obs.n_sub)
        injected -= np.bincount(obs.load_to_subid, obs.load_p, obs.n_sub)
        flow = system.bus_factors @ injected + system.loop_flow
        np.testing.assert_allclose(flow, obs.p_or, atol=5)
        loaded = obs.rho > 0.3
        carried = np.hypot(obs.p_or, obs.q_or)[loaded] / obs.rho[loaded]
        np.testing.assert_allclose(carried, system.network.flow_max[loaded], rtol=0.12)
    assert system.network.num_units == 3 and (np.diff(system.network.cost_linear) != 0).any()


@pytest.mark.slow
def test_its_episodes_are_replayed_and_its_mapping_foretells_them(example: Any) -> None:
    subject = checks.subject("grid2op", {"workers": {"count": 1}})
    for check in (checks.named, checks.finite, checks.restore_elsewhere, checks.joint_state, checks.gradient):
        check(subject)
    steps = [moment.step_then for moment in subject.episode]
    off = [step.measured - step.state for step in steps if step.measured is not None]
    assert len(off) == len(steps) and float(torch.stack(off).square().mean().sqrt()) < 4, "MW, of ramps of 5 to 15"


@pytest.mark.learning
def test_a_run_costs_less_than_nothing_done_as_an_agent_of_grid2op(example: Any, tmp_path: Path) -> None:
    from grid2op.Agent import DoNothingAgent

    trainer, folder = start(resolve("grid2op", {"seed": 0, "iterations": 8}), tmp_path / "run")
    train(trainer, folder, None, lambda metrics: None)
    export(folder.path, tmp_path / "policy", decisions=100)
    hour = example.Hour(0)
    space = hour.grid.action_space

    def played(agent: Any, seed: int) -> float:
        """$ of generation in the hour, as Grid2Op charges it."""
        hour.reset(seed)
        obs, reward, done, cost = hour.obs, 0.0, False, 0.0
        for _ in range(example.HORIZON):
            obs, reward, done, info = hour.grid.step(agent.act(obs, reward, done))
            assert not done and not info["is_illegal"] and not info["is_ambiguous"], info
            cost += float(obs.gen_p @ obs.gen_cost_per_MW) / 12
        return cost

    agent, nobody = example.Agent(space, tmp_path / "policy"), DoNothingAgent(space)
    hours = [(played(agent, seed), played(nobody, seed)) for seed in range(3)]
    assert all(cost < 0.97 * without for cost, without in hours), hours
