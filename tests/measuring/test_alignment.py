"""The alignment check: a good model, and models that are wrong in one way each."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg.domain import Context, CostModel, random
from dgpg.errors import PluginError
from dgpg.learning import Task, actions
from dgpg.learning.networks import MlpActor
from dgpg.measuring import Alignment, alignment
from dgpg.measuring.alignment import Plan
from dgpg.measuring.moments import Even, Sample, reach
from dgpg.measuring.replays import Replays
from dgpg.measuring.statistics import difference
from dgpg.measuring.tries import CANDIDATES, Choices, Moment, Numbers, tries_of
from dgpg.measuring.verdict import Alone, Along

from .. import toy_charging

PLAN = Plan(moments=2, agents=4, lookahead=2)


class Slopes(CostModel):
    """The toy's cost with other slopes."""

    def __init__(self, *slopes: float) -> None:
        super().__init__()
        self.slopes = torch.tensor(slopes)

    def block_potential(self, block: Tensor, index: Tensor, context: Context) -> Tensor:
        return 0.5 * self.slopes[index] * block[..., 0].square()


class Whole:
    """A model that is no sum over blocks as far as the core can see."""

    def potential(self, state: Tensor, context: Context) -> Tensor:
        return 0.5 * (torch.tensor([1.0, 2.0, 4.0]) * state[..., 0].square()).sum(-1)


@pytest.fixture(scope="module")
def of(toy: ModuleType) -> Callable[[object], Alignment]:
    def measured(model: object) -> Alignment:
        return alignment.measure(Task(toy.Env(64, 3), model, toy.Routes()), PLAN, 0)  # type: ignore[arg-type]

    return measured


def test_the_true_cost_is_trusted(of: Callable[[object], Alignment]) -> None:
    found = of(Slopes(1.0, 2.0, 4.0))
    assert found.trusted and "may be trusted" in found.verdict
    assert found.direction > 0.98 and found.worst > 0.9 and found.detail > 0.98
    assert found.scale == pytest.approx(1.0, rel=0.05)
    assert found.states == 128 and found.lookahead == 2


def test_a_model_that_is_no_sum_over_blocks(of: Callable[[object], Alignment]) -> None:
    assert of(Whole()).trusted


def test_a_distance_to_the_even_split_is_trusted(of: Callable[[object], Alignment], toy: ModuleType) -> None:
    assert of(toy.EvenSplit()).trusted


@pytest.mark.parametrize(
    ("slopes", "said"),
    [
        ((4.0, 1.0, 2.0), "misleads"),  # permuted
        ((2.0, 2.0, 2.0), "may not be trusted"),  # homogeneous
        ((1.0, 2000.0, 4.0), "misleads"),  # one route in other units
        ((4.0, 2.0, 1.0), "misleads"),  # upside down
        ((1e6, 2e6, 4e6), "check its units"),
        ((-1.0, -2.0, -4.0), "misleads"),
        ((0.0, 0.0, 0.0), "may not be trusted"),
    ],
)
def test_a_wrong_model_is_not_trusted(of: Callable[[object], Alignment], slopes: tuple[float, ...], said: str) -> None:
    found = of(Slopes(*slopes))
    assert not found.trusted and said in found.verdict


def test_the_same_seed_measures_the_same(of: Callable[[object], Alignment]) -> None:
    assert of(Slopes(1.0, 2.0, 4.0)) == of(Slopes(1.0, 2.0, 4.0))


def sample(noise: float, tilt: float, seed: int = 0) -> Sample:
    """Gradients with a mean of known direction; the model's mean is turned away from it by `tilt` radians."""
    rng = np.random.default_rng(seed)
    states, agents, choices = 400, 3, 4
    mean = np.array([1.0, -1.0, 0.0, 0.0])
    across = np.array([1.0, 1.0, -1.0, -1.0]) / np.sqrt(2)
    said = np.cos(tilt) * mean + np.sin(tilt) * across
    shape = (states, agents, choices)
    features = np.broadcast_to(np.eye(choices), (*shape, choices))
    true = mean + noise * rng.normal(size=shape)
    guided = np.broadcast_to(said, shape)
    shuffled = np.stack([np.broadcast_to(rng.permutation(said), shape) for _ in range(4)])
    return Sample(true, guided, shuffled, features, rng.random(states), guided / 2, np.arange(states))


@pytest.mark.parametrize("tilt", [0.0, 0.5, np.pi / 2, np.pi])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_direction_is_the_angle_between_the_means_whatever_the_noise(noise: float, tilt: float) -> None:
    found = alignment.summarise(sample(noise, tilt), np.random.default_rng(0), 2)
    assert found.direction == pytest.approx(np.cos(tilt), abs=0.05)
    low, high = found.direction_ci95
    assert low - 0.02 <= np.cos(tilt) <= high + 0.02
    assert found.scale == pytest.approx(np.cos(tilt), abs=0.1)


def test_noise_without_a_mean_has_no_direction() -> None:
    quiet = sample(1.0, 0.0)
    noise = np.random.default_rng(1).normal(size=quiet.true.shape)
    found = alignment.summarise(Sample(noise, *list(vars(quiet).values())[1:]), np.random.default_rng(0), 2)
    assert abs(found.detail) < 0.1 and not found.trusted


def test_a_potential_that_is_the_step_s_cost_is_told_what_comes_later() -> None:
    """The model says what a step costs, up to its unit; the truth is that `later` times over, and some noise."""
    told = sample(0.5, 0.0)
    for later, spoken in ((1.0, False), (5.0, True)):
        found = alignment.summarise(replace(told, true=later / 2 * told.true), np.random.default_rng(0), 2)
        assert found.own == pytest.approx(1.0) and found.lasting == pytest.approx(later, rel=0.05)
        assert (f"over the next ones is {found.lasting:.2g} times that" in found.advice) == spoken
    other = replace(
        told, true=5 * told.true, step=sample(0.0, 0.5).guided
    )  # a potential that looks further than its step
    assert alignment.summarise(other, np.random.default_rng(0), 2).advice == ""


def test_a_potential_that_is_paid_back_is_told_so() -> None:
    told = sample(0.5, 0.0)
    found = alignment.summarise(replace(told, true=0.2 * told.true), np.random.default_rng(0), 2)
    assert found.own == pytest.approx(1.0) and found.lasting == pytest.approx(0.4, rel=0.05)
    assert "paid for later" in found.advice


def test_the_true_cost_of_a_step_may_ruin_who_follows_it() -> None:
    """Charging costs now, a car that leaves uncharged costs once, at its departure."""
    found = measured_charging(toy_charging.StepCost(), Plan())
    assert found.own == pytest.approx(1.0) and found.lasting < 0.5 and "paid for later" in found.advice
    assert not found.trusted and found.verdict.startswith("it misleads") and found.lookahead >= toy_charging.STAY - 1
    assert found.alone is not None and found.alone.ruins and found.alone.lost > 1
    assert min(one.direction for one in found.along) == pytest.approx(-1.0, abs=0.05)


def test_a_lookahead_that_is_too_short_for_the_harm_still_shows_it() -> None:
    """Over one step the model is the whole truth; that following it costs more than drawing evenly gives it away."""
    found = measured_charging(toy_charging.StepCost(), Plan(lookahead=1))
    assert found.direction == pytest.approx(1.0) and not found.trusted
    assert "following it alone costs more than drawing evenly" in found.verdict
    assert "costs that come later than the step" in found.verdict and "at once" in found.verdict


def test_a_potential_that_counts_what_is_due_is_trusted() -> None:
    found = measured_charging(toy_charging.Due(), Plan())
    assert found.trusted and found.alone is not None and found.alone.lost < 0.1


def measured_charging(model: CostModel, plan: Plan) -> Alignment:
    task = Task(toy_charging.Env(32, 3), model, toy_charging.Chargers())
    return alignment.measure(task, plan, 0, [toy_charging.AtOnce()])  # type: ignore[list-item]


def test_half_way_to_even_draws_is_too_much_lost() -> None:
    right = alignment.summarise(sample(0.0, 0.0), np.random.default_rng(0), 2)
    luck = np.random.default_rng(0).normal(0, 0.01, 32)

    def held(cost: float, rule: float, noise: float = 1.0) -> Alone:
        own, best, even = cost + noise * luck, rule + noise * luck[::-1], np.full(32, 2.0)
        gap, behind, over = (
            difference(*pair, "")
            for pair in ((best, even), (own, best), (own, even))  # type: ignore[misc]
        )
        return Alone("greedy-potential", cost, 2.0, over, "best", rule, gap, behind)

    for cost, trusted in ((1.0, True), (1.4, True), (1.6, False)):
        found = replace(right, alone=held(cost, 1.0))
        assert found.alone is not None and found.alone.lost == pytest.approx(cost - 1, abs=0.01)
        assert found.trusted == trusted and ("nearer to even draws" in found.verdict) != trusted
    for best in (held(1.9, 2.5), held(1.999, 1.998, 5.0)):  # a rule worse than even draws, one that may be so by chance
        assert best.lost == 0.0 and replace(right, alone=best).trusted


@pytest.mark.parametrize(("tilt", "noise"), [(0.45, 6.0), (0.0, 4.0)])
def test_the_interval_of_a_direction_covers_it(tilt: float, noise: float) -> None:
    """Of noisy states: what is drawn twice must not be multiplied by itself, or intervals fall towards 0."""
    covered, inside, many = 0, 0, 40
    for seed in range(many):
        told = sample(noise, tilt, seed)
        few = Sample(*(x[:, :144] if name == "shuffled" else x[:144] for name, x in vars(told).items()))
        moments = replace(few, env=np.tile(np.arange(48), 3))
        found = alignment.summarise(moments, np.random.default_rng(seed), 2, resamples=200)
        low, high = found.direction_ci95
        covered += low <= np.cos(tilt) <= high + 1e-9
        inside += low <= found.direction <= high + 1e-9
    assert covered / many > 0.8 and inside / many > 0.9


def test_pieces_that_disagree_are_both_told() -> None:
    """Following it alone is far better than even draws; in states of the rule it points the wrong way."""
    right = alignment.summarise(sample(0.0, 0.0), np.random.default_rng(0), 2)
    over = difference(np.full(9, 1.0), np.full(9, 2.0), "even draws")
    wrong = (Along("best", -0.7, (-0.9, -0.4), 48),)
    helped = replace(right, along=wrong, alone=Alone("greedy-potential", 1.0, 2.0, over))
    assert not helped.trusted and helped.verdict.startswith("use alpha 0.5") and "following it helps" in helped.verdict
    assert replace(right, along=wrong).verdict.startswith("it misleads where it is followed")


def test_a_rule_with_the_follower_s_name_is_not_taken_for_it() -> None:
    class Namesake(toy_charging.AtOnce):
        name = "greedy-potential"

    task = Task(toy_charging.Env(16, 3), toy_charging.StepCost(), toy_charging.Chargers())
    found = alignment.measure(task, Plan(lookahead=1), 0, [Namesake()])  # type: ignore[list-item]
    assert (
        found.alone is not None and found.alone.rule_cost is not None and found.alone.cost > 2 * found.alone.rule_cost
    )


def test_a_potential_that_takes_all_blocks_for_alike_has_no_control() -> None:
    told = sample(0.5, 0.0)
    alike = replace(told, shuffled=np.stack([told.guided * (1 + 1e-6)] * 4))  # but for rounding
    found = alignment.summarise(alike, np.random.default_rng(0), 2)
    assert found.symmetric and not found.trusted and found.gain == pytest.approx(0.0, abs=1e-5)
    assert "if its blocks are alike" in found.verdict and "does not apply" in found.verdict
    assert not alignment.summarise(told, np.random.default_rng(0), 2).symmetric


def test_a_try_is_followed_until_what_it_does_has_died_out(toy: ModuleType) -> None:
    """A step of the toy costs by itself alone; a car costs until it leaves."""
    env = toy.Env(16, 3, horizon=6)
    routes = tries_of(env, toy.Routes())
    assert reach(Replays(env, routes), Even(routes), 0) == 1
    cars = toy_charging.Env(16, 3)
    way = tries_of(cars, toy_charging.Chargers())
    assert toy_charging.STAY - 2 <= reach(Replays(cars, way), Even(way), 0) <= toy_charging.STAY


def test_even_draws_are_even_and_allowed(toy: ModuleType) -> None:
    way = Choices(toy.Routes())
    mask = torch.tensor([[[True, False, True, True], [False, False, False, False], [False, True, False, False]]])
    seen = type("Seen", (), {"mask": mask})
    noise = (torch.arange(900) + 0.5) / 900
    drawn = torch.stack([way.even(seen, x.expand(1, 3)) for x in noise])[:, 0]  # type: ignore[arg-type]
    assert drawn[:, 0].bincount(minlength=4).tolist() == [300, 0, 300, 300]
    assert (drawn[:, 2] == 1).all()


# --- continuous actions ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_box(toy_box: ModuleType) -> Callable[..., Alignment]:
    def measured(*prices: float) -> Alignment:
        model = toy_box.Cost()
        model.prices = prices
        return alignment.measure(Task(toy_box.Env(64, 3), model, toy_box.Loads()), PLAN, 0)

    return measured


def test_the_true_cost_of_continuous_actions_is_trusted(of_box: Callable[..., Alignment]) -> None:
    found = of_box(1.0, 2.0, 4.0)
    assert found.trusted and found.direction > 0.98 and found.detail > 0.98
    assert found.scale == pytest.approx(1.0, rel=0.05)
    assert found == of_box(1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ((1.0, 2.0, 0.0), "misleads where it is followed"),  # what is missing costs nothing: wrong where much is
        ((1.0, 2.0, 400.0), "may not be trusted"),  # one block in other units
        ((4.0, 2.0, 1.0), "misleads where it is followed"),  # upside down
        ((-1.0, -2.0, -4.0), "misleads"),
        ((0.0, 0.0, 0.0), "may not be trusted"),
        ((1e6, 2e6, 4e6), "check its units"),
    ],
)
def test_a_wrong_model_of_continuous_actions_is_not_trusted(
    of_box: Callable[..., Alignment], prices: tuple[float, ...], said: str
) -> None:
    found = of_box(*prices)
    assert not found.trusted and said in found.verdict


@pytest.fixture
def moment(toy_box: ModuleType) -> tuple[Numbers, Moment]:
    env = toy_box.Env(2, still=True)
    way = tries_of(env, toy_box.Loads())
    assert isinstance(way, Numbers)
    decision = env.reset()
    actions = way.even(decision.observation, torch.full((2, 3, 2), 0.5))
    tried, mask = way.tries(decision.observation, random.Streams(0, 2))
    agents = torch.tensor([[2, 0], [1, 2]])
    chosen = (x.gather(1, agents.view(2, 2, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])) for x in (tried, mask))
    return way, Moment(decision, actions, env.step(actions).state, agents, *chosen)


def test_candidates_lie_within_the_bounds_of_who_tries_them(
    moment: tuple[Numbers, Moment], toy_box: ModuleType
) -> None:
    _, at = moment
    assert at.tried.shape == (2, 2, CANDIDATES, 2) and at.mask.all()
    low, high = (torch.tensor(end)[at.agents].unsqueeze(2) for end in (toy_box.LOW, toy_box.HIGH))
    assert ((at.tried >= low) & (at.tried <= high)).all()


def test_one_agent_alone_does_something_else(moment: tuple[Numbers, Moment]) -> None:
    _, at = moment
    changed = at.instead(0, 3)
    assert torch.equal(changed[0, 2], at.tried[0, 0, 3]) and torch.equal(changed[1, 1], at.tried[1, 0, 3])
    assert torch.equal(changed[0, :2], at.actions[0, :2]) and torch.equal(changed[1, [0, 2]], at.actions[1, [0, 2]])


def test_what_the_model_says_about_a_try_by_hand(moment: tuple[Numbers, Moment], toy_box: ModuleType) -> None:
    way, at = moment
    (found,) = way.rises([toy_box.Cost()], at)
    load = at.actions[1].clone()
    load[2] = at.tried[1, 1, 4]
    one, other = load.sum(0).tolist()
    missing = 4 - (one - 0.05 * one**2) - (other - 0.05 * other**2)
    assert found.shape == (2, 2, CANDIDATES)
    assert float(found[1, 1, 4]) == pytest.approx(0.5 * (one**2 + 2 * other**2 + 4 * missing**2), rel=1e-5)


def test_features_are_the_gradient_of_the_last_layer(moment: tuple[Numbers, Moment], toy_box: ModuleType) -> None:
    way, at = moment
    env = toy_box.Env(2)
    actor = actions.make_actor(env, way.kind, "shared", 8, 0)
    assert isinstance(actor, MlpActor)
    features = way.features(actor, at)
    seen = at.decision.observation
    hidden = actor.hidden(seen.agent, seen.choices)[1, 1]
    low, high = (torch.tensor(end)[1] for end in (toy_box.LOW, toy_box.HIGH))
    share = (at.tried[1, 0] - low) / (high - low)
    expected = torch.outer(share[2] - share.mean(0), hidden).flatten()
    torch.testing.assert_close(features[1, 0, 2], expected.detach())


# --- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "said"), [(1.0, "may be trusted with a large alpha"), (-1.0, "misleads")], ids=["right", "wrong sign"]
)
def test_models_of_splits_are_told_apart(toy_simplex: ModuleType, sign: float, said: str) -> None:
    class Cost(toy_simplex.Cost):  # type: ignore[misc, name-defined]
        def block_potential(self, *args: Any) -> Tensor:
            return sign * super().block_potential(*args)  # type: ignore[no-any-return]

    found = alignment.measure(Task(toy_simplex.Env(64, 3), Cost(), toy_simplex.Loads()), PLAN, 0)
    assert said in found.verdict
    assert found.scale == pytest.approx(sign, rel=0.05)


def test_tries_of_splits_are_splits_of_what_is_allowed(toy_simplex: ModuleType) -> None:
    env = toy_simplex.Env(3)
    way, seen = tries_of(env, toy_simplex.Loads()), env.reset().observation
    assert isinstance(way, Numbers)
    tried, may = way.tries(seen, random.Streams(0, 3))
    assert tried.shape == (3, 4, CANDIDATES, 3) and torch.equal(may[..., 0], seen.active) and not may.all()
    active = seen.active
    torch.testing.assert_close(tried.sum(-1), torch.ones(3, 4, CANDIDATES))
    assert (tried[active] * ~seen.mask[active].unsqueeze(1) == 0).all()
    free = seen.mask.sum(-1) > 1
    assert (tried[free].std(1).amax(-1) > 0.01).all()


def test_features_of_splits_are_the_gradient_of_the_last_layer(toy_simplex: ModuleType) -> None:
    env = toy_simplex.Env(2, still=True)
    way, decision = tries_of(env, toy_simplex.Loads()), env.reset()
    tried, mask = way.tries(decision.observation, random.Streams(0, 2))
    agents = torch.arange(4).expand(2, 4)
    at = Moment(decision, tried[:, :, 0], env.step(tried[:, :, 0]).state, agents, tried, mask)
    actor = actions.make_actor(env, actions.kind_of(env.action_space), "shared", 8, 0)
    assert isinstance(actor, MlpActor)
    last = actor.hidden(*actor.features(decision.observation.agent, decision.observation.choices))
    expected = torch.outer(tried[1, 2, 3] - tried[1, 2].mean(0), last[1, 2]).flatten()
    torch.testing.assert_close(way.features(actor, at)[1, 2, 3], expected.detach())


def test_a_mapping_for_the_other_kind_is_refused(toy: ModuleType, toy_box: ModuleType) -> None:
    with pytest.raises(PluginError, match="state\\(actions, context\\)"):
        tries_of(toy_box.Env(), toy.Routes())
    with pytest.raises(PluginError, match="base_state and influence"):
        tries_of(toy.Env(), toy_box.Loads())
