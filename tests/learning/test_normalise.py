"""The running scale of value targets."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.learning.networks import ValueNormaliser


def test_before_any_update_nothing_changes() -> None:
    normaliser, value = ValueNormaliser(), torch.tensor([-3.0, 0.0, 7.0])
    assert torch.equal(normaliser.normalise(value), value)
    assert torch.equal(normaliser.denormalise(value), value)


def test_after_one_update_the_moments_are_those_of_the_batch() -> None:
    normaliser = ValueNormaliser()
    normaliser.update(torch.tensor([[1.0, 3.0], [5.0, 7.0]]))
    mean, deviation = normaliser.moments()
    assert math.isclose(mean.item(), 4.0, rel_tol=1e-6)
    assert math.isclose(deviation.item(), math.sqrt(5.0), rel_tol=1e-6)
    assert mean.dtype == deviation.dtype == torch.float32


def test_two_updates_by_hand() -> None:
    normaliser = ValueNormaliser(decay=0.75)
    normaliser.update(torch.tensor([2.0, 4.0]))  # mean 3, square 10
    normaliser.update(torch.tensor([10.0]))  # mean 10, square 100
    # Weights 0.25 * 0.75 and 0.25 of the two batches, divided by their sum 0.4375: 3/7 and 4/7.
    mean, square = (3 * 3 + 4 * 10) / 7, (3 * 10 + 4 * 100) / 7
    got_mean, got_deviation = normaliser.moments()
    assert math.isclose(got_mean.item(), mean, rel_tol=1e-6)
    assert math.isclose(got_deviation.item(), math.sqrt(square - mean**2), rel_tol=1e-6)


@given(st.integers(0, 2**32), st.floats(-1e4, 1e4), st.floats(0.1, 1e3))
def test_round_trip(seed: int, mean: float, deviation: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    normaliser = ValueNormaliser()
    for _ in range(3):
        normaliser.update(mean + deviation * torch.randn(50, generator=draw))
    value = mean + deviation * torch.randn(20, generator=draw)
    back = normaliser.denormalise(normaliser.normalise(value))
    # float32 holds a value near `mean` to one part in 10^7
    torch.testing.assert_close(back, value, rtol=1e-5, atol=1e-6 * (abs(mean) + deviation))


def test_constant_targets_do_not_blow_up() -> None:
    normaliser = ValueNormaliser()
    normaliser.update(torch.full((4,), 1e4))
    assert normaliser.normalise(torch.tensor([1e4])).abs().item() < 1e-3
    assert normaliser.normalise(torch.tensor([1e4 + 1])).isfinite().all()


def test_large_mean_and_small_deviation_keep_their_precision() -> None:
    normaliser = ValueNormaliser()
    normaliser.update(torch.tensor([10_000.0, 10_001.0]))
    assert math.isclose(normaliser.moments()[1].item(), 0.5, rel_tol=1e-3)


def test_state_round_trip() -> None:
    first, second = ValueNormaliser(), ValueNormaliser()
    first.update(torch.tensor([1.0, 9.0]))
    second.load_state_dict(first.state_dict())
    for normaliser in (first, second):
        normaliser.update(torch.tensor([4.0]))
    for one, other in zip(first.moments(), second.moments(), strict=True):
        assert torch.equal(one, other)
