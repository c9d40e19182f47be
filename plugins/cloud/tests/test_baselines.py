"""Rules: what they choose by hand, what they see, and that all of them meet the same arrivals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Decision
from dgpg.measuring import episode_costs
from dgpg_cloud import baselines as rules
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.instance import build

CPU = torch.device("cpu")
CONFIG = Config(num_agents=12, candidates=4, horizon=16, workload={"load": 0.6})


def view(**values: list[float]) -> rules.View:
    """Two candidates as one dispatcher sees them."""
    usual = {"fits_now": [1, 1], "share": [0.5, 0.5], "queued": [0, 0], "drain": [0, 0], "steps": [3, 3]}
    fields = {name: torch.tensor([[row]], dtype=torch.float32) for name, row in {**usual, **values}.items()}
    switch_on = fields.pop("switch_on", torch.zeros(1, 1, 2))
    fits = fields.pop("fits_now").bool()
    return rules.View(fits_now=fits, switch_on=switch_on, **fields)


@pytest.mark.parametrize(
    ("score", "seen", "choice"),
    [
        (rules.shortest_queue, {"queued": [2, 1]}, 1),
        (rules.shortest_queue, {"queued": [1, 1], "share": [0.9, 0.2]}, 1),
        (rules.shortest_queue, {"queued": [0, 1], "share": [5.0, 0.1]}, 0),
        (rules.expected_completion, {"fits_now": [0, 1], "drain": [4, 9], "steps": [1, 3]}, 1),
        (rules.expected_completion, {"fits_now": [0, 0], "drain": [4, 9], "steps": [3, 1]}, 0),
        (rules.best_fit, {"share": [0.9, 0.4]}, 0),
        (rules.best_fit, {"fits_now": [0, 1], "share": [0.9, 0.4]}, 1),
        (rules.least_requested, {"share": [0.9, 0.4]}, 1),
    ],
)
def test_scores_by_hand(score: rules.Score, seen: dict[str, list[float]], choice: int) -> None:
    assert score(view(**seen)).argmin(-1).item() == choice


def reset(config: Config = CONFIG) -> Decision:
    return CloudEnv(build(config), 3, CPU, 1).reset()


def noise() -> Tensor:
    return torch.rand(3, 12, generator=torch.Generator().manual_seed(4))


def test_every_rule_chooses_what_is_allowed() -> None:
    for rule in domain.baselines(CONFIG):
        decision = reset(getattr(rule, "config", CONFIG))
        seen = decision.observation
        actions = rule.act(decision, noise())
        allowed = seen.mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        assert (allowed | ~seen.active).all(), rule.name


def test_rules_of_the_same_information_decide_without_the_others() -> None:
    """Another dispatcher's job changes nothing for this one in the same step; sequential rules do look."""
    decision = reset()
    other = {name: x.clone() for name, x in decision.context.items()}
    other["demand"][:, 0] *= 8
    changed = Decision(decision.observation, other)
    for rule in domain.baselines(CONFIG):
        if rule.information == "same":
            assert torch.equal(rule.act(decision, noise())[:, 1:], rule.act(changed, noise())[:, 1:]), rule.name


def test_names_are_distinct_and_both_groups_exist() -> None:
    found = domain.baselines(CONFIG)
    assert len({rule.name for rule in found}) == len(found)
    assert {rule.information for rule in found} == {"same", "more"}


def test_random_choice_is_uniform_over_what_is_allowed() -> None:
    mask = torch.tensor([True, False, True, True]).expand(1, 30_000, 4)
    draws = torch.linspace(0, 1, 30_001)[:-1].unsqueeze(0)
    counts = torch.bincount(rules._nth(mask, draws).flatten(), minlength=4)
    assert counts.tolist() == [10_000, 0, 10_000, 10_000]


def test_power_of_two_takes_the_better_of_two_different_candidates() -> None:
    rule = next(r for r in domain.baselines(CONFIG) if r.name == "power-of-two")
    decision = reset()
    share = rules.shortest_queue(rules.View.of(decision.context, rules.make(build(CONFIG), CPU)))
    mask = decision.observation.mask
    worst = share.masked_fill(~mask, -torch.inf).argmax(-1)
    many = mask.sum(-1) > 1
    for draw in torch.linspace(0, 0.999, 40):
        chosen = rule.act(decision, draw.expand(3, 12))
        distinct = (
            share.masked_fill(~mask, torch.inf).amin(-1) < share.gather(-1, worst.unsqueeze(-1)).squeeze(-1)
        ) & many
        assert (chosen != worst)[distinct].all()


def test_a_central_rule_meets_the_same_machines_and_arrivals() -> None:
    everywhere = CONFIG.model_copy(update={"everywhere": True})
    one, all_ = build(CONFIG), build(everywhere)
    assert (one.capacity == all_.capacity).all() and (one.price == all_.price).all()
    near, far = (CloudEnv(instance, 2, CPU, 9) for instance in (one, all_))
    near.reset()
    far.reset()
    for name in ("demand", "base_steps", "arrived", "rank"):
        assert torch.equal(getattr(near.tape, name), getattr(far.tape, name))


def test_seeing_more_helps_and_knowing_nothing_hurts() -> None:
    cost: dict[str, Any] = {}
    for rule in domain.baselines(CONFIG):
        if rule.name in ("random", "least-expected-completion", "global-best-fit with price"):
            own = getattr(rule, "config", CONFIG)
            cost[rule.name] = episode_costs(domain, own, rule, 8, 3, CPU).mean()
    assert cost["global-best-fit with price"] < cost["least-expected-completion"] < cost["random"]
