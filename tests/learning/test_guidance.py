"""What each choice does to the potential, against the dense influence that only tests build."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Context, CostModel, DistanceModel, Influence
from dgpg.learning.advantage import centre
from dgpg.learning.guidance import gather_blocks, linear_potential, marginal_potential, own_part, own_scale


class Gap(DistanceModel):
    def reference(self, context: Context) -> Tensor:
        return context["reference"]

    def weight(self) -> Tensor:
        return torch.arange(1, 13, dtype=torch.float64).view(4, 3)[:, : self.coordinates]

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.coordinates = coordinates


class Delay(CostModel):
    """Neither quadratic nor a sum over the coordinates of a block."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return context["price"].gather(-1, index) * (0.3 * block.sum(-1)).exp() + block[..., 0] ** 4


def gap_by_hand(x: Tensor, context: Context) -> Tensor:
    gap = (x - context["reference"]).flatten(1)
    weight = torch.diag(torch.arange(1, 13, dtype=x.dtype).view(4, 3)[:, : x.shape[-1]].flatten())
    return 0.5 * torch.einsum("bi,ij,bj->b", gap, weight, gap)


def delay_by_hand(x: Tensor, context: Context) -> Tensor:
    return sum(
        context["price"][:, g] * torch.exp(0.3 * sum(x[:, g, j] for j in range(x.shape[-1]))) + x[:, g, 0] ** 4
        for g in range(x.shape[1])
    )


BLOCKS = 4
sizes = st.tuples(
    st.integers(0, 2**32),  # seed
    st.integers(1, 2),  # environments
    st.integers(1, 3),  # agents
    st.integers(1, 4),  # choices
    st.integers(1, 3),  # blocks of a choice
    st.integers(1, 3),  # coordinates of a block
)
Size = tuple[int, int, int, int, int, int]


class Case:
    """A random moment: four blocks, so choices of one agent overlap in some of them."""

    def __init__(self, size: Size) -> None:
        seed, batch, agents, choices, places, coordinates = size
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=draw, dtype=torch.float64)

        index = torch.rand(batch, agents, choices, BLOCKS, generator=draw).argsort(-1)[..., :places]
        self.influence = Influence(index, normal(batch, agents, choices, places, coordinates))
        self.context = {
            "reference": normal(batch, BLOCKS, coordinates),
            "price": normal(batch, BLOCKS).abs(),
        }
        self.actions = torch.randint(choices, (batch, agents), generator=draw)
        self.active = torch.rand(batch, agents, generator=draw) < 0.7
        self.base = normal(batch, BLOCKS, coordinates)

    @property
    def dense(self) -> Tensor:
        """z_i(k), `[B, N, K, G, m]`."""
        index, value = self.influence.index, self.influence.value
        z = torch.zeros(*index.shape[:3], BLOCKS, value.shape[-1], dtype=value.dtype)
        return z.scatter_add(3, index.unsqueeze(-1).expand_as(value), value)

    @property
    def own(self) -> Tensor:
        """z_i(a_i), zero of inactive agents, `[B, N, G, m]`."""
        z = torch.stack([row[torch.arange(len(a)), a] for row, a in zip(self.dense, self.actions, strict=True)])
        return z * self.active[..., None, None]

    @property
    def state(self) -> Tensor:
        return self.base + self.own.sum(1)

    def exact(self, model: CostModel) -> Tensor:
        return marginal_potential(model, self.state, self.context, self.influence, self.actions, self.active)

    def linear(self, model: CostModel) -> Tensor:
        return linear_potential(model, self.state, self.context, self.influence)


def models(size: Size):
    return [(Gap(size[-1]), gap_by_hand), (Delay(), delay_by_hand)]


@given(sizes)
def test_marginal_potential_against_brute_force(size: Size) -> None:
    case = Case(size)
    dense = case.dense
    for model, potential in models(size):
        got = case.exact(model)
        for i in range(size[2]):
            without = case.state - case.own[:, i]
            for k in range(size[3]):
                rise = potential(without + dense[:, i, k], case.context) - potential(without, case.context)
                torch.testing.assert_close(got[:, i, k], rise, rtol=1e-8, atol=1e-8)


@given(sizes, st.integers(0, 3))
def test_marginal_potential_does_not_depend_on_the_agents_own_action(size: Size, other: int) -> None:
    case = Case(size)
    before = [case.exact(model)[:, 0] for model, _ in models(size)]
    case.actions[:, 0] = other % size[3]
    for (model, _), expected in zip(models(size), before, strict=True):
        torch.testing.assert_close(case.exact(model)[:, 0], expected, rtol=1e-8, atol=1e-8)


@given(sizes)
def test_unused_places_may_name_any_block(size: Size) -> None:
    """A choice padded with zero values at a block that it touches already."""
    case = Case(size)
    padded, influence = Case(size), case.influence
    padded.influence = Influence(
        torch.cat([influence.index, influence.index[..., :1]], -1),
        torch.cat([influence.value, torch.zeros_like(influence.value[..., :1, :])], -2),
    )
    for model, _ in models(size):
        torch.testing.assert_close(padded.exact(model), case.exact(model))


@given(sizes)
def test_linear_potential_is_the_directional_derivative(size: Size) -> None:
    case = Case(size)
    for model, potential in models(size):
        got = case.linear(model)
        for i in range(size[2]):
            for k in range(size[3]):
                _, slope = torch.autograd.functional.jvp(
                    lambda x, f=potential: f(x, case.context), case.state, case.dense[:, i, k]
                )
                torch.testing.assert_close(got[:, i, k], slope, rtol=1e-8, atol=1e-8)


@given(sizes)
def test_linear_counts_the_own_action_of_a_quadratic_potential_twice(size: Size) -> None:
    """linear - exact = <W z(a), z(k)> - 1/2 |z(k)|_W^2, which is 1/2 |z(a)|_W^2 at the action taken."""
    case = Case(size)
    model = Gap(size[-1])
    weight, dense = model.weight(), case.dense
    bias = case.linear(model) - case.exact(model)
    cross = (weight * case.own.unsqueeze(2) * dense).sum((-1, -2))
    torch.testing.assert_close(bias, cross - 0.5 * (weight * dense.square()).sum((-1, -2)))
    taken = bias.gather(-1, case.actions.unsqueeze(-1)).squeeze(-1)
    half = 0.5 * (weight * case.own.square()).sum((-1, -2))
    torch.testing.assert_close(taken[case.active], half[case.active])


def test_first_order_flips_a_ranking() -> None:
    """theory.md section 4: a job of size 1; servers of rate 1 without and rate 2 with a backlog of 0.8."""

    class Backlog(DistanceModel):
        def reference(self, context: Context) -> Tensor:
            return torch.zeros(1, 2, 1)

        def weight(self) -> Tensor:
            return torch.tensor([[1.0], [2.0]])  # rates; the state is work / rate

    influence = Influence(torch.tensor([[[[0], [1]]]]), torch.tensor([[[[[1.0]], [[0.5]]]]]))
    base, active = torch.tensor([[[0.0], [0.4]]]), torch.tensor([[True]])
    sampled = []
    for action, taken in enumerate([[1.0, 0.0], [0.0, 0.5]]):
        actions, state = torch.tensor([[action]]), base + torch.tensor(taken).view(1, 2, 1)
        exact = marginal_potential(Backlog(), state, {}, influence, actions, active)
        torch.testing.assert_close(exact, torch.tensor([[[0.50, 0.65]]]))
        sampled.append(linear_potential(Backlog(), state, {}, influence)[0, 0, action].item())
    assert sampled == pytest.approx([1.0, 0.9])


def test_a_potential_that_is_no_sum_over_blocks_falls_back_to_first_order() -> None:
    class Norm:
        def potential(self, state: Tensor, context: Context) -> Tensor:
            return state.flatten(1).norm(dim=-1)

    case = Case((0, 2, 3, 4, 2, 2))
    got = case.exact(Norm())  # type: ignore[arg-type]
    gradient = case.state / case.state.flatten(1).norm(dim=-1).view(-1, 1, 1)
    expected = (gradient[:, None, None] * case.dense).sum((-1, -2))
    torch.testing.assert_close(got, expected)


def test_linear_potential_works_without_gradients_and_leaves_none() -> None:
    case = Case((0, 2, 3, 4, 2, 2))
    state = case.state
    with torch.no_grad():
        got = linear_potential(Delay(), state, case.context, case.influence)
    torch.testing.assert_close(got, case.linear(Delay()))
    assert not got.requires_grad and not state.requires_grad and state.grad is None


@given(sizes)
def test_own_part_and_gather_against_the_dense_form(size: Size) -> None:
    case = Case(size)
    index = case.influence.index
    own = own_part(case.influence, case.actions, case.active)
    blocks = gather_blocks(case.state, index)
    for b, i, k, p in product(*map(range, index.shape)):
        g = index[b, i, k, p]
        assert torch.equal(blocks[b, i, k, p], case.state[b, g])
        torch.testing.assert_close(own[b, i, k, p], case.own[b, i, g])


def test_own_scale_by_hand() -> None:
    value = torch.tensor([[[[3.0, 4.0]], [[0.0, 1.0]], [[9.0, 9.0]]]]).view(1, 1, 3, 1, 2)
    influence = Influence(torch.zeros(1, 1, 3, 1, dtype=torch.long), value)
    assert own_scale(influence, torch.tensor([[[True, True, False]]])).tolist() == [[3.0]]
    assert own_scale(influence, torch.tensor([[[False, False, False]]])).tolist() == [[0.0]]


def gradients(logits: Tensor, mask: Tensor, case: Case, model: CostModel) -> dict[str, Tensor]:
    """-grad G and the expectation of each estimator, by enumeration of every joint action."""
    agents, choices = logits.shape
    joint = torch.cartesian_prod(*[torch.arange(choices)] * agents).view(-1, agents)
    many = Case.__new__(Case)
    many.influence = Influence(*(x.expand(len(joint), *x.shape[1:]) for x in vars(case.influence).values()))
    many.context = {k: v.expand(len(joint), *v.shape[1:]) for k, v in case.context.items()}
    many.base, many.actions = case.base.expand(len(joint), -1, -1), joint
    many.active = mask.any(-1).expand(len(joint), -1)
    logits = logits.detach().requires_grad_()
    nothing = ~mask.any(-1, keepdim=True)
    logs = logits.masked_fill(~(mask | nothing), -torch.inf).log_softmax(-1)
    of_action = logs.expand(len(joint), -1, -1).gather(-1, joint.unsqueeze(-1)).squeeze(-1)
    weight = of_action.sum(-1).exp()
    score = of_action.masked_fill(of_action == -torch.inf, 0.0) * many.active
    exact, linear = many.exact(model), many.linear(model)
    u = centre(exact, logs.exp().detach().expand_as(exact))
    at = joint.unsqueeze(-1)
    fixed = weight.detach().unsqueeze(-1)
    expressions = {
        "true": -(weight * model.potential(many.state, many.context)).sum(),
        "exact": (fixed * score * u.gather(-1, at).squeeze(-1)).sum(),
        "all_action": (fixed * (logs.exp() * u).sum(-1) * many.active).sum(),
        "first_order": (fixed * score * -linear.gather(-1, at).squeeze(-1)).sum(),
    }
    return {k: torch.autograd.grad(e, logits, retain_graph=True)[0] for k, e in expressions.items()}


@given(st.integers(0, 2**32), st.integers(2, 3), st.integers(2, 3), st.booleans())
def test_exact_and_all_action_are_unbiased_for_the_one_step_potential(
    seed: int, agents: int, choices: int, masked: bool
) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.ones(agents, choices, dtype=torch.bool)
    if masked:  # one choice closed to the first agent, nothing to decide for the last
        mask[0, 0], mask[-1] = False, False
    logits = torch.randn(agents, choices, generator=draw, dtype=torch.float64)
    for model in (Gap(2), Delay()):
        got = gradients(logits, mask, Case((seed, 1, agents, choices, 2, 2)), model)
        torch.testing.assert_close(got["exact"], got["true"], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(got["all_action"], got["true"], rtol=1e-8, atol=1e-8)


@given(st.integers(0, 2**32))
def test_first_order_is_biased_where_choices_differ_in_size(seed: int) -> None:
    logits, mask = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.bool)
    case = Case((seed, 1, 2, 2, 1, 1))
    size = (Gap(1).weight() * case.dense.square()).sum((-1, -2))
    assume(((size[..., 0] - size[..., 1]).abs() > 0.1).all())
    got = gradients(logits, mask, case, Gap(1))
    # Uniform over two choices: d pi(0) / d logit(0) = 1/4, so the bias is 1/4 of half the difference.
    bias = -(size[0, :, 0] - size[0, :, 1]) / 8
    torch.testing.assert_close(got["first_order"][:, 0] - got["true"][:, 0], bias)
    assert (bias.abs() > 0.01).all()


@given(st.integers(0, 2**32))
def test_first_order_is_unbiased_for_the_quadratic_where_choices_have_one_size(seed: int) -> None:
    case = Case((seed, 1, 3, 3, 1, 1))
    root = Gap(1).weight()[case.influence.index].sqrt()
    case.influence = replace(case.influence, value=case.influence.value.sign() / root)
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    got = gradients(logits, torch.ones(3, 3, dtype=torch.bool), case, Gap(1))
    torch.testing.assert_close(got["first_order"], got["true"])
