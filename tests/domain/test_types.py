"""Records: what belongs together is mapped, stacked and flattened together."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import numpy as np
import pytest
import torch

from dgpg.domain import Decision, Features, Influence, Observation
from dgpg.domain.types import flatten, map_tensors, stack
from dgpg.errors import PluginError


def make_observation(number: float) -> Observation:
    mask = torch.tensor([[[True, False], [False, False]]])
    return Observation(
        agent=torch.full((1, 2, 3), number),
        choices=torch.full((1, 2, 2, 4), number),
        mask=mask,
        central=torch.full((1, 5), number),
    )


def make_decision(number: float) -> Decision:
    return Decision(make_observation(number), {"demand": torch.full((1, 7), 10 * number)})


def test_an_agent_with_no_choice_is_not_active() -> None:
    assert make_observation(0.0).active.tolist() == [[True, False]]


def on_request(number: float) -> tuple[Observation, list[str]]:
    """The same, with features on request, and a word for each time that they were made."""
    whole, made = make_observation(number), list[str]()

    def features() -> Features:
        made.append("made")
        return whole.agent, whole.choices, whole.central

    return Observation.on_request(whole.mask, features), made


def test_features_on_request_are_made_once_when_one_is_asked_for() -> None:
    seen, made = on_request(2.0)
    assert seen.active.tolist() == [[True, False]] and seen.mask.shape == (1, 2, 2) and made == []
    assert seen.central.unique().tolist() == [2.0] and made == ["made"]
    assert seen.agent.shape == (1, 2, 3) and seen.choices.shape == (1, 2, 2, 4) and made == ["made"]


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: map_tensors(torch.clone, x), replace],
)
def test_copies_of_an_observation_hold_its_features(again: Callable[[Observation], Observation]) -> None:
    seen, made = on_request(2.0)
    other = again(seen)
    assert made == ["made"] and other.active.tolist() == [[True, False]]
    assert all(torch.equal(getattr(other, f.name), getattr(make_observation(2.0), f.name)) for f in fields(other))


def test_an_observation_has_no_other_names_and_no_feature_of_an_error() -> None:
    def broken() -> Features:
        raise ValueError("no weather")

    seen = Observation.on_request(make_observation(0.0).mask, broken)
    with pytest.raises(AttributeError, match="'Observation' object has no attribute 'weather'"):
        _ = seen.weather  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(ValueError, match="no weather"):
            _ = seen.agent


def test_a_field_that_is_no_tensor_is_named() -> None:
    with pytest.raises(PluginError, match=r"^Observation\.agent: expected a tensor, got ndarray$"):
        stack([replace(make_observation(1.0), agent=np.zeros(3))])  # type: ignore[arg-type]


def test_map_reaches_every_tensor_of_a_decision() -> None:
    twice = map_tensors(lambda x: x + x if x.is_floating_point() else ~x, make_decision(1.0))
    assert twice.observation.agent.unique().tolist() == [2.0]
    assert twice.observation.choices.unique().tolist() == [2.0]
    assert twice.observation.mask.tolist() == [[[False, True], [True, True]]]
    assert twice.observation.central.unique().tolist() == [2.0]
    assert twice.context["demand"].unique().tolist() == [20.0]


def test_map_combines_records_field_by_field() -> None:
    first = Influence(torch.tensor([1]), torch.tensor([0.5]))
    second = Influence(torch.tensor([2]), torch.tensor([0.25]))
    both = map_tensors(torch.add, first, second)
    assert both.index.tolist() == [3] and both.value.tolist() == [0.75]


def test_stack_puts_time_first() -> None:
    stacked = stack([make_decision(1.0), make_decision(2.0), make_decision(3.0)])
    assert stacked.observation.agent.shape == (3, 1, 2, 3)
    assert stacked.observation.mask.shape == (3, 1, 2, 2)
    assert stacked.context["demand"].shape == (3, 1, 7)
    assert stacked.observation.central[:, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_flatten_keeps_the_order_time_then_environment() -> None:
    number = torch.arange(6).view(3, 2)  # [T, B]
    rows = flatten(Decision(make_observation(1.0), {"demand": number}))
    assert rows.context["demand"].tolist() == [0, 1, 2, 3, 4, 5]
    two = flatten(stack([make_decision(1.0), make_decision(2.0)]))
    assert two.observation.choices.shape == (2, 2, 2, 4)
    assert two.context["demand"][:, 0].tolist() == [10.0, 20.0]


def test_a_field_that_is_none_stays_none() -> None:
    @dataclass(frozen=True)
    class Row:
        x: torch.Tensor
        y: torch.Tensor | None

    got = map_tensors(torch.neg, Row(torch.ones(1), None))
    assert got.x.tolist() == [-1.0] and got.y is None


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        make_decision(1.0).context = {}  # type: ignore[misc]
