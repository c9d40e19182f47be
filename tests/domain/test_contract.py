"""Shapes that training cannot go on without: one message that names the member, before anything is learned."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.domain import Context, Decision, Influence, Step
from dgpg.errors import PluginError


def seeing(**fields: Callable[[Any], Any]) -> Callable[[Decision], Decision]:
    def change(decision: Decision) -> Decision:
        seen = decision.observation
        return replace(decision, observation=replace(seen, **{k: f(getattr(seen, k)) for k, f in fields.items()}))

    return change


def knowing(change: Callable[[Context], Context]) -> Callable[[Decision], Decision]:
    return lambda decision: replace(decision, context=change(decision.context))


def wrapped(decide: Any = None, outcome: Callable[[Step], Step] | None = None) -> Callable[[Any], Any]:
    """An environment whose decisions or steps are changed."""

    def wrap(env: Any) -> Any:
        reset, step = env.reset, env.step
        if decide is not None:
            env.reset = lambda: decide(reset())
        if outcome is not None:
            env.step = lambda actions: outcome(step(actions))
        return env

    return wrap


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            seeing(agent=lambda x: x[..., :-1]),
            ["observation.agent: expected shape [B, N, F] = [4, 4, 6]", "got [4, 4, 5]"],
        ),
        (seeing(agent=lambda x: x.double()), ["observation.agent: expected torch.float32, got torch.float64"]),
        (seeing(choices=lambda x: x.flatten(2)), ["observation.choices: expected shape [B, N, K, C] = [4, 4, 3, 4]"]),
        (seeing(mask=lambda x: x.float()), ["observation.mask: expected torch.bool, got torch.float32"]),
        (seeing(central=lambda x: np.asarray(x)), ["observation.central: expected a tensor [B, S], got ndarray"]),
        (knowing(lambda c: {**c, "prior": c["prior"][0]}), ["context['prior']: expected a tensor [B, ...] with B = 4"]),
        (knowing(lambda c: {**c, "load": 0.5}), ["context['load']", "got float"]),  # type: ignore[dict-item]
    ],
)
def test_decisions(toy: ModuleType, change: Any, words: list[str]) -> None:
    with pytest.raises(PluginError) as caught:
        toy.trainer("dg-pg", wrap=wrapped(decide=change))
    assert all(word in str(caught.value) for word in [*words, "dgpg check"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: replace(s, reward=s.reward[:, None]), "Step.reward: expected shape [B] = [4], got [4, 1]"),
        (lambda s: replace(s, reward=s.reward.double()), "Step.reward: expected torch.float32, got torch.float64"),
        (lambda s: replace(s, state=s.state.squeeze(-1)), "Step.state: expected shape [B, G, m] = [4, any, any]"),
        (lambda s: replace(s, terminated=s.terminated.float()), "Step.terminated: expected torch.bool"),
        (lambda s: replace(s, block_cost=None), "Step.block_cost: expected a tensor [B, num_blocks], got NoneType"),
        (lambda s: replace(s, block_cost=s.block_cost[:, :2]), "Step.block_cost: expected shape [B, num_blocks]"),
        (lambda s: replace(s, state=s.state[:, :2]), "Step.state: expected shape [B, num_blocks, m] = [4, 3, any]"),
        (lambda s: replace(s, local_reward=s.reward), "Step.local_reward: expected shape [B, N] = [4, 4], got [4]"),
    ],
)  # fmt: skip
def test_steps(toy: ModuleType, change: Callable[[Step], Step], words: str) -> None:
    trainer = toy.trainer("dg-pg", wrap=wrapped(outcome=change))
    with pytest.raises(PluginError) as caught:
        trainer.iterate()
    assert words in str(caught.value)


def test_models_and_mappings(toy: ModuleType) -> None:
    class Whole(toy.RouteCost):  # type: ignore[name-defined, misc]
        def potential(self, state: torch.Tensor, context: Context) -> torch.Tensor:
            return super().potential(state, context).sum()

    class Shifted(toy.Routes):  # type: ignore[name-defined, misc]
        def influence(self, observation: Any, context: Context) -> Influence:
            found = super().influence(observation, context)
            return replace(found, index=found.index + 1)

    class Narrow(toy.Routes):  # type: ignore[name-defined, misc]
        def influence(self, observation: Any, context: Context) -> Influence:
            found = super().influence(observation, context)
            return replace(found, index=found.index.int())

    class Flat(toy.Routes):  # type: ignore[name-defined, misc]
        def base_state(self, context: Context) -> torch.Tensor:
            return context["prior"]

    wrong = [
        (Whole(), toy.Routes(), "AnalyticalModel.potential: expected shape [B] = [4], got []"),
        (toy.RouteCost(), Shifted(), "Influence.index: expected blocks 0 to 2 of the state, got 1 to 3"),
        (toy.RouteCost(), Narrow(), "Influence.index: expected torch.int64, got torch.int32"),
        (toy.RouteCost(), Flat(), "AgentMapping.base_state: expected shape [B, G, m] = [4, 3, 1], got [4, 3]"),
        (
            toy.RouteCost(),
            toy.Routes,
            "Domain.agent_mapping(config): expected an object, got the class Routes; call it",
        ),
    ]
    for model, mapping, words in wrong:
        trainer = toy.trainer("dg-pg")
        trainer.task = replace(trainer.task, model=model, mapping=mapping)
        with pytest.raises(PluginError) as caught:
            trainer.iterate()
        assert words in str(caught.value)


def test_mappings_of_joint_actions(toy_box: ModuleType, toy_simplex: ModuleType) -> None:
    for toy in (toy_box, toy_simplex):

        class Flat(toy.Loads):  # type: ignore[name-defined, misc]
            def state(self, actions: torch.Tensor, context: Context) -> torch.Tensor:
                return super().state(actions, context).squeeze(-1)

        trainer = toy.trainer("dg-pg")
        trainer.task = replace(trainer.task, mapping=Flat())
        with pytest.raises(
            PluginError, match=r"JointMapping.state: expected shape \[B, G, m\] = \[4, \d, 1\], got \[4, \d\]"
        ):
            trainer.iterate()


def test_model_and_mapping_are_looked_at_once(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = toy.trainer("dg-pg")
    trainer.iterate()
    monkeypatch.setattr("dgpg.domain.contract.look_at_model", lambda *args: pytest.fail("looked again"))
    trainer.iterate()
