"""A setting without effect is refused, where somebody gave it; the record of a run may hold it."""

from pathlib import Path
from typing import Any

import pytest

from dgpg.errors import ConfigError
from dgpg.learning import RunConfig
from dgpg.learning.algorithms import ALGORITHMS
from dgpg.learning.unused import GUIDANCE, NETWORK, RETURN, is_record
from dgpg.runs import launch

from ..commands import refused

SMALL = {"device": "cpu", "settings": {"num_agents": 3, "horizon": 4}}
ANY: dict[str, Any] = {
    "alpha": {"start": 0.5},
    "blocks": {"over": 3},
    "estimator": "exact",
    "guidance_scale": "influence",
    "actor_hidden": 8,
    "parameters": "independent",
    "normalise": "agent",
    "huber": 2.0,
}
ALONE = {"alpha": {"start": 1, "end": 1}}
CASES = [
    *((name, setting, {}) for name, row in ALGORITHMS.items() if not row.guided for setting in GUIDANCE),
    *(("mirror-descent", setting, {}) for setting in NETWORK),
    ("ippo-blocks", "lambda_", {}),
    *(("dg-pg", setting, ALONE) for setting in RETURN),
]


def refusal(algorithm: str, **values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        launch.resolve("cloud", {"algorithm": algorithm, **SMALL, **values})
    return str(caught.value)


@pytest.mark.parametrize(("algorithm", "setting", "beside"), CASES)
def test_what_has_no_effect_is_refused_by_name(algorithm: str, setting: str, beside: dict[str, Any]) -> None:
    said = refusal(algorithm, train={setting: ANY.get(setting, 0.5 if setting != "critic_hidden" else 8), **beside})
    assert said.startswith(f"train.{setting} is not used: ") and "leave it out" in said and "\n" not in said


def test_a_model_and_rounds_that_are_not_there() -> None:
    assert refusal("mappo", model="fluid").startswith("--model fluid: algorithm mappo uses no analytical model")
    assert "there are no rounds" in refusal("dg-pg", coordination={"detached": True})


def test_values_of_blocks_of_numbers_and_of_choices() -> None:
    assert refusal("dg-pg", train={"blocks": {"numbers": True}}).startswith("train.blocks.numbers is not used: agents")
    for domain, said, expected in (
        ("traffic", {"over": 3}, "train.blocks is not used: agents set numbers or splits"),
        ("traffic", {"numbers": True, "fee": 0.5}, "train.blocks.fee is not used: numbers and splits bring no work"),
        ("power", {"numbers": True}, "train.blocks is not used: the domain does not say what blocks cost"),
    ):
        with pytest.raises(ConfigError) as caught:
            launch.resolve(domain, {"device": "cpu", "train": {"blocks": said}})
        assert str(caught.value).startswith(expected)
    plan = launch.resolve("traffic", {"device": "cpu", "train": {"blocks": {"numbers": True}}})
    assert plan.run.train.blocks.gamma == 0  # links carry over what would have come anyway


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_record_of_a_run_resolves_to_itself(algorithm: str) -> None:
    run = launch.resolve("cloud", {"algorithm": algorithm, **SMALL}).run
    assert launch.resolve("cloud", run.model_dump(mode="json")).run == run
    assert is_record(run.model_dump()) and not is_record({"train": {}, "domain": "cloud"})
    assert is_record(dict.fromkeys(RunConfig.model_fields))


@pytest.mark.parametrize(
    ("algorithm", "beside", "said", "words"),
    [
        ("mappo", {}, ["--model", "fluid"], "--model fluid: algorithm mappo uses no analytical model"),
        ("mappo", {}, ["--set", "train.alpha.end=0.1"], "train.alpha is not used"),
        ("dg-pg", {}, ["--set", "coordination.detached=true"], "coordination.detached: there are no rounds"),
        ("dg-pg", {"alpha": {"start": 1, "end": 1}}, ["--set", "train.critic_lr=0.1"], "train.critic_lr is not used"),
        ("dg-pg", {}, ["--set", "train.alpha.start=1", "--set", "train.alpha.end=1", "--set", "train.gamma=0.9"],
         "train.gamma is not used"),
        ("dg-pg", {}, ["--set", "train.threads=1000"], "train.threads = 1000: this machine lends"),
        ("dg-pg", {}, ["--algorithm", "ippo", "--set", "train.estimator=exact"], "train.estimator is not used"),
    ],
)  # fmt: skip
def test_what_is_said_beside_a_record_must_have_an_effect(
    tmp_path: Path, algorithm: str, beside: dict[str, Any], said: list[str], words: str
) -> None:
    run = launch.resolve("cloud", {"algorithm": algorithm, **SMALL, "train": beside}).run
    record = tmp_path / "config.json"
    record.write_text(run.model_dump_json())
    assert words in refused("train", "--config", record, *said, "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_record_of_another_machine_may_hold_more_threads(tmp_path: Path) -> None:
    run = launch.resolve("cloud", SMALL).run
    run = run.model_copy(update={"train": run.train.model_copy(update={"threads": 1000})})
    assert launch.resolve("cloud", run.model_dump(mode="json")).run.train.threads == 1000


def test_more_threads_than_cores() -> None:
    assert "train.threads = 1024: this machine lends" in refusal("dg-pg", train={"threads": 1024})
