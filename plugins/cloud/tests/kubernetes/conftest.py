"""An export for the tests of the extender."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the cloud domain."""
    from dgpg.export import export
    from dgpg.runs import resolve, start
    from dgpg.runs.training import train

    made = tmp_path_factory.mktemp("policy")
    plan = resolve("cloud", {"iterations": 1, "num_envs": 2, "settings": {"num_agents": 5, "horizon": 8}})
    trainer, run = start(plan, made / "run")
    train(trainer, run, None, lambda metrics: None)
    export(run.path, made / "out", decisions=200)
    return made / "out"
