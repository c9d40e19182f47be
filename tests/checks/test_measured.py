"""How far what is measured is from what is expected: a distance that is known by hand."""

from dataclasses import replace

import pytest
import torch

from dgpg import checks
from dgpg.checks.measured import _told

from .. import toy
from ..planted import returning


def test_the_distance_by_hand():
    """Blocks 0 and 1 are 0, 2 and 1, 3 around means 1 and 2; expected is 0.5 below throughout: 0.5 of the spread 1."""
    measured = torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]]], dtype=torch.double)
    said = _told(0, measured - 0.5, measured, 0)
    assert said.startswith("coordinate 0: measured states are 0.50 [0.50, 0.50] of their own spread")
    assert said.endswith("and 33.3% above it on average")  # 0.5 of the mean 1.5
    assert "a block's mean foretells it as well" in _told(0, measured - 2, measured, 0)
    assert "never changes, and is 1 from" in _told(0, measured * 0 + 1, measured * 0, 0)


def test_noise_of_a_known_size_is_within_the_interval():
    def noisy(env, step):
        noise = torch.randn(step.state.shape, generator=torch.Generator().manual_seed(int(step.state.sum() * 1e3)))
        return replace(step, measured=step.state + 0.1 * noise)

    class Domain(toy.Domain):
        def make_env(self, config, envs, device, seed):
            return returning(noisy)(envs, seed, config.horizon, config.still)

    said = checks.measured_state(checks.subject(Domain()))
    states = torch.stack([m.step_then.state for m in checks.subject(toy.Domain()).episode]).flatten(0, 1)
    distance, low, high = (float(part.strip(" [,]")) for part in said.split("are ")[1].split(" of")[0].split(" "))
    assert low <= distance <= high and distance == pytest.approx(0.1 / float(states[..., 0].std(0).mean()), rel=0.3)
