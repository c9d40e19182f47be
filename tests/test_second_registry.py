"""The example that adds a model to the cloud domain, installed beside it from wheels."""

import json
from pathlib import Path

import pytest

from .fresh import ROOT, Fresh, wheels

EXAMPLE = ROOT / "docs" / "examples" / "cloud-mine"


@pytest.mark.slow
def test_a_model_for_somebody_elses_domain(tmp_path: Path) -> None:
    fresh = Fresh.make(tmp_path)
    built = wheels(tmp_path / "dist", ROOT, ROOT / "plugins" / "cloud", EXAMPLE)
    fresh.pip("install", "--no-index", "--find-links", built, "dgpg-cloud-mine")
    assert fresh.domains()["cloud.mine"] == "ok"
    small = ["--set", "num_agents=6", "--set", "horizon=12", "--device", "cpu"]
    checked = fresh.run("dgpg", "check", "cloud", "--model", "cloud.mine", *small).stdout
    assert " 0 failed" in checked and "direction" in checked
    short = ["--num-envs", 2, "--iterations", 2, "--out", "run"]
    fresh.run("dgpg", "train", "cloud", "--model", "mine", *small, *short)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"] == "cloud.mine"
    costs = [row["cost"] for row in json.loads(fresh.run("dgpg", "evaluate", "run", "--json").stdout)["results"]]
    assert len(costs) > 10 and min(costs) > 0
    fresh.pip("uninstall", "--yes", "dgpg-cloud-mine")
    assert "cloud.mine" not in fresh.domains() and fresh.domains()["cloud"] == "ok"
    assert "unknown analytical model 'cloud.mine'" in fresh.run("dgpg", "evaluate", "run", code=1).stderr
