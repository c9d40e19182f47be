"""A policy evaluated on another part of a trace, or another trace: what a step is stays, and the machines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.domain import SupportsEpisodes, SupportsTransfer, merge, validate
from dgpg.errors import ConfigError
from dgpg_cloud.arrivals import draw
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import Instance, build

HEADER = "submit,duration,cpu,memory_gib\n"


def table(path: Path, jobs: int, gap: float, duration: float, cpu: int, start: float = 0.0) -> str:
    return "".join(f"{start + gap * i},{duration + 7 * (i % 5)},{cpu},1\n" for i in range(jobs))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The second half of the trace is twice as busy, of jobs of other length; its last is a large one."""
    folder = tmp_path_factory.mktemp("transfer")
    rows = table(folder, 400, 20, 300, 1) + table(folder, 400, 10, 500, 1, 8000)
    (folder / "jobs.csv").write_text(HEADER + rows)
    (folder / "large.csv").write_text(HEADER + rows + "12010,400,64,1\n")
    (folder / "other.csv").write_text(HEADER + table(folder, 300, 7, 200, 2))
    sizes = [8, 8, 8, 8, 16, 16, 16, 16, 64, 64]
    (folder / "machines.csv").write_text("cpu,memory_gib,price\n" + "".join(f"{n},256,{n}\n" for n in sizes))
    values = {
        "num_agents": 6, "num_machines": 4, "candidates": 3, "horizon": 6,
        "machines": {"file": folder / "machines.csv"},
        "workload": {"trace": folder / "jobs.csv", "end": 0.5, "load": 0.4},
    }  # fmt: skip
    return validate(Config, values, "")


def transferred(config: Config, **workload: Any) -> Instance:
    wished = validate(Config, merge(config.model_dump(mode="json"), {"workload": workload}), "")
    return build(domain.transfer(config, wished))


def running(config: Config, since: float, until: float, pace: float) -> float:
    """Jobs of the trace's file that run on average in a part of its time."""
    assert config.workload.trace is not None
    rows = np.loadtxt(config.workload.trace, delimiter=",", skiprows=1)
    begin, end = (rows[:, 0] - since) / pace, (rows[:, 0] - since) / pace + rows[:, 1]
    last = (until - since) / pace
    return float((end.clip(0, last) - begin.clip(0, last)).sum() / last)


REST = {"start": 0.5, "end": 1.0}


def test_another_part_keeps_step_pace_and_machines_and_so_has_the_load_that_it_has(config: Config) -> None:
    assert isinstance(domain, SupportsTransfer)
    own, other = build(config), transferred(config, **REST)
    assert own.replay is not None and other.replay is not None
    assert (other.replay.step_s, other.replay.pace) == (own.replay.step_s, own.replay.pace)
    for name in ("rows", "capacity", "graph", "price"):
        assert np.array_equal(getattr(other, name), getattr(own, name)), name
    assert own.load == pytest.approx(0.4, rel=0.02)
    # Twice as many jobs of 514 s instead of 314, of which the first found nobody running.
    more = running(config, 8000, 11_990, own.replay.pace) / running(config, 0, 7980, own.replay.pace)
    assert 2.5 < more < 2 * 514 / 314
    assert other.load == pytest.approx(0.4 * more, rel=0.03)
    assert "kept from the training: the seconds of a step, the pace, the machines" in other.notes
    assert other.mean_job == own.mean_job
    assert any("not workload.load = 0.4" in note for note in other.notes)
    assert not any("not workload.load" in note for note in own.notes)
    alone = build(Config.model_validate({**config.model_dump(), "workload": config.workload.model_copy(update=REST)}))
    assert alone.replay is not None and alone.replay.pace != own.replay.pace
    assert alone.load == pytest.approx(0.4, rel=0.02)


def test_of_equal_settings_it_gives_the_same_numbers(config: Config) -> None:
    own, same = build(config), build(config.model_copy(update={"trained": config}))
    for seed in range(5):
        one, two = (draw(np.random.default_rng(seed), x) for x in (own, same))
        assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in vars(one))
    assert own.mean_job == same.mean_job and np.array_equal(own.candidates, same.candidates)


def test_what_the_user_sets_is_what_is_played(config: Config) -> None:
    own = build(config).replay
    assert own is not None
    finer = transferred(config, **REST, step=own.step_s / 2).replay
    assert finer is not None and (finer.step_s, finer.pace) == (own.step_s / 2, own.pace)
    slower = transferred(config, **REST, pace=own.pace / 2).replay
    assert slower is not None and (slower.step_s, slower.pace) == (own.step_s, own.pace / 2)
    fuller = transferred(config, **REST, load=0.6)
    assert fuller.replay is not None and fuller.replay.step_s == own.step_s
    assert fuller.load == pytest.approx(0.6, rel=0.02)


def test_another_trace_keeps_the_step_and_has_a_pace_of_its_own(config: Config) -> None:
    assert config.workload.trace is not None
    own = build(config).replay
    other = transferred(config, trace=config.workload.trace.with_name("other.csv"), end=1.0)
    assert own is not None and other.replay is not None
    assert other.replay.step_s == own.step_s and other.load == pytest.approx(0.4, rel=0.02)
    assert "kept from the training: the seconds of a step, the machines" in other.notes


def test_a_machine_that_another_part_needs_takes_the_place_of_one(config: Config) -> None:
    assert config.workload.trace is not None
    large = config.model_copy(update={"workload": config.workload.model_copy(update={"pace": 1.0})})
    seed = next(s for s in range(50) if build(large.model_copy(update={"seed": s})).capacity[:, 0].max() < 64_000)
    large = large.model_copy(update={"seed": seed})
    other = transferred(large, **REST, trace=config.workload.trace.with_name("large.csv"))
    assert other.capacity[:, 0].max() == 64_000
    assert (other.rows != build(large).rows).sum() == 1
    assert any("3 of 4 machines" in note for note in other.notes)


def test_synthetic_jobs_have_nothing_to_keep(config: Config) -> None:
    wished = Config(num_agents=7)
    assert domain.transfer(Config(), wished) is wished
    assert domain.transfer(config, wished) is wished
    with pytest.raises(ConfigError, match=r"trained\.trained: settings of a training have no training before them"):
        validate(Config, {"trained": {"trained": {}}}, "")


def test_the_recording_says_how_many_episodes_share_nothing(config: Config) -> None:
    assert isinstance(domain, SupportsEpisodes)
    assert domain.episodes(Config()) is None
    own = build(config).replay
    assert own is not None
    count = domain.episodes(config)
    assert count is not None
    # The used part in steps, over episodes of six and the moment they end in; a few windows may be lost to rounding.
    steps = 20 * 399 / own.pace / own.step_s
    assert steps / 7 - 2 < count <= steps / 7
