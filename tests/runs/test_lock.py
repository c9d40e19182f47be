"""A run's folder belongs to one process, and to nobody once that has died."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dgpg.errors import RunError
from dgpg.runs import RunFolder
from dgpg.runs.lock import hold, release

from ..folders import CONFIG, names

HOLDER = """
import sys, time
from pathlib import Path
from dgpg.runs.lock import hold
lock = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(100)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_has_it_and_a_death_releases_it(tmp_path: Path) -> None:
    process = holder(tmp_path)
    with pytest.raises(
        RunError, match=rf"is being trained by process {process.pid} on .+ since \d{{4}}-.*another --out"
    ):
        hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    release(hold(tmp_path))


def test_also_within_one_process(run: RunFolder) -> None:
    other, _ = RunFolder.open(run.path)
    with pytest.raises(RunError, match=f"process {os.getpid()} on"):
        other.claim()
    run.close()
    other.claim()
    other.close()


def test_who_has_it_may_be_unreadable(tmp_path: Path) -> None:
    lock = hold(tmp_path)
    (tmp_path / ".lock.json").write_text("[")
    with pytest.raises(RunError, match="is being trained by another process:"):
        hold(tmp_path)
    release(lock)


def test_who_holds_it_sweeps_what_killed_writers_left(run: RunFolder) -> None:
    for path in (run.path / ".metrics.jsonl.4711", run.checkpoints / ".iteration-000005.pt.12"):
        path.write_text("half")
    (run.path / ".notes.of.mine").write_text("kept")
    run.close()
    RunFolder.open(run.path)[0].claim()
    assert ".metrics.jsonl.4711" not in names(run.path) and names(run.checkpoints) == []
    assert ".notes.of.mine" in names(run.path)


@pytest.mark.parametrize("left", [[], [".lock"], ["checkpoints/", "versions.json", ".config.json.77", ".lock.json"]])
def test_a_folder_left_before_its_run_began_is_new(tmp_path: Path, left: list[str]) -> None:
    path = tmp_path / "run"
    path.mkdir()
    for name in left:
        (path / name).mkdir() if name.endswith("/") else (path / name).write_text("")
    RunFolder.create(path, CONFIG).close()
    assert RunFolder.open(path)[1] == CONFIG


@pytest.mark.parametrize("left", ["thesis", "checkpoints/iteration-000005.pt", "metrics.jsonl", ".hidden"])
def test_a_folder_with_anything_else_is_not(tmp_path: Path, left: str) -> None:
    path = tmp_path / "run"
    (path / left).parent.mkdir(parents=True)
    (path / left).write_text("precious")
    with pytest.raises(RunError, match="exists: choose another --out"):
        RunFolder.create(path, CONFIG)
    assert (path / left).read_text() == "precious" and not (path / "config.json").exists()
