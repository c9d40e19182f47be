"""The same numbers on a GPU; skipped with a reason where there is none."""

from __future__ import annotations

import pytest
import torch

from dgpg.learning import ALGORITHMS, Trainer
from dgpg.learning.algorithms import find
from dgpg.measuring.evaluate import baseline_rows
from dgpg.runs import building, launch
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this torch sees no GPU")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
CONFIG = Config(num_agents=20, horizon=16, workload={"load": 0.6})


def test_jobs_start_and_finish_as_on_the_cpu() -> None:
    envs = [domain.make_env(CONFIG, 4, device, 3) for device in (CPU, GPU)]
    for env in envs:
        env.reset()
    draw = torch.Generator().manual_seed(0)
    for _ in range(15):
        actions = torch.randint(8, (4, 20), generator=draw)
        one, two = (env.step(actions.to(env.device)) for env in envs)
        assert torch.allclose(one.reward, two.reward.cpu(), rtol=1e-5)
        assert torch.equal(one.decision.observation.mask, two.decision.observation.mask.cpu())
        for name in ("machine", "start", "finish", "used", "waiting"):
            assert torch.equal(getattr(envs[0].cluster, name), getattr(envs[1].cluster, name).cpu())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_on_the_gpu(algorithm: str) -> None:
    plan = launch.resolve(
        "cloud", {"algorithm": algorithm, "iterations": 2, "device": "cuda", "settings": CONFIG.model_dump(mode="json")}
    )
    trainer = Trainer(plan.run, find(algorithm), plan.task)
    trainer.iterate()
    state = trainer.state_dict()
    trainer.load_state_dict(state)
    trainer.iterate()


def test_every_rule_costs_what_it_costs_on_the_cpu() -> None:
    rows = []
    for device in (CPU, GPU):
        model = building.on_device(domain.analytical_model(CONFIG), device)
        rows.append({row.name: row.cost for row in baseline_rows(domain, CONFIG, model, 2, 1, device)})
    assert rows[0] == pytest.approx(rows[1], rel=0.02)  # ties between equal scores may fall otherwise
