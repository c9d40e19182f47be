"""Values of blocks: what followed, by hand; what is learned of it, on the toy of tests/toy.py."""

import math
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Context, CostModel
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning import Trainer
from dgpg.learning.blocks import BlockValue, of_choices, targets
from dgpg.learning.guidance import marginal_potential

from ..training import run, same

sizes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4))


def drawn(size: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def never(size: tuple[int, int, int]) -> Tensor:
    return torch.zeros(size[:2], dtype=torch.bool)


# --- what followed -------------------------------------------------------------------------------


@given(sizes, st.integers(0, 99), st.floats(0, 0.99))
def test_without_values_a_return_is_the_discounted_sum(size: tuple[int, int, int], seed: int, gamma: float) -> None:
    cost, fee, tail = drawn(size, seed), drawn(size, seed + 1), drawn(size[-1:], seed + 2)
    found = targets.returns(cost, fee, None, tail, never(size), never(size), gamma, 1.0)
    steps = size[0]
    for t in range(steps):
        rest = sum(gamma ** (s - t) * (cost[s] - fee[s]) for s in range(t + 1, steps))
        torch.testing.assert_close(found[t], cost[t] + rest + gamma ** (steps - t) * tail)


@given(sizes, st.integers(0, 99), st.floats(0, 1))
def test_a_value_that_is_right_changes_nothing(size: tuple[int, int, int], seed: int, lambda_: float) -> None:
    cost, fee, tail = drawn(size, seed), drawn(size, seed + 1), drawn(size[-1:], seed + 2)
    right = targets.returns(cost, fee, None, tail, never(size), never(size), 0.9, 1.0)
    found = targets.returns(cost, fee, right, tail, never(size), never(size), 0.9, lambda_)
    torch.testing.assert_close(found, right)


def test_nothing_follows_a_true_end_and_the_average_a_cut() -> None:
    cost = torch.tensor([[[1.0]], [[2.0]], [[4.0]]])
    tail, none = torch.tensor([10.0]), torch.zeros(3, 1, dtype=torch.bool)
    end = torch.tensor([[False], [True], [False]])
    cut = targets.returns(cost, 0 * cost, None, tail, none, end, 0.5, 1.0)
    over = targets.returns(cost, 0 * cost, None, tail, end, end, 0.5, 1.0)
    assert cut.flatten().tolist() == [1 + 0.5 * (2 + 5), 2 + 5, 4 + 5]
    assert over.flatten().tolist() == [1 + 0.5 * 2, 2, 4 + 5]


def test_an_agent_is_paid_for_the_blocks_that_it_chose(toy: ModuleType) -> None:
    """By a loop over agents: what followed in their blocks, above the mean over all blocks of that moment."""
    trainer: Trainer = toy.trainer("ippo-blocks")
    seen = []
    estimate = trainer.returns.estimate
    trainer.returns.estimate = lambda trajectory, *rest: seen.append(trajectory) or estimate(trajectory, *rest)  # type: ignore[method-assign]
    trainer.iterate()
    (trajectory,) = seen
    gamma, mapping = trainer.config.train.gamma, trainer.task.mapping
    found, cost = of_choices(trajectory, mapping, gamma), trajectory.block_cost
    moments = flatten(trajectory.decision)
    change = trajectory.state.flatten(0, 1) - mapping.base_state(moments.context)
    work = mapping.block_work(change, 1.0).view(cost.shape)  # the toy's is done at once: no discount
    fee = float(cost.sum() / work.sum()) * work
    tail = (cost - fee).mean((0, 1)) / (1 - gamma)
    followed = targets.returns(cost, fee, None, tail, trajectory.terminated, trajectory.done, gamma, 1.0)
    steps, envs, agents = found.shape
    for t in range(steps):
        moment = map_tensors(lambda x, t=t: x[t], trajectory.decision)
        index = mapping.influence(moment.observation, moment.context).index
        for b in range(envs):
            for i in range(agents):
                blocks = index[b, i, trajectory.actions[t, b, i]]
                expected = sum(float(followed[t, b, g] - followed[t, b].mean()) for g in blocks)
                assert float(found[t, b, i]) == pytest.approx(expected, abs=1e-4)


def test_all_that_arrived_pays_for_all_costs() -> None:
    work, cost = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[6.0, 2.0]]])
    assert targets.price_of(work, cost) == 2
    assert targets.price_of(0 * work, cost) == 0


def test_what_a_unit_of_work_added() -> None:
    """Two environments: at the first step one gets two units more, and 6 more follow; at the second nothing differs."""
    work, followed = torch.tensor([[3.0, 1.0], [1.0, 1.0]]), torch.tensor([[10.0, 4.0], [7.0, 2.0]])
    every = torch.ones(2, 2, dtype=torch.bool)
    assert targets.added_by(work, followed, every) == 3
    assert targets.added_by(0 * work, followed, every) == 0
    assert targets.added_by(work[:, :1], followed[:, :1], every[:, :1]) == 1.5  # one alone: over its steps


def test_without_a_fee_a_full_machine_looks_cheap() -> None:
    """A job is on the first of two machines, so later jobs go to the other, where each costs 3 for the work of 2.

    They had to be served anyway: what they cost says nothing against the second machine.
    """
    cost = torch.tensor([[[2.0, 0.0]], [[0.0, 3.0]], [[0.0, 3.0]]])
    work = torch.tensor([[[0.0, 0.0]], [[0.0, 2.0]], [[0.0, 2.0]]])
    none, tail = torch.zeros(3, 1, dtype=torch.bool), torch.zeros(2)
    free = targets.returns(cost, 0 * cost, None, tail, none, none, 1.0, 1.0)[0, 0]
    fee = targets.price_of(work, cost) * work
    paid = targets.returns(cost, fee, None, tail, none, none, 1.0, 1.0)[0, 0]
    assert free.tolist() == [2.0, 6.0]
    assert paid.tolist() == [2.0, -2.0]


def test_moments_near_a_cut_are_not_learned_from() -> None:
    none = torch.zeros(5, 1, dtype=torch.bool)
    cut = torch.tensor([False, False, True, False, False]).unsqueeze(-1)
    assert targets.seen_enough(none, none, 2).flatten().tolist() == [True, True, True, False, False]
    assert targets.seen_enough(none, cut, 2).flatten().tolist() == [True, False, False, False, False]
    assert targets.seen_enough(cut, cut, 2).flatten().tolist() == [True, True, True, False, False]


@given(st.tuples(st.integers(2, 6), st.integers(2, 5)), st.integers(0, 99))
def test_within_takes_off_what_no_choice_hears_of(size: tuple[int, int], seed: int) -> None:
    x = drawn(size, seed)
    level = drawn((size[0], 1), seed + 1) + drawn((1, size[1]), seed + 2)
    torch.testing.assert_close(targets.within(x + level), targets.within(x))
    torch.testing.assert_close(targets.within(x).mean(0), torch.zeros(size[1], dtype=x.dtype))
    torch.testing.assert_close(targets.within(x).mean(1), torch.zeros(size[0], dtype=x.dtype))


def test_a_fit_by_hand() -> None:
    assert targets.fit(torch.tensor([1.0, -1.0]), torch.tensor([3.0, -1.0])) == (2.0, 1 - 2 / 10)
    assert targets.fit(torch.zeros(2), torch.tensor([3.0, -1.0])) == (0.0, 0.0)


# --- what is learned -----------------------------------------------------------------------------


class Wrong(CostModel):
    """The toy's cost with the slopes of routes the other way round."""

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * torch.tensor([4.0, 2.0, 1.0])[index] * block[..., 0].square()


def trained(toy: ModuleType, model: CostModel, iterations: int, **settings: object):
    env = toy.Env(16, 1, 6, True)
    learner = toy.small_trainer(
        "dg-pg", env, model, toy.Routes(), seed=1, iterations=iterations, wrap=lambda x: x, horizon=6, minibatches=4,
        epochs=2, actor_hidden=32, critic_hidden=32, actor_lr=0.01, gamma=0.5, alpha={"start": 0.9, "end": 0.9},
        **settings,
    )  # fmt: skip
    return learner, run(learner, iterations)


def test_a_wrong_model_is_left_for_what_blocks_cost(toy: ModuleType) -> None:
    _, followed = trained(toy, Wrong(), 30, blocks={"use": False})
    learner, learned = trained(toy, Wrong(), 30)
    assert learned[20]["block_share"] == 1 and learned[20]["block_fit"] > learned[20]["model_fit"]
    assert followed[-1]["cost"] > 1.5 * 5 / 4  # the optimum costs 5 / 4
    assert learned[-1]["cost"] < 1.15 * 5 / 4
    assert isinstance(learner.blocks.model, BlockValue)


def test_a_right_model_is_not_left(toy: ModuleType) -> None:
    _, learned = trained(toy, toy.RouteCost(), 30)
    assert max(line["block_share"] for line in learned) < 1
    assert learned[-1]["cost"] == pytest.approx(5 / 4, rel=0.05)


def test_the_potential_is_the_sum_of_what_guidance_asks_for(toy: ModuleType) -> None:
    learner, _ = trained(toy, Wrong(), 4)
    decision, env = learner.decision, learner.task.env
    x, context = env.step(torch.zeros(16, 4, dtype=torch.long)).state, decision.context
    value, influence = learner.blocks.model, toy.Routes().influence(decision.observation, context)
    nobody = torch.zeros(16, 4, dtype=torch.bool)
    rise = marginal_potential(value, x, context, influence, nobody.long(), nobody)
    for k in range(3):
        moved = x.clone()
        moved[:, k] += influence.value[:, 0, k, 0]
        more = value.potential(moved, context) - value.potential(x, context)
        torch.testing.assert_close(rise[:, 0, k], more, rtol=1e-4, atol=1e-4)


def test_slices_of_many_blocks_change_no_value(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, _ = trained(toy, Wrong(), 4)
    block, index = drawn((7, 30, 1), 0).float(), torch.arange(30).remainder(3).expand(7, -1)
    whole = learner.blocks.model.block_potential(block, index, learner.decision.context)
    monkeypatch.setattr("dgpg.learning.blocks.value.SLICE", 11)
    torch.testing.assert_close(learner.blocks.model.block_potential(block, index, learner.decision.context), whole)
    assert learner.blocks.correction.share > 0 and whole.shape == (7, 30)


def test_units_of_the_model_mean_nothing(toy: ModuleType) -> None:
    class Cents(Wrong):
        def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
            return 4096 * super().block_potential(block, index, context)  # a power of two: the same digits

    dollars, cents = (trained(toy, model, 6)[1] for model in (Wrong(), Cents()))
    assert [line["cost"] for line in dollars] == pytest.approx([line["cost"] for line in cents], rel=0.02)


def test_what_was_learned_is_saved(toy: ModuleType) -> None:
    learner, _ = trained(toy, Wrong(), 4)
    saved, seen = learner.blocks.state_dict(), learner.parts[0].seen.state_dict()
    other, _ = trained(toy, Wrong(), 1)
    other.blocks.load_state_dict(saved)
    other.parts[0].seen.load_state_dict(seen)
    assert same(other.blocks.state_dict(), saved) and len(seen["memory"]) == 4
    assert same(other.parts[0].seen.state_dict(), seen)


def test_estimators_that_keep_the_objective_hear_nothing_of_it(toy: ModuleType) -> None:
    for name in ("control_variate", "potential_based"):
        assert toy.trainer("dg-pg", estimator=name).blocks is None
    assert toy.trainer("dg-pg", blocks={"use": False}).blocks is None
    assert toy.trainer("mappo").blocks is None
    assert toy.trainer("dg-pg", alpha={"start": 0.0, "end": 0.0}).blocks is None


@pytest.mark.parametrize(("envs", "episode", "steps"), [(1, 1, 1), (4, 1, 1), (4, 3, 20), (1, 2, 7)])
def test_however_short_episodes_are_guidance_is_there(toy: ModuleType, envs: int, episode: int, steps: int) -> None:
    """One moment does not vary, and episodes that are cut early leave little ahead: the model guides all the same."""
    learner = toy.small_trainer(
        "dg-pg", toy.Env(envs, 0, episode, True), Wrong(), toy.Routes(), seed=0, iterations=4, wrap=lambda x: x,
        horizon=steps,
    )  # fmt: skip
    for line in run(learner, 4):
        assert line["guidance_part"] > 0 and all(math.isfinite(line[name]) for name in ("block_fit", "model_fit"))
