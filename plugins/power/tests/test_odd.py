"""Odd cases, written in odd ways: their optimum is that over angles, or one message says why there is none."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dgpg.errors import ConfigError, DataError
from dgpg_power.baselines import baselines
from dgpg_power.config import Config
from dgpg_power.data.load import load_network
from dgpg_power.env import PowerEnv
from dgpg_power.grid import make_grid
from dgpg_power.instance import build
from dgpg_power.programs import opf
from dgpg_power.system import made_of

from .made import CPU
from .odd import odd_case, optimum, text_of

REFUSED = ("leave flows from", "no unit in service", "no bus has a load above 0")
"""Of a case that DC-OPF defines: limits that leave one flow or none, nothing to dispatch, nothing to serve."""


def told(notes: tuple[str, ...]) -> float:
    """What notes say that units cost which can give nothing."""
    found = [re.search(r"at an output of 0 cost (\S+) \$", note) for note in notes]
    return sum(float(one[1]) for one in found if one)


@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_of_an_odd_case(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case, path = odd_case(rng), tmp_path / "odd.m"
    path.write_bytes(text_of(rng, case).encode())
    expected = optimum(case)
    try:
        network = load_network(str(path))
    except DataError as error:
        assert any(words in str(error) for words in REFUSED)
        return
    grid, load = make_grid(made_of(Config(), network), CPU, torch.float64), torch.tensor(network.load)[None]
    found = opf.optimum(grid, load, load.sum(-1), grid.unit_min[None], grid.unit_max[None], None, opf.HARD)
    assert bool(found.solved[0]) == (expected is not None)
    if expected is not None:
        cost = float(network.cost(found.output[0].double().numpy()).sum())
        assert cost + told(network.notes) == pytest.approx(expected, rel=1e-4, abs=0.02)


@pytest.mark.parametrize("seed", range(60, 90))
def test_an_odd_case_is_played_or_refused(tmp_path: Path, seed: int) -> None:
    """No cost runs away: not where feed-ins come near the loads, not where losses do not fit."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "odd.m"
    path.write_bytes(text_of(rng, odd_case(rng)).encode())
    config = Config.model_validate({"network": str(path), "horizon": 4})
    try:
        env = PowerEnv(build(config), 2, CPU, seed)
    except (DataError, ConfigError) as error:
        assert str(error).count("\n") == 0
        return
    network = env.instance.network
    most = float(np.abs(network.load).sum() + np.abs(network.unit_max).sum() + np.abs(network.unit_min).sum())
    prices = env.instance.tariff
    for rule in baselines(config)[:3]:
        decision = env.reset()
        for _ in range(4):
            step = env.step(rule.act(decision, torch.full((2, env.num_agents, 2), 0.5)))
            decision = step.decision
            flows = env.past.flow.abs().amax()
            assert flows < 100 * most + float(np.abs(network.shift_flow).sum())
            assert float(step.reward.abs().amax()) < 1e3 * most * (
                prices.imbalance + prices.overload * network.num_lines
            )
