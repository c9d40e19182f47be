"""Rules: what they choose by hand, what they see, and that all of them meet the same arrivals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg.domain import Decision
from dgpg.measuring import episode_costs
from dgpg_cloud import baselines as rules
from dgpg_cloud import view as looks
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv, least_requested
from dgpg_cloud.instance import build
from dgpg_cloud.observation import choice_mask
from dgpg_cloud.plant import make
from dgpg_cloud.sequential import Machines, Sequential, turns

CPU = torch.device("cpu")
CONFIG = Config(num_agents=12, candidates=4, horizon=16, workload={"load": 0.6})


def view(**values: list[float]) -> looks.View:
    """Two candidates as one dispatcher sees them."""
    usual = {"fits_now": [1, 1], "share": [0.5, 0.5], "queued": [0, 0], "drain": [0, 0], "steps": [3, 3]}
    fields = {name: torch.tensor([[row]], dtype=torch.float32) for name, row in {**usual, **values}.items()}
    switch_on = fields.pop("switch_on", torch.zeros(1, 1, 2))
    return cast(looks.View, SimpleNamespace(switch_on=switch_on, **fields))


@pytest.mark.parametrize(
    ("score", "seen", "choice"),
    [
        (looks.shortest_queue, {"queued": [2, 1]}, 1),
        (looks.shortest_queue, {"queued": [1, 1], "share": [0.9, 0.2]}, 1),
        (looks.shortest_queue, {"queued": [0, 1], "share": [5.0, 0.1]}, 0),
        (looks.expected_completion, {"fits_now": [0, 1], "drain": [4, 9], "steps": [1, 3]}, 1),
        (looks.expected_completion, {"fits_now": [0, 0], "drain": [4, 9], "steps": [3, 1]}, 0),
        (looks.best_fit, {"share": [0.9, 0.4]}, 0),
        (looks.best_fit, {"fits_now": [0, 1], "share": [0.9, 0.4]}, 1),
        (looks.least_requested, {"share": [0.9, 0.4]}, 1),
    ],
)
def test_scores_by_hand(score: looks.Score, seen: dict[str, list[float]], choice: int) -> None:
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
    share = looks.shortest_queue(looks.View.of(decision.context, make(build(CONFIG), CPU)))
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


def one_by_one(rule: Sequential, decision: Decision) -> Tensor:
    """What the rule says, dispatcher after dispatcher: each looks at the whole cluster anew."""
    mask, plant = decision.observation.mask, make(rule.instance, CPU)
    context = {name: x.clone() for name, x in decision.context.items()}
    actions = torch.zeros(mask.shape[:2], dtype=torch.int64)
    for n in range(mask.shape[1]):
        seen = looks.View.of(context, plant)
        score = looks.with_price(rule.score, seen, rule.price).masked_fill(~mask, torch.inf)[:, n]
        for b, k in enumerate(score.argmin(-1).tolist()):
            if mask[b, n].any():
                actions[b, n], machine = k, int(plant.candidates[n, k])
                demand = context["demand"][b, n]
                context["requested"][b, machine] += demand
                context["work"][b, machine] += demand * context["steps"][b, n]
                if seen.fits_now[b, n, k]:
                    context["used"][b, machine] += demand
                else:
                    context["queued"][b, machine] += 1
    return actions


@pytest.mark.parametrize("agents", [12, 40])
def test_who_shares_no_machine_decides_in_the_same_turn_as_if_one_by_one(agents: int) -> None:
    config = CONFIG.model_copy(update={"num_agents": agents})
    for rule in rules.baselines(config):
        if not isinstance(rule, Sequential):
            continue
        env = CloudEnv(build(rule.config), 3, CPU, 1)
        decision = env.reset()
        for _ in range(4):
            expected = one_by_one(rule, decision)
            found = rule.act(decision, torch.zeros(3, agents))
            active = decision.observation.active
            assert torch.equal(found[active], expected[active]), rule.name
            decision = env.step(found).decision


def test_turns_hold_everyone_once_and_later_ones_of_a_machine_later() -> None:
    instance = build(CONFIG)
    found = turns(instance)
    assert sorted(n for turn in found for n in turn) == list(range(12))
    when = {int(n): t for t, turn in enumerate(found) for n in turn}
    for one in range(12):
        for other in range(one + 1, 12):
            if set(instance.candidates[one]) & set(instance.candidates[other]):
                assert when[one] < when[other]
    assert len(turns(build(CONFIG.of_all()))) == 12


def test_rules_that_look_at_the_cluster_itself_need_no_features() -> None:
    config = CONFIG.of_all()
    env = CloudEnv(build(config), 3, CPU, 1)
    decision = env.reset()
    described = CloudEnv(build(CONFIG.model_copy(update={"everywhere": True})), 3, CPU, 1).reset()
    assert decision.observation.choices.shape == (3, 12, 12, 0)
    assert env.observation_space["choices"].shape == (12, 12, 0)
    assert torch.equal(decision.observation.mask, described.observation.mask)
    assert described.observation.choices.shape[-1] > 0


def test_a_job_that_asks_for_nothing_waits_where_others_do() -> None:
    decision, plant = reset(), make(build(CONFIG), CPU)
    nothing = {"queued": 1 + 0 * decision.context["queued"], "demand": 0 * decision.context["demand"]}
    machines, at = Machines({**decision.context, **nothing}, plant), np.zeros((3, 1), dtype=np.int64)
    machines.book(at, at, machines.view(at), np.array([[True], [False], [True]]))
    assert machines.view(at).queued[:, 0, 0].tolist() == [2, 1, 2]


def test_what_is_allowed_and_least_requested_among_all_machines_is_found_by_those_who_have_a_job_alone() -> None:
    """As by all of them with candidates of their own, where jobs differ in the machines that may run them."""
    env = CloudEnv(build(CONFIG.of_all()), 3, CPU, 1)
    rng, decision = np.random.default_rng(2), env.reset()
    tape = replace(env.tape, kind=torch.from_numpy(rng.integers(3, size=len(env.tape.kind))))
    allowed = torch.from_numpy(rng.random((3, env.plant.hardware.count)) < 0.5)
    every = replace(env.plant, allowed=allowed)
    each = replace(every, everywhere=False)
    for _ in range(env.horizon - 1):
        mask, other = (choice_mask(env.cluster, tape, plant, decision.context) for plant in (every, each))
        assert mask.any() and not mask.all(-1).all() and torch.equal(mask, other)
        choice, same = (least_requested(decision.context, mask, plant) for plant in (every, each))
        assert torch.equal(choice, same)
        share = (decision.context["requested"].unsqueeze(1) + decision.context["demand"].unsqueeze(2)) * each.inverse
        least = share.amax(-1).masked_fill(~mask, torch.inf).amin(-1)
        chosen = share.amax(-1).gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        assert torch.allclose(chosen[mask.any(-1)], least[mask.any(-1)], rtol=1e-5)
        decision = env.step(choice).decision
