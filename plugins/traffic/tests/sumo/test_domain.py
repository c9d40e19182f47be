"""The domain trains with every algorithm, repeats itself, and says what went wrong."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from dgpg.domain import SupportsBlockCost
from dgpg.errors import ConfigError
from dgpg.learning import Task, Trainer
from dgpg.learning.algorithms import find, train_config
from dgpg.learning.config import RunConfig
from dgpg_traffic.sumo.baselines import baselines
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.domain import domain
from dgpg_traffic.sumo.instance import build
from dgpg_traffic.sumo.simulator import Town, read

CPU = torch.device("cpu")


def trainer(settings: dict[str, Any], name: str, seed: int = 0) -> Trainer:
    config, algorithm = Config.model_validate(settings), find(name)
    env = domain.make_env(config, 1, CPU, seed)
    tuned = domain.training(name)
    train = train_config(algorithm, tuned["train"], {}, env.action_space, valued=True)
    run = RunConfig(domain="sumo", algorithm=name, iterations=4, num_envs=1, seed=seed, train=train)
    return Trainer(run, algorithm, Task(env, domain.analytical_model(config), domain.agent_mapping(config)))


@pytest.mark.parametrize("name", ["dg-pg", "ippo-local", "ippo", "mappo"])
def test_every_algorithm_takes_a_step(settings: dict[str, Any], name: str) -> None:
    metrics = trainer(settings, name).iterate()
    assert 0.3 < metrics["cost"] < 5 and ("model_r2" in metrics) == (name == "dg-pg")


def test_a_run_goes_on_with_what_its_model_had_learned(settings: dict[str, Any]) -> None:
    whole = trainer(settings, "dg-pg")
    first = [whole.iterate(), whole.iterate()]
    state = deepcopy(whole.state_dict())
    rest = whole.iterate()
    again = trainer(settings, "dg-pg")
    again.load_state_dict(state)
    after = again.iterate()
    told = {name for name in rest if not name.startswith(("wall", "share"))}
    assert {n: after[n] for n in told} == {n: rest[n] for n in told}
    assert len({one["model_bias"] for one in (*first, rest)}) == 3
    forgot = trainer(settings, "dg-pg")
    forgot.load_state_dict({**state, "model": forgot.task.model.state_dict()})  # type: ignore[attr-defined]
    assert forgot.iterate()["model_bias"] != rest["model_bias"]


def test_costs_of_cells_and_of_drivers_are_the_cost(settings: dict[str, Any]) -> None:
    env = domain.make_env(Config.model_validate(settings), 1, CPU, 3)
    decision = env.reset()
    assert isinstance(env, SupportsBlockCost)
    step = env.step(decision.observation.mask.long().argmax(-1))
    assert step.block_cost is not None and step.local_reward is not None
    torch.testing.assert_close(step.block_cost.sum(-1), -step.reward)
    torch.testing.assert_close(step.local_reward.sum(-1), step.reward)
    assert step.terminated.all() and not step.truncated.any()


def test_whole_cost_where_everybody_counts_and_some_never_arrive(settings: dict[str, Any]) -> None:
    config = Config.model_validate({**settings, "objective": "all", "day": {"wait_s": 1, "penalty_min": 9}, "scale": 4})
    instance = build(config)
    env = domain.make_env(config, 1, CPU, 0)
    mask = env.reset().observation.mask
    step = env.step(mask.long().argmax(-1))
    assert float(step.measures["not arrived"]) > 0
    assert step.block_cost is not None
    torch.testing.assert_close(step.block_cost.sum(-1), -step.reward)
    assert instance.counted.all()


def test_days_of_one_seed_are_the_same_and_of_several_are_not(settings: dict[str, Any]) -> None:
    def costs(day: dict[str, Any]) -> list[float]:
        env = domain.make_env(Config.model_validate({**settings, "day": day}), 1, CPU, 0)
        actions = env.reset().observation.mask.long().argmax(-1)
        return [float(env.step(actions).reward) for _ in range(3)]

    drawn = costs({})
    assert drawn == costs({}) and len(set(drawn)) == 3
    assert len(set(costs({"sumo_seed": 42}))) == 1


def test_what_a_driver_sees_is_whether_a_route_is_there_and_its_detour(settings: dict[str, Any]) -> None:
    config = Config.model_validate(settings)
    instance = build(config)
    env = domain.make_env(config, 1, CPU, 0)
    seen = env.reset().observation
    assert seen.mask[0].sum(-1).tolist() == [2] * 6  # of three places, as there are two ways
    free = torch.from_numpy(instance.free_minutes[instance.fleet, 1] - instance.free_minutes[instance.fleet, 0])
    torch.testing.assert_close(seen.choices[0, :, 1, 1], free.float())
    assert (seen.choices[0, :, 2, :2] == 0).all()


def test_rules_take_routes_that_exist(settings: dict[str, Any]) -> None:
    config = Config.model_validate(settings)
    env = domain.make_env(config, 1, CPU, 0)
    decision = env.reset()
    chance = torch.Generator().manual_seed(0)
    taken = {}
    for rule in baselines(config):
        for _ in range(20):
            actions = rule.act(decision, torch.rand(1, 6, generator=chance))
            assert decision.observation.mask.gather(-1, actions.unsqueeze(-1)).all()
            taken.setdefault(rule.name, set()).update(actions.flatten().tolist())
    assert taken["aon"] == {0} and taken["random"] == {0, 1} and taken["human"] | taken["best-response"] <= {0, 1}


def test_a_fleet_of_nobody_is_refused_before_people_learn(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgpg_traffic.sumo.humans.learn", lambda *_: pytest.fail("it took minutes"))
    with pytest.raises(ConfigError, match=r"fleet.share = 0.01: of 12 drivers that is none"):
        build(Config.model_validate({**settings, "fleet": {"share": 0.01}}))


def test_a_days_view_before_anybody_left_costs_nothing(settings: dict[str, Any]) -> None:
    env = domain.make_env(Config.model_validate(settings), 1, CPU, 0)
    town: Town = env.simulation.make(0)
    town.reset(1)
    view = read(town, None)
    assert view.cost == 0 and not view.terminated and not any(view.measures.values())
