"""Domains as TorchRL environments and tasks of BenchMARL, where these are installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("torchrl", reason="needs torchrl: pip install 'dgpg[torchrl]'", exc_type=ImportError)

from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from dgpg.bridges.torchrl import TorchEnv
from dgpg.errors import ActionError

from . import same

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.mark.parametrize("case", same.CASES)
def test_torchrl_finds_nothing_wrong(case: str) -> None:
    name, settings = same.CASES[case]
    env = TorchEnv(name, settings, 2, seed=0)
    check_env_specs(env)
    rolled = env.rollout(settings["horizon"] + 1, break_when_any_done=False)
    assert rolled["next", "truncated"].sum() == 2 and not rolled["next", "terminated"].any()


@pytest.mark.parametrize("case", [*same.CASES, *same.TOYS])
def test_numbers_are_those_of_the_domain(case: str, toy: Any, toy_box: Any, toy_simplex: Any) -> None:
    domain, config = same.domain_of(case, {"toy": toy, "toy_box": toy_box, "toy_simplex": toy_simplex})
    env = TorchEnv(domain, config, 3, seed=7)
    now = env.reset()
    for moment in same.play(domain, config, 3, 7, 9):
        assert np.array_equal(now["agents", "observation"], _vectors(moment.before))
        assert torch.equal(now["state"], moment.before.central)
        splits = moment.own.ndim == 3 and case in ("traffic", "grid", "toy_simplex")
        act = torch.as_tensor(moment.given if splits else moment.own)
        now["agents", "action"] = act
        stepped, after = env.step_and_maybe_reset(now)
        found, step = stepped["next"], moment.step
        assert (found["agents", "reward"] == step.reward.view(-1, 1, 1)).all()
        assert torch.equal(found["terminated"][:, 0], step.terminated)
        assert torch.equal(found["truncated"][:, 0], step.truncated)
        done = (step.terminated | step.truncated).tolist()
        for b, over in enumerate(done):
            wanted = step.final.observation if over else step.decision.observation
            assert torch.equal(found["state"][b], wanted.central[b])
            assert np.array_equal(found["agents", "observation"][b], _vectors(wanted)[b])
        now = after


def test_masks_are_true_or_false_and_agents_that_rest_may_do_anything(toy: Any) -> None:
    env = TorchEnv(toy.Domain(), toy.Config(chances={"open_share": 0.3}), 4, seed=0)
    now = env.reset()
    mask, active = now["agents", "action_mask"], now["agents", "active"][..., 0]
    assert mask.dtype == torch.bool and not active.all()
    assert torch.equal(mask.all(-1) | active, torch.ones_like(active)) and mask.any(-1).all()


def test_an_episode_that_goes_on_is_not_reset_alone() -> None:
    env = TorchEnv(*same.CASES["power"], 2, seed=0)
    env.rollout(2)
    with pytest.raises(ActionError, match="all of a batch, or those that ended"):
        env.reset(TensorDict({"_reset": torch.tensor([[True], [False]])}, [2]))


def test_a_seed_gives_the_same_episodes() -> None:
    env, other = TorchEnv("cloud", {"num_agents": 3}, 2), TorchEnv("cloud", {"num_agents": 3}, 2, seed=5)
    env.set_seed(5)
    assert torch.equal(env.reset()["agents", "observation"], other.reset()["agents", "observation"])


def test_benchmarl_trains_on_every_domain(tmp_path: Any) -> None:
    pytest.importorskip("benchmarl", reason="needs benchmarl: pip install 'dgpg[benchmarl]'", exc_type=ImportError)
    from benchmarl.algorithms import MappoConfig
    from benchmarl.experiment import Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig

    from dgpg.bridges.benchmarl import DomainTask

    config = ExperimentConfig.get_from_yaml()
    config.max_n_frames, config.max_n_iters, config.save_folder = None, 1, str(tmp_path)
    config.on_policy_n_envs_per_worker, config.on_policy_collected_frames_per_batch = 2, 16
    config.on_policy_minibatch_size, config.on_policy_n_minibatch_iters = 8, 1
    config.evaluation, config.evaluation_interval, config.loggers, config.create_json = True, 16, ["csv"], False
    for case in ("cloud", "power", "traffic"):
        experiment = Experiment(
            task=DomainTask(*same.CASES[case]), algorithm_config=MappoConfig.get_from_yaml(),
            model_config=MlpConfig.get_from_yaml(), seed=0, config=config,
        )  # fmt: skip
        experiment.run()
        assert np.isfinite(experiment.mean_return) and experiment.mean_return < 0


def _vectors(observation: Any) -> np.ndarray:
    agent, choices = observation.agent.numpy(), observation.choices.numpy()
    return np.concatenate([agent, choices.reshape(*agent.shape[:2], -1)], -1)
