"""What a step costs, by hand, and its slope."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg_power.reward import CostCurves, Tariff, generation, marginal, overload, step_cost


def tensor(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def both(*limit: float) -> tuple[Tensor, Tensor]:
    """The same limits either way."""
    return -tensor(*limit), tensor(*limit)


# 5 + 10 p + 0.5 p^2 and a curve in pieces: 2 $ per MWh, 5 above 20 MW, 9 above 30 MW
CURVES = CostCurves(
    constant=tensor(5, 0),
    linear=tensor(10, 2),
    quadratic=tensor(0.5, 0),
    kink=torch.stack([tensor(0, 0), tensor(20, 30)]),
    kink_slope=torch.stack([tensor(0, 0), tensor(3, 4)]),
)
PLAIN = CostCurves(tensor(5, 0), tensor(10, 2), tensor(0.5, 0), torch.zeros(2, 0).double(), torch.zeros(2, 0).double())
FREE = CostCurves(*(torch.zeros_like(x) for x in (*[tensor(0, 0)] * 3, CURVES.kink, CURVES.kink_slope)))
TARIFF = Tariff(overload=100.0, imbalance=1000.0, curtailment=7.0)


def test_generation_by_hand() -> None:
    output = torch.stack([tensor(4, 10), tensor(0, 25), tensor(2, 40)])
    expected = torch.stack([tensor(5 + 40 + 8, 20), tensor(5, 50 + 15), tensor(5 + 20 + 2, 80 + 60 + 40)])
    torch.testing.assert_close(generation(output, CURVES), expected)


def test_curves_without_kinks() -> None:
    torch.testing.assert_close(generation(tensor(4, 30)[None], PLAIN), tensor(53, 60)[None])
    torch.testing.assert_close(marginal(tensor(4, 30)[None], PLAIN), tensor(14, 2)[None])


def test_the_slope_at_a_kink_is_that_to_its_right() -> None:
    torch.testing.assert_close(marginal(tensor(4, 20)[None], CURVES), tensor(14, 5)[None])


@given(st.floats(0, 60), st.floats(0, 60))
def test_marginal_is_the_slope_of_generation(p: float, q: float) -> None:
    output, step = tensor(p, q)[None], 1e-6
    right = (generation(output + step, CURVES) - generation(output, CURVES)) / step
    near = torch.tensor([min(abs(q - 20), abs(q - 30)) < 2 * step])  # a kink within the step
    if not near:
        torch.testing.assert_close(marginal(output, CURVES), right, rtol=1e-4, atol=1e-4)


def test_overload_counts_both_directions() -> None:
    found = overload(tensor(120, -130, 90, 1e6)[None], *both(100, 100, 100, torch.inf))
    torch.testing.assert_close(found, tensor(20, 30, 0, 0)[None])


def test_overload_counts_each_direction_by_its_own_limit() -> None:
    least, most = tensor(-10, -10, 5, -torch.inf), tensor(100, 100, 30, 0)
    found = overload(torch.stack([tensor(-15, 90, 2, -1e6), tensor(110, 0, 31, 4)]), least, most)
    torch.testing.assert_close(found, torch.stack([tensor(5, 0, 3, 0), tensor(10, 0, 1, 4)]))


CASES: dict[str, tuple[CostCurves, list[float], list[float], float, list[float], float]] = {
    # curves, output, flow, demand, available, cost
    "generation": (CURVES, [4, 25], [0, 0], 29, [40, 25], 53 + 65),
    "overload": (FREE, [4, 25], [60, -45], 29, [40, 25], 100 * (10 + 5)),
    "too little": (FREE, [4, 25], [0, 0], 31, [40, 25], 1000 * 2),
    "too much": (FREE, [4, 25], [0, 0], 27, [40, 25], 1000 * 2),
    "curtailment of wind alone": (FREE, [4, 25], [0, 0], 29, [40, 45], 7 * 20),
    "all": (CURVES, [4, 25], [60, -45], 31, [40, 45], 53 + 65 + 1500 + 2000 + 140),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_by_hand(case: str) -> None:
    curves, output, flow, demand, available, expected = CASES[case]
    found = step_cost(
        tensor(*output)[None], tensor(*flow)[None], tensor(demand), tensor(*available)[None],
        curves, both(50, 40), torch.tensor([False, True]), TARIFF,
    )  # fmt: skip
    torch.testing.assert_close(found, tensor(expected))
