"""What a run learned of its blocks is there to be measured, in its instance and in others."""

import json
from pathlib import Path

import pytest
import torch

from dgpg.measuring import evaluate_run
from dgpg.runs import open_trained

from ..commands import ok


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("values") / "run"
    learned = ("--set", "train.blocks.over=2", "--iterations", 4)
    told = ("--set", "num_agents=12", "--set", "preset=waiting", *learned, "--device", "cpu")
    ok("train", "cloud", *told, "--out", str(path))
    return path


def test_the_rule_that_follows_what_was_learned_is_measured(run: Path) -> None:
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert log[-1]["block_share"] == 1 and all(line["block_fee"] > 0 for line in log)
    rows = {row.name: row.cost for row in evaluate_run(open_trained(run, {}), 4, 1)[1]}
    assert rows["greedy-block-value"] != rows["greedy-potential"]


def test_another_instance_has_blocks_that_look_alike(run: Path) -> None:
    rows = {row.name for row in evaluate_run(open_trained(run, {"num_agents": 4, "num_machines": 3}), 2, 1)[1]}
    assert "greedy-block-value" in rows


def test_what_was_learned_of_splits_is_followed_and_resumed(tmp_path: Path) -> None:
    """The rule descends what was learned as it descends the model; a run in two parts is the run in one."""
    told = ("--set", "network=braess", "--set", "horizon=4", "--set", "models.capacity=nominal", "--num-envs", "8",
            "--set", "incidents.probability=0.3", "--set", "train.blocks.numbers=true", "--set", "train.blocks.over=2",
            "--set", "train.checkpoint_every=2", "--iterations", "6", "--device", "cpu")  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    ok("train", "traffic", *told, "--out", str(whole))
    ok("train", "traffic", *told, "--stop-after", "4", "--out", str(parts))
    ok("train", "--resume", "--out", str(parts))
    lines = [[json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()] for run in (whole, parts)]
    for name in ("cost", "block_fit", "model_fit", "block_share", "guidance_part"):
        assert [line[name] for line in lines[0]] == [line[name] for line in lines[1]]
    assert lines[0][-1]["block_share"] > 0
    rows = {row.name: row.cost for row in evaluate_run(open_trained(whole, {}), 2, 1)[1]}
    assert rows["greedy-block-value"] != rows["greedy-potential"]


def test_a_run_from_before_goes_on_without(run: Path, tmp_path: Path) -> None:
    """Its configuration does not speak of values of blocks, and following the model is what it did."""
    old = tmp_path / "old"
    told = ("--set", "num_agents=6", "--set", "horizon=12", "--set", "train.blocks.use=false", "--device", "cpu")
    ok("train", "cloud", *told, "--iterations", "4", "--stop-after", "2", "--out", str(old))
    config = json.loads((old / "config.json").read_text())
    del config["train"]["blocks"]
    (old / "config.json").write_text(json.dumps(config))
    for checkpoint in (old / "checkpoints").iterdir():
        state = torch.load(checkpoint, weights_only=True)
        del state["config"]["train"]["blocks"], state["blocks"]
        torch.save(state, checkpoint)
    assert open_trained(old, {}).value is None
    assert "blocks" not in json.loads((old / "config.json").read_text())["train"]
    ok("train", "cloud", "--config", old / "config.json", "--out", tmp_path / "again")
    assert not json.loads((tmp_path / "again" / "config.json").read_text())["train"]["blocks"]["use"]
    ok("train", "--resume", "--out", str(old))
    assert "block_share" not in json.loads((old / "metrics.jsonl").read_text().splitlines()[-1])
