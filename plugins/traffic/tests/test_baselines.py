"""Rules by hand, what each is told, oracles that nobody beats, and the published totals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dgpg.domain import Baseline, Decision
from dgpg.measuring import play
from dgpg_traffic.baselines import baselines, usual_day
from dgpg_traffic.domain import domain

from .made import CPU, STATIC, built, environment, random_splits, settings

NAMES = ["shortest", "logit", "fixed-optimum", "user-equilibrium", "system-optimum"]


def rules(**values: Any) -> dict[str, Baseline]:
    return {rule.name: rule for rule in baselines(settings(**values))}


def costs(rule: Baseline | None, steps: int, **values: Any) -> Tensor:
    """Cost `[steps, B]` of a rule, or of random splits for None, in the same days."""
    env, draw = environment(4, 3, **values), torch.Generator().manual_seed(0)
    decision, found = env.reset(), []
    for _ in range(steps):
        random = random_splits(env, draw)
        step = env.step(random if rule is None else rule.act(decision, random))
        found.append(-step.reward)
        decision = step.decision
    return torch.stack(found)


def test_names_roles_and_information() -> None:
    told = {name: (getattr(rule, "role", "baseline"), rule.information) for name, rule in rules().items()}
    assert list(told) == NAMES
    assert all(told[name] == ("baseline", "same") for name in NAMES[:3])
    assert all(told[name] == ("oracle", "more") for name in NAMES[3:])


@pytest.mark.parametrize("values", [{"agents_per_pair": 3}, {"network": "grid"}])
def test_actions_are_splits_of_the_routes_there_are(values: dict[str, Any]) -> None:
    env = environment(**values)
    decision, noise = env.reset(), random_splits(env, torch.Generator().manual_seed(0))
    for rule in rules(**values).values():
        splits = rule.act(decision, noise)
        assert splits.shape == noise.shape and splits.dtype == noise.dtype and (splits >= 0).all()
        assert (splits[~decision.observation.mask] == 0).all()
        torch.testing.assert_close(splits.sum(-1), torch.ones(noise.shape[:2]))


def test_rules_with_what_an_agent_sees_do_not_look_at_the_oracles_part() -> None:
    env = environment(incidents={"probability": 0.5})
    decision, noise = env.reset(), torch.full((3, 1, 3), 0.5)
    other = Decision(decision.observation, dict(decision.context) | {"oracle_capacity": torch.full((3, 5), 0.1)})
    for name, rule in rules(incidents={"probability": 0.5}).items():
        assert torch.equal(rule.act(decision, noise), rule.act(other, noise)) == (name not in NAMES[3:])


def test_the_shortest_is_that_without_traffic() -> None:
    env = environment(network="grid")
    splits = rules(network="grid")["shortest"].act(env.reset(), torch.zeros(3, *env.roads.incidence.exists.shape))
    time = env.instance.routes.times(env.instance.network.free_time)
    assert (splits.sum(-1) == 1).all() and set(splits.flatten().tolist()) == {0, 1}
    np.testing.assert_allclose((splits[1].numpy() * np.where(np.isfinite(time), time, 0)).sum(-1), time.min(-1))


def test_the_logit_rule_by_hand() -> None:
    env = environment(1, start="shortest", **STATIC)
    splits = rules(start="shortest", **STATIC)["logit"].act(env.reset(), torch.zeros(1, 1, 3))
    # all on the shortcut: 136 by it, 50 + 60 by each of the others
    weight = np.exp([-10 * 136 / 110, -10, -10])
    np.testing.assert_allclose(splits[0, 0], weight / weight.sum(), rtol=1e-5)


def test_fixed_splits_are_those_of_the_period() -> None:
    env = environment(5, network="grid", horizon=4)
    decision, noise = env.reset(), torch.zeros(5, *env.roads.incidence.exists.shape)
    usual = usual_day(built(network="grid", horizon=4)).float()
    assert usual.shape[0] == 4 and not torch.equal(usual[0], usual[1])
    rule = rules(network="grid", horizon=4)["fixed-optimum"]
    for _ in range(4):
        assert torch.equal(rule.act(decision, noise), usual[env.tape.period[env.t]])
        decision = env.step(usual[env.tape.period[env.t]]).decision


def test_the_usual_day_counts_who_waits() -> None:
    day = {"network": "grid", "horizon": 3, "demand": {"scale": 1.3, "profile": "flat"}}
    without, queued = (usual_day(built(queues=queues, **day)) for queues in (False, True))
    torch.testing.assert_close(without, without[:1].expand_as(without))
    assert not torch.allclose(queued[0], without[0], atol=1e-2)
    assert not torch.allclose(queued[1:], queued[:1].expand_as(queued[1:]), atol=1e-2)


def test_fixed_splits_are_made_for_the_days_of_the_training() -> None:
    trained, wished = settings(horizon=4), settings(horizon=4, demand={"scale": 1.5})
    found = {r.name: r for r in baselines(domain.transfer(trained, wished))}
    decision, noise = environment(3, horizon=4, demand={"scale": 1.5}).reset(), torch.zeros(3, 1, 3)
    assert torch.equal(
        found["fixed-optimum"].act(decision, noise), rules(horizon=4)["fixed-optimum"].act(decision, noise)
    )
    own = rules(horizon=4, demand={"scale": 1.5})["fixed-optimum"].act(decision, noise)
    assert not torch.equal(found["fixed-optimum"].act(decision, noise), own)


@pytest.mark.parametrize(("trained", "wished"), [(2, 6), (6, 2), (4, 6)])
def test_fixed_splits_are_those_of_the_hour_in_a_day_of_other_periods(trained: int, wished: int) -> None:
    config = domain.transfer(settings(horizon=trained), settings(horizon=wished))
    rule = {r.name: r for r in baselines(config)}["fixed-optimum"]
    env = environment(8, horizon=wished)
    splits = rule.act(env.reset(), torch.zeros(8, 1, 3))
    usual = usual_day(built(horizon=trained)).float()
    hour = (env.tape.period[0] + 0.5) / wished
    assert torch.equal(splits, usual[(hour * trained).long()])


@pytest.mark.parametrize("name", ["braess", "grid"])
def test_nobody_beats_the_optimum_in_any_period(name: str) -> None:
    # without queues no period binds the next, so that the optimum of each is the optimum of all
    values = {"network": name, "queues": False, "incidents": {"probability": 0.2}}
    every = rules(**values)
    least = costs(every["system-optimum"], 4, **values)
    for rule in (*every.values(), None):
        assert (least <= costs(rule, 4, **values) * (1 + 1e-5)).all(), rule
    assert (costs(every["user-equilibrium"], 4, **values) > 1.001 * least).any()
    assert (costs(None, 4, **values) > 1.01 * least).all()


@pytest.mark.parametrize("name", NAMES[3:])
def test_oracles_know_of_incidents(name: str) -> None:
    values = {"network": "grid", "queues": False, "incidents": {"probability": 0.3, "capacity": 0.5}}
    env, oracle = environment(4, 3, **values), rules(**values)[name]
    decision, state = env.reset(), env.state_dict()
    unaware = dict(decision.context) | {"oracle_capacity": env.roads.links.capacity.expand(4, -1)}
    noise, found = torch.zeros(4, *env.roads.incidence.exists.shape), list[Tensor]()
    for context in (decision.context, unaware):
        env.load_state_dict(state)
        found.append(-env.step(oracle.act(Decision(decision.observation, context), noise)).reward)
    assert (found[0] < 0.999 * found[1]).all()


def test_drivers_who_all_follow_last_times_herd() -> None:
    values = {"network": "grid", **STATIC}
    every = rules(**values)
    best, logit = (costs(every[name], 4, **values)[1:].mean() for name in ("system-optimum", "logit"))
    assert logit > 1.2 * best


def totals(network: str, per_pair: int) -> dict[str, float]:
    """Total travel time of a static period by rule, through an evaluation."""
    config = settings(network=network, agents_per_pair=per_pair, horizon=1, start="shortest", **STATIC)
    found = {rule.name: play(domain, config, rule, 1, 0, CPU).cost for rule in baselines(config)}
    return {name: float(cost.mean()) * built(**config.model_dump()).num_agents for name, cost in found.items()}


@pytest.mark.parametrize("per_pair", [1, 60])
def test_braess_has_the_published_totals(per_pair: int) -> None:
    found = totals("braess", per_pair)
    expected = {"user-equilibrium": 552, "system-optimum": 498, "fixed-optimum": 498, "shortest": 816}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_sioux_falls_has_the_published_totals(data_file: Callable[[str], Path]) -> None:
    found = totals(str(data_file("tntp/SiouxFalls_net.tntp")), 1)
    # only the routes that solutions at four levels use are open: they lose less than a millionth
    assert found["user-equilibrium"] == pytest.approx(7_480_225.34, rel=2e-6)
    assert found["system-optimum"] == pytest.approx(7_194_256.05, rel=1e-6)
    assert found["shortest"] == pytest.approx(67_181_013, rel=1e-5)
