"""Actions that come from elsewhere, by hand: what is taken, what is bent and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from dgpg.bridges import JointEnv, VectorEnv, actions
from dgpg.bridges.batch import Batch
from dgpg.bridges.gym import Logits, VectorLogits
from dgpg.domain import Simplex, load_domain
from dgpg.errors import ActionError, ConfigError, PluginError

NAN = float("nan")
ALL = torch.ones(1, 2, 3, dtype=torch.bool)
CHOICES, NUMBERS, SPLITS = spaces.MultiDiscrete([3, 3]), spaces.Box(0, 9, (2, 2)), Simplex(2, 3)


def test_choices_come_as_any_numbers_that_are_whole() -> None:
    for one in (np.array([[0, 2]], np.int8), torch.tensor([[0, 2]]), [[0.0, 2.0]]):
        taken = actions.joint(one, CHOICES, ALL)
        assert taken.dtype == torch.int64 and taken.tolist() == [[0, 2]]


def test_numbers_go_on_as_they_are_even_beyond_their_bounds() -> None:
    """The environment clips, and `dgpg` itself relies on that."""
    assert actions.joint([[[1.5, 10.0], [-1.0, 2.0]]], NUMBERS, ALL).tolist() == [[[1.5, 10.0], [-1.0, 2.0]]]


def test_of_splits_what_is_not_allowed_is_taken_out() -> None:
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    assert actions.joint([[[0.25, 0.25, 0.5], [0.0, 0.0, 1.0]]], SPLITS, mask).tolist() == [[[0.5, 0.5, 0], [1, 0, 0]]]
    nothing = torch.tensor([[[False] * 3, [False, True, True]]])
    taken = actions.joint([[[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]], SPLITS, nothing)
    assert taken.tolist() == [[pytest.approx([0.2, 0.3, 0.5]), [0, 0.5, 0.5]]]


@given(st.integers(0, 2**32 - 1))
def test_allowed_splits_are_not_touched(seed: int) -> None:
    chance = np.random.default_rng(seed)
    mask = torch.from_numpy(chance.random((1, 2, 3)) < 0.7)
    split = Simplex(2, 3, seed=seed).sample(mask[0].numpy())
    assert np.array_equal(actions.joint(split[None], SPLITS, mask)[0].numpy(), split)


@pytest.mark.parametrize(
    ("given", "space", "said"),
    [
        ([0, 1], CHOICES, r"expected shape \[B, N\] = \[1, 2\], got \[2\]"),
        ([[[0.5, 0.5]]], SPLITS, r"expected shape \[B, N, K\] = \[1, 2, 3\], got \[1, 1, 2\]"),
        ([[1.0, 2.0]], NUMBERS, r"expected shape \[B, N, A\] = \[1, 2, 2\], got \[1, 2\]"),
        ([["a", "b"]], CHOICES, "expected numbers, got <U1"),
        ([[True, False]], CHOICES, "expected numbers, got bool"),
        ([[0, 3]], CHOICES, "environment 0, agent 1: expected a choice from 0 to 2, got 3"),
        ([[-1, 0]], CHOICES, "agent 0: expected a choice from 0 to 2, got -1"),
        ([[0.7, 0]], CHOICES, "expected a choice from 0 to 2, got 0.7"),
        ([[NAN, 0]], CHOICES, "expected a choice from 0 to 2, got nan"),
        ([[[1.0, 1.0], [NAN, 1.0]]], NUMBERS, "environment 0, agent 1: NaN; the policy that made it has diverged"),
        ([[[0.5, 0.5, 0.5], [1, 0, 0]]], SPLITS, "agent 0: expected shares .* sum to 1, got 0.5, 0.5, 0.5; .*Logits"),
        ([[[1.0, 0, 0], [1.5, -0.5, 0]]], SPLITS, "agent 1: expected shares that are not negative"),
        ([[[NAN, 0, 0], [1, 0, 0]]], SPLITS, "agent 0: NaN"),
    ],
)
def test_what_is_no_action_is_refused(given: Any, space: spaces.Space[Any], said: str) -> None:
    with pytest.raises(ActionError, match=said):
        actions.joint(given, space, ALL)


def test_not_allowed_counts_agents_that_have_something_to_decide() -> None:
    mask = torch.tensor([[[True, False], [False, False], [False, True]]])
    assert actions.not_allowed(torch.tensor([[1, 1, 1]]), mask).tolist() == [[True, False, False]]


def test_units_and_logits_by_hand() -> None:
    space = spaces.Box(np.float32([[-1, 10]]), np.float32([[1, 20]]))
    assert actions.from_unit(np.array([[[0.0, -1.0]], [[0.5, 3.0]]]), space).tolist() == [[[0, 10]], [[0.5, 20]]]
    space = Simplex(1, 2, [[0.0, np.log(3)]])
    assert actions.from_logits(np.zeros((1, 1, 2)), space).tolist() == [[pytest.approx([0.25, 0.75])]]
    assert actions.from_logits(np.log([[[3.0, 1.0]]]), space).tolist() == [[pytest.approx([0.5, 0.5])]]
    low, high = actions.from_logits(np.array([[[-np.inf, np.inf]]]), Simplex(1, 2))[0, 0]
    assert low == pytest.approx(np.exp(-20), rel=1e-6) and high == pytest.approx(1)


def test_vehicles_do_not_vanish_on_routes_that_are_not_there() -> None:
    """Shares of all six places cost half of what shares of the routes that exist do: the others' vehicles were gone."""
    env = VectorEnv("traffic", {"network": "grid", "horizon": 1}, seed=3)
    seen, _ = env.reset()
    exist = seen["mask"] / seen["mask"].sum(-1, keepdims=True)
    _, fair, *_ = env.step(exist.astype(np.float32))
    env.reset(seed=3)
    _, reward, *_ = env.step(np.full_like(exist, 1 / 6, np.float32))
    assert reward == pytest.approx(fair, rel=1e-6)
    env.reset(seed=3)
    split = np.full_like(exist, 1 / 6, np.float32)
    raw = env._batch.env.step(torch.as_tensor(split)).reward
    assert float(raw) > 0.9 * fair[0], "the environment refuses it itself now: is the bridge's care still needed?"


def test_what_a_cloud_does_with_a_choice_that_is_not_allowed_is_said() -> None:
    env = JointEnv("cloud", {"num_agents": 4, "horizon": 3}, seed=0)
    seen, _ = env.reset()
    *_, info = env.step(seen["mask"].argmin(-1))
    wrong = (seen["mask"].any(-1) & ~seen["mask"].all(-1)).sum()
    assert info["not_allowed"] == wrong


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: JointEnv("clod"), PluginError, "did you mean 'cloud'"),
        (lambda: JointEnv("cloud", {"num_agent": 4}), ConfigError, "did you mean 'num_agents'"),
        (lambda: JointEnv("cloud", load_domain("power").Config()), ConfigError, "expected a Config or a mapping"),
        (lambda: VectorEnv("cloud", num_envs=0), ConfigError, "num_envs = 0: expected a whole number of at least 1"),
        (lambda: VectorEnv("cloud", num_envs="2"), ConfigError, "num_envs = '2': expected a whole number"),
        (lambda: Batch("cloud").reset(seed="a"), ConfigError, "seed = 'a': expected a whole number of at least 0"),
        (lambda: Batch("cloud", seed=-1), ConfigError, "seed = -1: expected a whole number of at least 0"),
        (lambda: Batch("cloud", seed=1.5), ConfigError, "seed = 1.5: expected a whole number of at least 0"),
        (lambda: JointEnv("cloud").step(np.zeros(50, int)), ConfigError, r"call reset\(\) before step"),
        (lambda: Logits(JointEnv("cloud")), ActionError, "of splits alone, and actions are MultiDiscrete"),
        (lambda: VectorLogits(VectorEnv("power")), ActionError, "of splits alone, and actions are Box"),
        (lambda: JointEnv("power").action_masks(), ActionError, "action_masks: of choices alone"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make()
