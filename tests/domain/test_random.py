"""Random streams and processes: independent of each other, of the batch and of every global generator."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain import Streams
from dgpg.domain.random import autoregressive, derive, generator


def test_derive_is_the_first_48_bits_of_sha256() -> None:
    assert derive(7, "actions", 3) == int(hashlib.sha256(b"7/actions/3").hexdigest()[:12], 16)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_derived_seeds_are_in_range_and_differ(one: int, other: int) -> None:
    seeds = {derive(one, "actor"), derive(one, "critic"), derive(other, "actor"), derive(other, "critic")}
    assert len(seeds) == (2 if one == other else 4)
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_generator_is_its_own() -> None:
    before = torch.random.get_rng_state()
    drawn = torch.rand(3, generator=generator(5))
    assert torch.equal(drawn, torch.rand(3, generator=generator(5)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_streams_draw_what_numpy_draws_from_seed_plus_b() -> None:
    drawn = Streams(10, 3).uniform(2, 4)
    assert drawn.shape == (3, 2, 4) and drawn.dtype == torch.float32
    for b in range(3):
        expected = np.random.default_rng(10 + b).random((2, 4), dtype=np.float32)
        assert np.array_equal(drawn[b].numpy(), expected)


@given(st.integers(0, 2**48), st.integers(1, 5), st.data())
def test_an_environment_draws_the_same_alone(seed: int, num_envs: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, num_envs - 1))
    batch, alone = Streams(seed, num_envs), Streams(seed + b, 1)
    for shape in [(3,), (), (2, 2)]:
        assert torch.equal(batch.uniform(*shape)[b], alone.uniform(*shape)[0])


def test_state_goes_on_where_it_was_saved() -> None:
    streams = Streams(1, 2)
    streams.uniform(3)  # an odd count: half of a 64-bit word is left over, and belongs to the state
    state, expected = streams.state_dict(), streams.uniform(5)
    other = Streams(99, 2)
    other.load_state_dict(state)
    assert torch.equal(other.uniform(5), expected)


def test_a_state_of_another_batch_size_is_refused() -> None:
    assert len(Streams(1, 2)) == 2
    with pytest.raises(ValueError):
        Streams(1, 3).load_state_dict(Streams(1, 2).state_dict())


def test_uniform_is_uniform() -> None:
    drawn = Streams(3, 4).uniform(25_000)
    assert drawn.min() >= 0 and drawn.max() < 1
    # Standard error of a mean of 100,000 uniform numbers is 0.0009; five of them.
    assert abs(drawn.mean().item() - 0.5) < 0.005


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_the_process_has_unit_variance_and_the_memory_asked_for(memory: float) -> None:
    x = autoregressive(np.random.default_rng(0).standard_normal((30, 20_000)), memory)
    # over 20,000 paths a variance or correlation is off by about 1 %
    np.testing.assert_allclose(x.var(1), 1.0, atol=0.05)
    for lag in (1, 3):
        assert np.mean(x[10] * x[10 + lag]) == pytest.approx(memory**lag, abs=0.04)


def test_the_process_by_hand() -> None:
    np.testing.assert_allclose(autoregressive(np.array([2.0, 1.0, -1.0]), 0.6), [2.0, 2.0, 0.4])


def test_autoregression_leaves_its_argument_alone() -> None:
    innovation = np.ones(3)
    autoregressive(innovation, 0.5)
    assert innovation.tolist() == [1, 1, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0, 0.99))
def test_the_process_is_its_recursion_in_every_column(seed: int, steps: int, memory: float) -> None:
    innovation = np.random.default_rng(seed).standard_normal((steps, 2, 3))
    expected = [innovation[0]]
    for e in innovation[1:]:
        expected.append(memory * expected[-1] + (1 - memory**2) ** 0.5 * e)
    np.testing.assert_allclose(autoregressive(innovation, memory), expected, rtol=1e-9, atol=1e-12)
