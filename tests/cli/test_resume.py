"""Runs that go on bit for bit, whatever stopped them."""

import errno
import itertools
import os
import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg.learning import Trainer
from dgpg.learning import train as train_module
from dgpg.runs import record

from ..commands import TINY, checkpoint, command, dgpg, differing, metrics, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


# --- resume


@pytest.mark.parametrize("algorithm", ["dg-pg", "ippo-local"])
def test_interrupted_and_resumed_is_bit_for_bit_the_run_in_one_go(algorithm: str) -> None:
    six = ["train", "cloud", *TINY, "--algorithm", algorithm, "--iterations", 6]
    ok(*six, "--out", "whole")
    first = ok(*six, "--stop-after", 3, "--out", "parts")
    assert first.out.endswith("iteration 3 saved; next: dgpg train --resume --out parts\n")
    assert [one["iteration"] for one in metrics(Path("parts"))] == [1, 2, 3]
    ok("train", "--resume", "--out", "parts", "--stop-after", 1)
    assert [one["iteration"] for one in metrics(Path("parts"))] == [1, 2, 3, 4]
    ok("train", "--resume", "--out", "parts")
    one, two = checkpoint(Path("whole"), 6), checkpoint(Path("parts"), 6)
    assert not differing(one, two)
    assert metrics(Path("whole")) == metrics(Path("parts"))
    assert one["counters"]["iteration"] == 6 and one["actor_optimiser"]["state"]
    assert Path("whole/config.json").read_text() == Path("parts/config.json").read_text()
    assert "iteration 6 saved; next: dgpg evaluate" in ok("train", "--resume", "--out", "parts").out


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (["--iterations", "9"], "--iterations is 3, asked for 9"),
        (["--num-envs", "4"], "--num-envs is 2, asked for 4"),
        (["--seed", "1"], "--seed is 0, asked for 1"),
        (["--algorithm", "mappo"], "--algorithm is 'dg-pg', asked for 'mappo'"),
        (["--model", "fluid"], "--model is 'cloud.headroom', asked for 'cloud.fluid'"),
        (["--set", "num_agents=5"], "--set num_agents is 4, asked for 5"),
        (["--set", "workload.load=0.6"], "--set workload.load is 0.5, asked for 0.6"),
        (["--set", "train.alpha.end=0"], "--set train.alpha.end is 0.9, asked for 0"),
        (["--set", "num_agent=5"], "unknown setting 'num_agent': did you mean 'num_agents'?"),
        (["--set", "train.clp=5"], "unknown setting 'train.clp': did you mean 'clip'?"),
    ],
)
def test_other_settings_on_resume_are_refused_by_name(shared: Path, asked: list[str], part: str) -> None:
    before = {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    assert part in refused("train", "--resume", "--out", shared, *asked)
    assert {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()} == before


def test_another_domain_on_resume_is_refused(shared: Path) -> None:
    assert "the domain is 'cloud', asked for 'power'" in refused("train", "power", "--resume", "--out", shared)


def test_the_same_command_with_resume_goes_on() -> None:
    """Also when it says the same in other words."""
    same = ["train", "cloud", *TINY, "--model", "capacity", "--device", "auto", "--set", "workload.load=0.50"]
    ok(*same, "--stop-after", 1, "--out", "r")
    ok(*same, "--resume", "--out", "r")
    assert len(metrics(Path("r"))) == 3


def test_killed_at_any_moment_a_run_goes_on(tmp_path: Path) -> None:
    args = ["train", "cloud", *TINY, "--iterations", 500, "--set", "train.checkpoint_every=1"]
    moment = random.SystemRandom().uniform(0, 0.3)
    process = subprocess.Popen(command(*args, "--out", "killed"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    ok("train", "--resume", "--out", "killed", "--stop-after", 2)
    lines = metrics(Path("killed"))
    reached = len(lines)
    assert 5 <= reached < 500 and [one["iteration"] for one in lines] == [*range(1, reached + 1)], moment
    ok(*args, "--stop-after", reached, "--out", "whole")
    assert lines == metrics(Path("whole")), moment
    assert not differing(checkpoint(Path("killed"), reached), checkpoint(Path("whole"), reached)), moment


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["log", "save"])
def test_stopped_between_log_and_checkpoint_a_run_misses_no_line(
    monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    original, count = getattr(record.RunFolder, step), itertools.count(1)

    def stopped(*parts: Any) -> None:
        last = next(count) == (2 if step == "log" else 3)  # iteration 2: a checkpoint comes before the first
        if when == "after" or not last:
            original(*parts)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record.RunFolder, step, stopped)
        assert dgpg(*args, "--out", "r").code == 130
    ok("train", "--resume", "--out", "r")
    assert metrics(Path("whole")) == metrics(Path("r"))
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_used() -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    ok(*args, "--stop-after", 2, "--out", "r")
    Path("r/checkpoints/iteration-000002.pt").write_bytes(b"")
    shown = ok("train", "--resume", "--out", "r").out
    assert "note: iteration-000002.pt cannot be read" in shown and "from iteration 1 to 3" in shown
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))
    assert metrics(Path("whole")) == metrics(Path("r"))


def test_killed_before_its_configuration_a_run_begins_with_resume() -> None:
    Path("r/checkpoints").mkdir(parents=True)
    Path("r/.lock").touch()
    assert "in r no run has begun" in refused("train", "--resume", "--out", "r")
    shown = ok("train", "cloud", *TINY, "--resume", "--out", "r").out
    assert "note: no run had begun in r: it begins now" in shown and "iteration 3 saved" in shown
    Path("empty").mkdir()
    assert "not a run: it has no config.json" in refused("train", "cloud", *TINY, "--resume", "--out", "empty")


def test_control_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    iterate, count = Trainer.iterate, itertools.count(1)

    def interrupted(self: Trainer) -> Any:
        if next(count) == 3:
            raise KeyboardInterrupt
        return iterate(self)

    monkeypatch.setattr(Trainer, "iterate", interrupted)
    result = dgpg("train", "cloud", *TINY, "--set", "train.checkpoint_every=1", "--out", "r")
    assert result.code == 130 and "`dgpg train --resume --out r`" in result.err
    assert checkpoint_numbers(Path("r")) == [1, 2]


def checkpoint_numbers(run: Path) -> list[int]:
    return sorted(int(path.stem[-6:]) for path in (run / "checkpoints").iterdir())


# --- what goes wrong while training


def test_a_loss_that_is_not_finite_stops_with_the_iteration_and_keeps_the_last_good_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    collect, count = train_module.collect, itertools.count(1)

    def poisoned(*parts: Any) -> Any:
        trajectory, decision = collect(*parts)
        return (replace(trajectory, reward=trajectory.reward * torch.nan) if next(count) == 2 else trajectory), decision

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "collect", poisoned)
        result = dgpg(*args, "--out", "r")
    assert result.code == 1 and "error: iteration 2:" in result.err and "r/checkpoints" in result.err
    assert "is not a finite number" in result.err and "iteration 2 " not in result.out
    assert checkpoint_numbers(Path("r")) == [0, 1] and len(metrics(Path("r"))) == 1
    ok("train", "--resume", "--out", "r")
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))


def test_a_learning_rate_beyond_all_bounds_is_told_as_one_message() -> None:
    result = dgpg("train", "cloud", *TINY, "--set", "train.actor_lr=1e30", "--out", "r")
    assert result.code == 1 and "iteration 1:" in result.err and "train.actor_lr" in result.err
    assert checkpoint_numbers(Path("r")) == [0]


def test_a_full_disk_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    move = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "iteration-000002.pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = dgpg(*args, "--out", "r")
    assert result.code == 1
    assert "error: cannot write r/checkpoints/iteration-000002.pt: No space left on device" in result.err
    assert checkpoint_numbers(Path("r")) == [0, 1]
    ok("train", "--resume", "--out", "r")
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))
    assert metrics(Path("whole")) == metrics(Path("r"))


def test_a_limit_on_files_is_one_message() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
    ended = subprocess.run(command("train", "cloud", *TINY, "--out", "r", before=limit), capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: cannot write r/checkpoints/iteration-000000.pt: File too large")
    assert "Traceback" not in ended.stderr and checkpoint_numbers(Path("r")) == []
    ok("train", "--resume", "--out", "r")
    ok("train", "cloud", *TINY, "--out", "whole")
    assert metrics(Path("whole")) == metrics(Path("r"))


def test_memory_that_is_not_there_is_one_message() -> None:
    """Half a GiB more than torch takes: the less there is, the sooner it is gone."""
    limit = (
        "import resource, torch; used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, 2 * (used + (1 << 29),))"
    )
    huge = ("--set", "horizon=100000", "--num-envs", 1024, "--out", "r")
    ended = subprocess.run(command("train", "cloud", *TINY, *huge, before=limit), capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "error: not enough memory" in ended.stderr and "Traceback" not in ended.stderr
