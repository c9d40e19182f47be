"""Distributions on the unit interval: densities, draws, entropies and the draw of the same chance again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import Tensor

from dgpg.learning.actions.distributions import DISTRIBUTIONS, EDGE, LOG_DEVIATION, START, Beta, Gaussian, Mean

BELOW_ONE = 1 - 2**-24  # the largest that Streams.uniform draws
GAUSSIANS = [(0.0, 0.0), (0.7, -1.0), (-1.5, 0.5), (2.0, -2.0)]
BETAS = [(2.0, 3.0), (1.0, 1.0), (7.5, 1.25), (30.0, 12.0)]
RANDOM = [(name, pair) for name, pairs in (("gaussian", GAUSSIANS), ("beta", BETAS)) for pair in pairs]
IDS = [f"{name} {pair}" for name, pair in RANDOM]


def of(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def reference(name: str, pair: tuple[float, float], a: float) -> tuple[float, float]:
    """Density and distribution function at a, by SciPy."""
    if name == "beta":
        return float(stats.beta.pdf(a, *pair)), float(stats.beta.cdf(a, *pair))
    z = math.log(a / (1 - a))
    normal = stats.norm(pair[0], math.exp(pair[1]))
    return float(normal.pdf(z) / (a * (1 - a))), float(normal.cdf(z))


def test_the_names() -> None:
    assert list(DISTRIBUTIONS) == ["gaussian", "beta", "mean"]
    assert [d.width for d in DISTRIBUTIONS.values()] == [2, 2, 1]


def test_gaussian_by_hand() -> None:
    # At a = 1/2 logit is 0 and 1 / (a (1 - a)) is 4: density 4 / sqrt(2 pi) for m = 0, s = 1.
    density = Gaussian().log_prob(of(0.0, 0.0), torch.tensor(0.5, dtype=torch.float64)).exp()
    assert float(density) == pytest.approx(4 / math.sqrt(2 * math.pi), rel=1e-12)
    assert float(Gaussian().entropy(of(0.3, 0.0))) == pytest.approx(1.4189385332, rel=1e-9)


def test_beta_by_hand() -> None:
    # Beta(2, 3): 12 a (1 - a)^2 is 1.5 at 1/2; mean 2/5.
    density = Beta().log_prob(of(2.0, 3.0), torch.tensor(0.5, dtype=torch.float64)).exp()
    assert float(density) == pytest.approx(1.5, rel=1e-12)
    assert float(Beta().centre(of(2.0, 3.0))) == pytest.approx(0.4, rel=1e-12)


@pytest.mark.parametrize(("name", "pair"), RANDOM, ids=IDS)
@pytest.mark.parametrize("a", [0.01, 0.2, 0.5, 0.93])
def test_densities_are_those_of_scipy(name: str, pair: tuple[float, float], a: float) -> None:
    found = DISTRIBUTIONS[name].log_prob(of(*pair), torch.tensor(a, dtype=torch.float64)).exp()
    assert float(found) == pytest.approx(reference(name, pair, a)[0], rel=1e-9)


@pytest.mark.parametrize(("name", "pair"), RANDOM, ids=IDS)
def test_densities_integrate_to_one(name: str, pair: tuple[float, float]) -> None:
    def density(a: float) -> float:
        return float(DISTRIBUTIONS[name].log_prob(of(*pair), torch.tensor(a, dtype=torch.float64)).exp())

    total, _ = integrate.quad(density, 0, 1, limit=200)
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("name", "pair"), RANDOM, ids=IDS)
def test_draws_invert_the_distribution_function(name: str, pair: tuple[float, float]) -> None:
    noise = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    drawn = DISTRIBUTIONS[name].sample(of(*pair).expand(1000, -1), noise)
    assert (drawn.diff() >= 0).all()
    below = np.array([reference(name, pair, float(a))[1] for a in drawn])
    inside = ((drawn > 2 * EDGE) & (drawn < 1 - 2 * EDGE)).numpy()
    assert inside.sum() > 900
    np.testing.assert_allclose(below[inside], noise.numpy()[inside], atol=1e-6)


@pytest.mark.parametrize(("name", "pair"), RANDOM, ids=IDS)
def test_frequencies_of_random_noise(name: str, pair: tuple[float, float]) -> None:
    count = 20_000
    noise = torch.rand(count, generator=torch.Generator().manual_seed(0))
    drawn = DISTRIBUTIONS[name].sample(torch.tensor(pair).expand(count, -1), noise)
    observed = torch.histc(drawn, 10, 0, 1).numpy()
    expected = count * np.diff([0.0, *(reference(name, pair, k / 10)[1] for k in range(1, 10)), 1.0])
    large = expected > 5
    chi_square = float(((observed - expected)[large] ** 2 / expected[large]).sum())
    assert chi_square < 27.9  # 99.9 % quantile with 9 degrees of freedom


@pytest.mark.parametrize("pair", BETAS)
def test_entropy_of_beta_is_that_of_scipy(pair: tuple[float, float]) -> None:
    assert float(Beta().entropy(of(*pair))) == pytest.approx(float(stats.beta.entropy(*pair)), abs=1e-9)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@given(
    raw=st.tuples(*[st.floats(-50, 50, width=32)] * 2),
    noise=st.one_of(st.floats(0, BELOW_ONE, width=32), st.sampled_from([0.0, BELOW_ONE])),
)
def test_any_output_draws_inside_with_a_finite_density(name: str, raw: tuple[float, float], noise: float) -> None:
    distribution = DISTRIBUTIONS[name]
    outputs = torch.tensor(raw[: distribution.width], requires_grad=True)
    parameters = distribution.parameters(outputs)
    drawn = distribution.sample(parameters, torch.tensor(noise)).detach()
    low, high = (0.0, 1.0) if name == "mean" else (EDGE, 1 - EDGE)
    # float32: 1 - EDGE is rounded.
    assert low * (1 - 1e-6) <= float(drawn) <= high + 1e-7
    if name != "mean":
        density = distribution.log_prob(parameters, drawn)
        assert density.isfinite()
        (slope,) = torch.autograd.grad(density, outputs)
        assert slope.isfinite().all()


def test_the_deviation_starts_small_and_stays_in_its_range() -> None:
    raw = torch.tensor([[1.5, 0.0], [0.0, 100.0], [0.0, -100.0]])
    assert Gaussian().parameters(raw).tolist() == [
        pytest.approx([1.5, START]),
        pytest.approx([0.0, LOG_DEVIATION[1]]),
        pytest.approx([0.0, LOG_DEVIATION[0]]),
    ]


def test_beta_starts_with_its_mode_inside() -> None:
    pair = Beta().parameters(torch.zeros(2))
    assert pair.tolist() == pytest.approx([1 + math.log(2)] * 2)
    assert (Beta().parameters(torch.full((2,), -30.0)) >= 1).all()


@given(
    pair=st.tuples(st.floats(-3, 3), st.floats(*LOG_DEVIATION)), noise=st.floats(0.02, 0.98),
)  # fmt: skip
def test_the_same_chance_under_the_same_parameters_draws_the_same(pair: tuple[float, float], noise: float) -> None:
    policy = of(*pair)
    drawn = Gaussian().sample(policy, torch.tensor(noise, dtype=torch.float64))
    torch.testing.assert_close(Gaussian().again(policy, policy, drawn), drawn, rtol=0, atol=1e-9)


def test_the_same_chance_under_other_parameters() -> None:
    noise = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    old, new = of(0.2, -0.5).expand(3, -1), of(-0.4, 0.3).expand(3, -1)
    again = Gaussian().again(new, old, Gaussian().sample(old, noise))
    torch.testing.assert_close(again, Gaussian().sample(new, noise))


@pytest.mark.parametrize("name", ["gaussian", "mean"])
def test_the_gradient_of_drawing_again_is_the_finite_difference(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    old = torch.tensor([[0.3, -0.6], [-1.0, 0.2]], dtype=torch.float64)[:, : distribution.width]
    actions = torch.tensor([0.35, 0.6], dtype=torch.float64)
    policy = (old + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distribution.again(x, old, actions), policy)


def test_beta_has_no_pathwise_form_and_says_so() -> None:
    assert Beta.offers == {"score"}
    with pytest.raises(NotImplementedError, match="no pathwise"):
        Beta().again(of(2.0, 2.0), of(2.0, 2.0), torch.tensor(0.5))


def test_mean_has_no_chance() -> None:
    policy = torch.tensor([[0.0], [math.log(3)]])
    assert Mean().sample(policy, torch.tensor([0.1, 0.9])).tolist() == pytest.approx([0.5, 0.75])
    assert torch.equal(Mean().log_prob(policy, torch.tensor([0.5, 0.2])), torch.zeros(2))
    assert torch.equal(Mean().entropy(policy), torch.zeros(2))
