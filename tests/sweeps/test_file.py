"""The file of a sweep: what its names mean, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgpg.errors import ConfigError
from dgpg.sweeps import Candidate, Range, read
from dgpg.sweeps.jobs import LONGEST, named


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_names_are_those_of_the_command_line(tmp_path: Path) -> None:
    asked = read(
        written(
            tmp_path,
            """
            domain = "cloud"
            iterations = 5
            [settings]
            horizon = 16
            [sweep]
            seeds = [3, 4]
            [sweep.grid]
            algorithm = ["dg-pg", "mappo"]
            "workload.load" = [0.5]
            "settings.num_agents" = [6]
            "train.clip" = [0.1, 0.3]
            """,
        )
    )
    combinations = list(asked.combinations())
    assert len(combinations) == 4
    assert [one["algorithm"] for one in combinations] == ["dg-pg", "dg-pg", "mappo", "mappo"]
    assert asked.values(combinations[1]) == {
        "domain": "cloud",
        "iterations": 5,
        "algorithm": "dg-pg",
        "settings": {"horizon": 16, "workload": {"load": 0.5}, "num_agents": 6},
        "train": {"clip": 0.3},
    }
    assert asked.base == {"domain": "cloud", "iterations": 5, "settings": {"horizon": 16}}


BEGINNING = 'domain = "cloud"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BEGINNING, "expected a table 'sweep'"),
        ("[sweep]\n", "domain: required"),
        ('domain = "clod"\n[sweep]\n', "did you mean 'cloud'"),
        (BEGINNING + "seed = 3\n[sweep]\n", "give sweep.seeds"),
        (BEGINNING + "iteration = 3\n[sweep]\n", "did you mean 'iterations'"),
        (BEGINNING + "[sweep]\nseeds = []\n", "sweep.seeds"),
        (BEGINNING + "[sweep]\nseeds = [1, 1]\n", "one is there twice"),
        (BEGINNING + "[sweep]\nepisodes = 1\n", "sweep.episodes"),
        (BEGINNING + '[sweep.grid]\n"train.clp" = [1]\n', "did you mean 'clip'"),
        (BEGINNING + '[sweep.grid]\n"train.clip" = [0.1, -1]\n', "train.clip = -1"),
        (BEGINNING + '[sweep.grid]\n"train.clip" = []\n', "'train.clip' has no values"),
        (BEGINNING + '[sweep.grid]\n"train.clip" = 0.1\n', "sweep.grid.train.clip"),
        (BEGINNING + "[sweep.grid]\nnum_agent = [3]\n", "did you mean 'num_agents'"),
        (BEGINNING + '[sweep.grid]\nalgorithm = ["dg-pg", "mapo"]\n', "did you mean 'mappo'"),
        (BEGINNING + '[sweep.search]\n"train.clip" = { low = 1, high = 0.5 }\n', "is not below"),
        (BEGINNING + '[sweep.search]\n"train.clip" = { low = 0, high = 1, log = true }\n', "needs low above 0"),
        (BEGINNING + '[sweep.search]\n"train.clip" = { low = -1, high = 1 }\n', "train.clip = -1"),
        (BEGINNING + '[sweep.search]\n"train.clip" = [0.1]\n[sweep.grid]\n"train.clip" = [0.1]\n', "leave one"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)


def test_a_range_is_whole_where_both_ends_are() -> None:
    assert isinstance(Range(low=1, high=4).low, int)
    assert isinstance(Range(low=1.0, high=4).low, float)


def test_folders_say_what_is_in_them_and_differ() -> None:
    assert named({"algorithm": "mappo", "train.clip": 0.1, "workload.swing": False}) == (
        "algorithm=mappo,train.clip=0.1,workload.swing=false"
    )
    odd = {"network": "a/b ü"}
    assert "/" not in named(odd)
    assert named(odd) != named({"network": "a_b ü"})
    assert len(named({"network": "x" * 500})) <= LONGEST
    assert named({"network": "x" * 500}) != named({"network": "x" * 501})
    assert [job.name for job in Candidate({}, {}).jobs([2])] == ["seed=2"]
