"""The fitted model finds what was planted; its marginal is own time, imposed delay and bias."""

from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Decision, Experience, Observation, SupportsFit
from dgpg.learning.guidance import marginal_potential
from dgpg_traffic.sumo import baselines as rules
from dgpg_traffic.sumo.baselines import own_times
from dgpg_traffic.sumo.cells import CARS, COUNTED, CROSSING, make
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.domain import domain
from dgpg_traffic.sumo.evidence import Seen, solve, sums
from dgpg_traffic.sumo.instance import build
from dgpg_traffic.sumo.model import FittedTimes


def seen(edge: Tensor, load: Tensor, minutes: Tensor, cars: Tensor) -> Seen:
    return Seen(edge, load.double(), minutes.double(), cars.double())


def test_planted_slopes_are_found_and_a_pale_edge_takes_those_of_all() -> None:
    chance = torch.Generator().manual_seed(0)
    edge = torch.randint(3, (600,), generator=chance)
    edge[:2] = 3  # two cells of it alone
    load = torch.cat([torch.ones(600, 1), torch.randint(9, (600, 2), generator=chance).float()], 1)
    true = torch.tensor([[1.0, 0.2, 0.05], [0.5, 0.2, 0.05], [2.0, 0.2, 0.05], [0.7, 0.2, 0.05]])
    minutes = (load * true[edge]).sum(-1)
    found, together = solve(*sums(seen(edge, load, minutes, torch.ones(600)), 4), torch.ones(4).double(), 10.0)
    torch.testing.assert_close(found[:3], true[:3].double(), atol=0.01, rtol=0.01)
    torch.testing.assert_close(together, torch.tensor([0.2, 0.05]).double(), atol=5e-3, rtol=0)  # drawn to zero
    torch.testing.assert_close(found[3, 1:], torch.tensor([0.2, 0.05]).double(), atol=5e-3, rtol=0)
    assert found[3, 0] == pytest.approx((2 * 0.7 + 1.0) / 3, abs=0.02)  # time without traffic counts as a car


def test_slopes_are_not_negative_and_nothing_seen_is_time_without_traffic() -> None:
    load = torch.tensor([[1.0, 0, 0], [1, 4, 0], [1, 8, 0]])
    minutes = torch.tensor([3.0, 2.0, 1.0])
    found, together = solve(*sums(seen(torch.zeros(3).long(), load, minutes, torch.ones(3)), 2),
                            torch.tensor([0.5, 0.25]).double(), 10.0)  # fmt: skip
    assert together[0] == 0 and found[0, 1] == 0
    assert found[1].tolist() == [0.25, 0, 0]


@pytest.fixture
def parts(settings: dict[str, Any]) -> tuple[FittedTimes, Any, Decision]:
    config = Config.model_validate({**settings, "fit": {"past": False, "window_s": 60}})
    instance = build(config)
    model = FittedTimes(instance, make(instance, 60.0), config.fit)
    mask = torch.from_numpy(instance.mask).unsqueeze(0)
    observation = Observation(torch.zeros(*mask.shape[:2], 1), torch.zeros(*mask.shape, 0), mask, torch.ones(1, 1))
    return model, domain.agent_mapping(config), Decision(observation, {"people": torch.ones(1, 1)})


def state_of(mapping: Any, decision: Decision, actions: Tensor) -> Tensor:
    state = mapping.base_state(decision.context).clone()
    influence = mapping.influence(decision.observation, decision.context)
    for n, k in enumerate(actions[0].tolist()):
        state[0].index_add_(0, influence.index[0, n, k], influence.value[0, n, k])
    return state


def test_marginal_is_own_time_and_what_others_who_count_wait(parts: tuple[FittedTimes, Any, Decision]) -> None:
    model, mapping, decision = parts
    model.coefficient = torch.tensor([[0.2, 0.03, 0.01]]).expand(len(model.coefficient), 3)
    actions = decision.observation.mask.long().argmax(-1)
    state = state_of(mapping, decision, actions)
    influence = mapping.influence(decision.observation, decision.context)
    u = marginal_potential(model, state, decision.context, influence, actions, decision.observation.active)
    cells = len(model.edge)
    for n in range(actions.shape[1]):
        rest = actions.clone()
        alone = state.clone()
        alone[0].index_add_(0, influence.index[0, n, rest[0, n]], -influence.value[0, n, rest[0, n]])
        for k in range(2):
            own = imposed = 0.0
            for block, value in zip(influence.index[0, n, k].tolist(), influence.value[0, n, k], strict=True):
                there = alone[0, block]
                if block < cells and value[CARS] > 0:
                    own += 0.2 + 0.03 * float(there[CARS]) + 0.01 * float(there[CROSSING])
                    imposed += 0.03 * float(there[COUNTED])
                elif block < cells:
                    imposed += 0.01 * float(value[CROSSING]) * float(there[COUNTED])
            assert float(u[0, n, k]) == pytest.approx(own + imposed, rel=1e-4)


def test_own_times_are_the_models_with_everybody_else_in_place(
    parts: tuple[FittedTimes, Any, Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, mapping, decision = parts
    model.coefficient = torch.tensor([[0.2, 0.03, 0.01]]).expand(len(model.coefficient), 3)
    model.bias = torch.arange(model.bias.numel()).view_as(model.bias) / 10.0
    actions = decision.observation.mask.long().argmax(-1)
    actions[0, ::2] = 1
    state = state_of(mapping, decision, actions)[0]
    monkeypatch.setattr(rules, "TOGETHER", 4)  # does not divide six drivers
    times = own_times(model, mapping, actions[0])
    for n, taken in enumerate(actions[0].tolist()):
        alone = state.index_add(0, mapping.index[n, taken], -mapping.value[n, taken])
        for k in range(2):
            own = float(model.bias[n, k] - model.bias[n].min())
            for block, value in zip(mapping.index[n, k].tolist(), mapping.value[n, k], strict=True):
                if block < len(model.edge) and value[CARS] > 0:
                    own += 0.2 + 0.03 * float(alone[block, CARS]) + 0.01 * float(alone[block, CROSSING])
            assert float(times[n, k]) == pytest.approx(own, rel=1e-5)


def test_days_teach_the_model_and_a_route_that_errs_gets_a_bias(parts: tuple[FittedTimes, Any, Decision]) -> None:
    model, mapping, decision = parts
    assert isinstance(model, SupportsFit)
    true = torch.tensor([0.5, 0.04, 0.0])
    chance = torch.Generator().manual_seed(1)
    agents = decision.observation.mask.shape[1]
    slow = 1.5  # minutes that driver 0 loses on route 1 beyond what its edges say
    for _ in range(25):
        actions = torch.randint(2, (1, agents), generator=chance)
        state = state_of(mapping, decision, actions)
        cells = state[:, : len(model.edge)]
        minutes = true[0] + true[1] * (cells[..., CARS] - 1).clamp(min=0)
        cost = torch.zeros(1, state.shape[1])
        cost[:, : len(model.edge)] = minutes * cells[..., COUNTED]
        index = mapping.index[torch.arange(agents), actions[0]]
        mine = mapping.value[torch.arange(agents), actions[0]][..., CARS]
        own = (mine * torch.cat([minutes, torch.zeros(1, state.shape[1] - len(model.edge))], 1)[0][index]).sum(-1)
        own[0] += slow * (actions[0, 0] == 1)
        logged = model.fit(Experience(decision, actions.unsqueeze(0), state.unsqueeze(0), -own.sum().view(1, 1),
                                      -own.view(1, 1, -1), cost.unsqueeze(0)))  # fmt: skip
    assert logged["model_r2"] > 0.98 and logged["model_slope"] == pytest.approx(0.04, abs=0.01)
    above = model.bias[0, 1] - model.bias[0, 0]
    assert float(above) == pytest.approx(slow, abs=0.25)
    assert (model.bias[1:, 1] - model.bias[1:, 0]).abs().max() < 0.2
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    before = model.coefficient.clone()
    model.coefficient = torch.zeros_like(before)
    model.load_state_dict(saved)
    assert (model.coefficient == before).all()


def test_potential_is_not_negative(parts: tuple[FittedTimes, Any, Decision]) -> None:
    model, mapping, decision = parts
    model.bias = torch.randn(model.bias.shape, generator=torch.Generator().manual_seed(0))
    assert float(model.potential(mapping.base_state(decision.context), decision.context)) >= 0
    assert (model.of_blocks() >= 0).all()
