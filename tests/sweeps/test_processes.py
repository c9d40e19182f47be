"""Processes of a sweep, and a whole one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dgpg.sweeps.processes import Local, follow, reason


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def ended(commands: list[list[str]], said: Path) -> int:
    process = Local(1).start(commands, said)
    while (status := process.poll()) is None:
        time.sleep(0.01)
    return status


def test_commands_follow_while_they_succeed(tmp_path: Path) -> None:
    said = tmp_path / "said"
    assert ended([python("print('one')"), python("print('two')")], said) == 0
    assert said.read_text().split() == ["one", "two"]
    assert ended([python("print('error: no'); raise SystemExit(3)"), python("print('never')")], said) == 3
    assert reason(said) == "error: no"
    assert reason(tmp_path / "nothing") == "it printed nothing"


def test_a_process_that_is_stopped_begins_nothing_more(tmp_path: Path) -> None:
    said = tmp_path / "said"
    wait = "import signal, time; signal.signal(15, lambda *_: exit(0)); print('up', flush=True); time.sleep(60)"
    process = Local(1).start([python(wait), python("print('never')")], said)
    while not said.read_text():
        time.sleep(0.01)
    process.stop(signal.SIGTERM)
    while (status := process.poll()) is None:
        time.sleep(0.01)
    assert status == 0
    assert said.read_text().split() == ["up"]


def test_a_task_of_a_cluster_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())  # and back, after the task has gone elsewhere
    said, commands = tmp_path / "said", [python("import os; print(os.getcwd())"), python("raise SystemExit(4)")]
    assert follow(commands, str(said), str(tmp_path)) == 4
    assert said.read_text().strip() == str(tmp_path)


@pytest.mark.slow
def test_a_sweep_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    (tmp_path / "two.toml").write_text(
        """
        domain = "cloud"
        iterations = 1
        num_envs = 2
        [settings]
        num_agents = 4
        horizon = 8
        [sweep]
        seeds = [0]
        episodes = 2
        [sweep.grid]
        "train.clip" = [0.1, 0.3]
        """
    )
    command = [sys.executable, "-m", "dgpg", "sweep", "two.toml", "--json"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert [len(one["costs"]) for one in told["candidates"]] == [1, 1]
    assert (tmp_path / "sweeps" / "two" / "sweep.html").stat().st_size > 10_000
    config = json.loads((tmp_path / "sweeps/two/train.clip=0.3,seed=0/config.json").read_text())
    assert config["train"]["clip"] == 0.3
    assert config["train"]["threads"] == 1
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert json.loads(again.stdout) == told
