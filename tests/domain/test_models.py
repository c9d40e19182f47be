"""The two bases for analytical models."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dgpg.domain import AnalyticalModel, Context, CostModel, DistanceModel, SupportsBlockPotential, SupportsOwnConfig


class Gap(DistanceModel):
    """Reference and weight as given."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("w", weight)

    def reference(self, context: Context) -> Tensor:
        return context["reference"]

    def weight(self) -> Tensor:
        return self.get_buffer("w")


class Delay(CostModel):
    """price_g (exp(sum_j x_gj) + x_g0^4): coordinates of one block coupled, blocks different."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return context["price"].gather(-1, index) * (block.sum(-1).exp() + block[..., 0] ** 4)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(seed: int, batch: int, blocks: int, coordinates: int) -> list[tuple[CostModel, Context]]:
    reference = drawn(seed + 1, batch, blocks, coordinates)
    price = drawn(seed + 2, batch, blocks).abs() + 0.1
    weight = drawn(seed + 3, blocks, coordinates).abs() + 0.1
    return [(Gap(weight), {"reference": reference}), (Delay(), {"price": price})]


def test_distance_by_hand() -> None:
    model = Gap(torch.tensor([[1.0, 2.0], [4.0, 0.0]]))
    context = {"reference": torch.tensor([[[1.0, 1.0], [0.0, 5.0]]])}
    state = torch.tensor([[[2.0, 4.0], [0.5, 9.0]]])
    # 1/2 (1 * 1 + 2 * 9) + 1/2 (4 * 1/4 + 0)
    assert model.potential(state, context).tolist() == [10.0]
    # block 1 asked for twice, at coordinates of the asker's choice
    blocks, index = torch.tensor([[[0.5, 0.0], [1.0, 0.0]]]), torch.tensor([[1, 1]])
    assert model.block_potential(blocks, index, context).tolist() == [[0.5, 2.0]]


sizes = st.tuples(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))


@given(sizes)
def test_potential_is_the_sum_over_blocks_and_not_negative(size: tuple[int, int, int, int]) -> None:
    state = drawn(*size)
    for model, context in make(*size):
        total = model.potential(state, context)
        blocks = [
            model.block_potential(state[:, g : g + 1], torch.full((size[1], 1), g), context)[:, 0]
            for g in range(size[2])
        ]
        torch.testing.assert_close(total, torch.stack(blocks).sum(0))
        assert (total >= 0).all()


@given(sizes)
def test_a_batch_is_its_environments(size: tuple[int, int, int, int]) -> None:
    state = drawn(*size)
    for model, context in make(*size):
        together = model.potential(state, context)
        for b in range(size[1]):
            alone = model.potential(state[b : b + 1], {k: v[b : b + 1] for k, v in context.items()})
            torch.testing.assert_close(together[b : b + 1], alone)


@pytest.mark.parametrize("seed", range(3))
def test_gradient(seed: int) -> None:
    for model, context in make(seed, 2, 3, 2):
        state = drawn(seed, 2, 3, 2).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, m=model, c=context: m.potential(x, c), state)


def test_distance_is_zero_at_the_reference_with_zero_gradient() -> None:
    model, context = make(0, 2, 3, 2)[0]
    state = context["reference"].clone().requires_grad_()
    potential = model.potential(state, context)
    potential.sum().backward()
    assert potential.tolist() == [0, 0] and state.grad is not None and (state.grad == 0).all()


def test_no_gradient_reaches_the_reference() -> None:
    model, context = make(0, 1, 2, 1)[0]
    context["reference"].requires_grad_()
    potential = model.potential(torch.ones(1, 2, 1, dtype=torch.float64, requires_grad=True), context)
    potential.sum().backward()
    assert context["reference"].grad is None


def test_models_are_modules_and_fit_the_protocols() -> None:
    for model, _ in make(0, 1, 2, 1):
        assert isinstance(model, nn.Module)
        assert isinstance(model, AnalyticalModel) and isinstance(model, SupportsBlockPotential)
        assert not isinstance(model, SupportsOwnConfig)
    model = make(0, 1, 2, 1)[0][0]
    assert model.to(torch.float32).get_buffer("w").dtype == torch.float32


@pytest.mark.parametrize("base", [CostModel, DistanceModel])
def test_what_is_required_is_abstract(base: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()
