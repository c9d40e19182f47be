"""One training in several processes: the same numbers, one voice, and an end if one of them is gone."""

import os
import random
import signal
from pathlib import Path

import pytest

from dgpg.errors import ConfigError
from dgpg.runs.world import joined

from ..commands import INSTANCE, checkpoint, dgpg, differing, metrics, ok, refused
from ..processes import Processes

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
HERE = Path()
SHARED = [
    *INSTANCE, "--num-envs", "4", "--device", "cpu", "--set", "train.minibatches=2", "--set", "train.epochs=1",
    "--set", "train.shards=4", "--iterations", "40", "--set", "train.checkpoint_every=2",
]  # fmt: skip
LAST = 4


def same_as_whole(run: str, iteration: int) -> bool:
    ok("train", "cloud", *SHARED, "--stop-after", iteration, "--out", f"whole-{iteration}")
    whole = Path(f"whole-{iteration}")
    differ = differing(checkpoint(whole, iteration), checkpoint(Path(run), iteration))
    return not differ and metrics(Path(run)) == metrics(whole)


def test_two_processes_speak_with_one_voice_and_train_to_the_same_numbers() -> None:
    with Processes(2, "train", "cloud", *SHARED, "--stop-after", LAST, "--out", "r", folder=HERE) as both:
        assert both.wait() == [0, 0], both.err(0)
        lines = both.out(0).splitlines()
        assert both.out(1) == "" and both.err(1) == ""
    assert len([line for line in lines if line.startswith("iteration ")]) == LAST + 1
    assert same_as_whole("r", LAST)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_rank_and_moment_a_run_goes_on_in_another_number_of_processes(seed: int) -> None:
    draw = random.Random(seed)
    size, rank, lines = draw.choice([2, 4]), draw.randrange(2), draw.randrange(1, 4)
    with Processes(size, "train", "cloud", *SHARED, "--out", "r", folder=HERE) as some:
        some.until(Path("r/metrics.jsonl"), lines)
        os.kill(some.ranks[rank].pid or 0, signal.SIGKILL)
        ends = some.wait()
        assert ends[rank] == -signal.SIGKILL and all(end == 1 for at, end in enumerate(ends) if at != rank)
        told = [some.err(at) for at in range(size) if at != rank]
    assert any("another process of this training is gone" in err and "--resume" in err for err in told), told
    reached = max(len(metrics(Path("r"))), LAST) + 2
    begun = max(int(path.stem[-6:]) for path in Path("r/checkpoints").iterdir())
    ok("train", "--resume", "--out", "r", "--stop-after", reached - begun)
    assert same_as_whole("r", reached)


def test_a_signal_to_one_process_stops_all_after_the_same_iteration() -> None:
    with Processes(2, "train", "cloud", *SHARED, "--iterations", 3000, "--out", "r", folder=HERE) as both:
        both.until(Path("r/metrics.jsonl"), 2)
        os.kill(both.ranks[1].pid or 0, signal.SIGTERM)
        assert both.wait() == [128 + signal.SIGTERM] * 2
        reached = len(metrics(Path("r")))
        assert f"iteration {reached} is saved" in both.err(0) and both.err(1) == ""
    assert checkpoint(Path("r"), reached)["counters"]["iteration"] == reached


def test_a_launcher_that_starts_again_goes_on() -> None:
    ok("train", "cloud", *SHARED, "--stop-after", 2, "--out", "r")
    again = {"TORCHELASTIC_RESTART_COUNT": "1"}
    with Processes(2, "train", "cloud", *SHARED, "--stop-after", 2, "--out", "r", folder=HERE, **again) as both:
        assert both.wait() == [0, 0], both.err(0)
    assert same_as_whole("r", 4)


def test_processes_that_cannot_share_are_told_once() -> None:
    with Processes(3, "train", "cloud", *SHARED, "--out", "r", folder=HERE) as three:
        assert three.wait() == [1, 1, 1]
        assert "3 processes cannot share train.shards = 4 alike" in three.err(0)
        assert three.err(1) == three.err(2) == "" and not Path("r").exists()


def test_shards_need_environments() -> None:
    told = refused("train", "cloud", *SHARED, "--set", "train.shards=5", "--out", "r")
    assert "train.shards = 5: there are 4 environments" in told


def test_a_run_says_what_its_shards_are() -> None:
    ok("train", "cloud", *SHARED, "--stop-after", 1, "--out", "r")
    assert "train.shards is 4, asked for 2" in refused("train", "--resume", "--out", "r", "--set", "train.shards=2")


def test_half_of_the_launchers_variables() -> None:
    with (
        pytest.raises(ConfigError, match=r"WORLD_SIZE is 2, so RANK, MASTER_PORT must be set"),
        joined({"WORLD_SIZE": "2", "MASTER_ADDR": "here"}),
    ):
        pass
    assert dgpg("domains").code == 0
