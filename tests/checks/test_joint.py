"""The check of a continuous mapping's slope where it has a kink, and mappings of the other kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg import checks
from dgpg.checks import joint
from dgpg.checks.subject import ends
from dgpg.domain import Context, Decision

KINK = 0.5


class Half(torch.autograd.Function):
    """min(a, KINK) with any slope that one asks for at the kink."""

    slope = 1.0

    @staticmethod
    def forward(ctx: Any, actions: Tensor) -> Tensor:
        ctx.save_for_backward(actions)
        return actions.clamp(max=KINK)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (actions,) = ctx.saved_tensors
        return gradients[0] * torch.where(actions == KINK, Half.slope, (actions < KINK).float())


@pytest.fixture
def at_the_kink(toy_box: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], checks.Subject]:
    """A toy that takes no more than KINK of each number, looked at where all of them are KINK."""

    class Kinked(toy_box.Env):  # type: ignore[misc, name-defined]
        def effect(self, actions: Tensor) -> Tensor:
            return super().effect(actions.clamp(max=KINK))  # type: ignore[no-any-return]

    class Mapping(toy_box.Loads):  # type: ignore[misc, name-defined]
        def state(self, actions: Tensor, context: Context) -> Tensor:
            return super().state(Half.apply(actions), context)  # type: ignore[no-any-return, no-untyped-call]

    def of(slope: float) -> checks.Subject:
        monkeypatch.setattr(Half, "slope", slope)
        monkeypatch.setattr(toy_box, "LOW", ((0.0, 0.0),) * 3)
        monkeypatch.setattr(toy_box, "HIGH", ((1.0, 1.0),) * 3)
        members = {
            "make_env": lambda self, c, envs, device, seed: Kinked(envs, seed, c.horizon, c.still),
            "agent_mapping": lambda self, config: Mapping(),
        }
        found = checks.subject(type("Kinked", (toy_box.Domain,), members)(), {"still": True})
        assert found.episode  # played before all actions are alike
        monkeypatch.setattr(joint, "allowed", lambda env, decision, chance: torch.full((3, 3, 2), KINK))
        return found

    return of


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_any_slope_between_left_and_right_is_accepted_at_a_kink(
    at_the_kink: Callable[[float], checks.Subject], slope: float
) -> None:
    assert checks.slope_is_effect(at_the_kink(slope)) is None


@pytest.mark.parametrize("slope", [-0.1, 1.1])
def test_a_slope_beyond_both_is_caught_at_a_kink(at_the_kink: Callable[[float], checks.Subject], slope: float) -> None:
    with pytest.raises(checks.CheckFailed, match="agent 0, number 0 of its action"):
        checks.slope_is_effect(at_the_kink(slope))


def test_a_continuous_mapping_of_choices_is_refused(toy: ModuleType, toy_box: ModuleType) -> None:
    wrong = type("Wrong", (toy.Domain,), {"agent_mapping": lambda self, config: toy_box.Loads()})()
    with pytest.raises(checks.CheckFailed, match="base_state and influence for MultiDiscrete"):
        checks.joint_state(checks.subject(wrong))


def test_the_ends_of_joint_actions(toy: ModuleType, toy_box: ModuleType, toy_simplex: ModuleType) -> None:
    assert [end.tolist() for end in ends(toy_simplex.Env())] == [[[0, 0, 1]] * 4, [[1, 0, 0]] * 4]
    assert [end.tolist() for end in ends(toy.Env())] == [[0] * 4, [2] * 4]
    low, high = ends(toy_box.Env())
    assert torch.equal(low, torch.tensor(toy_box.LOW)) and torch.equal(high, torch.tensor(toy_box.HIGH))


def test_the_slope_of_splits_is_measured_within_the_simplex(toy_simplex: ModuleType) -> None:
    """A mapping that divides by the sum of shares is another function beyond the simplex, and as right within it."""

    class Divides(toy_simplex.Loads):  # type: ignore[misc, name-defined]
        def state(self, actions: Tensor, context: Context) -> Tensor:
            return super().state(actions / actions.sum(-1, keepdim=True), context)  # type: ignore[no-any-return]

    domain = type("Divided", (toy_simplex.Domain,), {"agent_mapping": lambda self, config: Divides()})()
    checks.slope_is_effect(checks.subject(domain))


def test_agents_with_one_open_choice_have_nothing_to_show(toy_simplex: ModuleType) -> None:
    class OneOpen(toy_simplex.Env):  # type: ignore[misc, name-defined]
        def _decide(self) -> Decision:
            decision: Decision = super()._decide()
            mask = torch.zeros_like(decision.observation.mask)
            mask[..., 1] = True
            context = {**decision.context, "acting": mask.any(-1)}
            return Decision(replace(decision.observation, mask=mask), context)

    made = {"make_env": lambda self, c, envs, device, seed: OneOpen(envs, seed, c.horizon)}
    found = checks.subject(type("OneOpened", (toy_simplex.Domain,), made)())
    assert (found.samples[0].actions == torch.tensor([0.0, 1.0, 0.0])).all()
    with pytest.raises(checks.Skipped, match="no agent had anything to choose from"):
        checks.action_matters(found)
    checks.joint_state(found)
    checks.slope_is_effect(found)


@pytest.mark.parametrize("d", [0, 1, 2])
def test_a_share_rises_at_the_expense_of_the_other_allowed_ones(toy_simplex: ModuleType, d: int) -> None:
    situation = checks.subject(toy_simplex.Domain()).situations[0]
    mask = situation.decision.observation.mask
    for i in range(4):
        way, size = joint._way(situation, i, d)
        able = mask[:, i, d] & (mask[:, i].sum(-1) > 1)
        assert size == 1.0 and torch.equal(way.any(-1), able) and (way * ~mask[:, i] == 0).all()
        torch.testing.assert_close(way.sum(-1), torch.zeros(len(way)))
        assert (way[able, d] == 1).all()


def test_random_joint_actions_are_those_of_the_kind(
    toy: ModuleType, toy_box: ModuleType, toy_simplex: ModuleType
) -> None:
    kinds = (
        (toy.Env(5), (5, 4), torch.int64),
        (toy_box.Env(5), (5, 3, 2), torch.float32),
        (toy_simplex.Env(5), (5, 4, 3), torch.float32),
    )
    for env, shape, dtype in kinds:
        drawn = checks.allowed(env, env.reset(), torch.Generator().manual_seed(0))
        assert drawn.shape == shape and drawn.dtype == dtype
