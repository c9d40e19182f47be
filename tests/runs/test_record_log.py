"""The log of a run folder, and a run killed at any moment."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from dgpg.runs import RunFolder, record

from ..folders import CPU, line, names, state

# --- the log


def test_lines_are_kept_up_to_the_checkpoint(run: RunFolder) -> None:
    run.start_log(0)
    for iteration in range(1, 6):
        run.log(line(iteration))
    run.close()
    again = RunFolder(run.path)
    again.start_log(3)
    assert again.read_log() == [line(1), line(2), line(3)]
    again.log(line(4))
    again.close()
    assert [m["iteration"] for m in again.read_log()] == [1, 2, 3, 4]


@pytest.mark.parametrize("tail", [b'{"iteration": 3, "co', b'{"iteration": 3', b"\x00" * 40, b'{"cost": "\xc3', b"{"])
def test_a_line_cut_by_a_crash_is_dropped(run: RunFolder, tail: bytes) -> None:
    whole = "".join(json.dumps(line(i)) + "\n" for i in (1, 2)).encode()
    run.metrics.write_bytes(whole + tail)
    assert run.read_log() == [line(1), line(2)]
    run.start_log(2)
    run.log(line(3))
    run.close()
    assert [json.loads(text) for text in run.metrics.read_text().splitlines()] == [line(1), line(2), line(3)]


def test_a_line_that_names_a_number_twice_is_no_record(run: RunFolder) -> None:
    twice = b'{"iteration": 2, "cost": 0.1, "cost": 0.2}\n'
    run.metrics.write_bytes(json.dumps(line(1)).encode() + b"\n" + twice)
    assert run.read_log() == [line(1)]
    run.start_log(2)
    run.close()
    assert "metrics.jsonl:2: expected the record of iteration 2" in run.notes[0]
    assert twice in (run.path / "metrics.damaged-1.jsonl").read_bytes()


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "events"))
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_a_disk_that_is_full_of_events_is_one_line_and_stops_nothing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's thread would print a traceback beside it, which fails a test."""
    gfile = pytest.importorskip("tensorboard.compat.tensorflow_stub.io.gfile")
    hook, told = threading.excepthook, list[str]()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run.start_log(0)
    run.listen(told.append)
    run.log(line(1))
    monkeypatch.setattr(gfile.LocalFileSystem, "append", full)
    for iteration in range(2, 100):
        run.log(line(iteration))
        run.save(iteration, state(iteration))
    run.close()
    assert len(told) == 1 and "logger tensorboard is left out" in told[0] and "No space left on device" in told[0]
    assert len(run.read_log()) == 99
    assert threading.excepthook is hook and RunFolder.open(run.path)[0].claim() is None


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """TensorBoard orders files of events by the second in their name."""
    now = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: now)


def test_tensorboard_shows_the_numbers_of_the_log(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    for start, stop in ((0, 4), (2, 6)):  # iterations 3 and 4 are done again
        later(monkeypatch, 5)
        folder = RunFolder(run.path)
        folder.start_log(start)
        for iteration in range(start + 1, stop + 1):
            folder.log(line(iteration) | {"cost": iteration + start / 10})
        folder.close()
    log = run.read_log()
    assert [m["iteration"] for m in log] == [1, 2, 3, 4, 5, 6] and log[3]["cost"] == pytest.approx(4.2)
    shown = events(run.path)
    assert set(shown) == set(log[0])
    for name, points in shown.items():
        assert points == [(m["iteration"], pytest.approx(m[name])) for m in log], name


# --- killed


KILLED = '''
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from torch.utils.tensorboard import SummaryWriter
from dgpg.learning.config import RunConfig
from dgpg.runs.record import RunFolder
root = Path(sys.argv[2])

def work(path, left):
    """Five iterations; killed at the file operation number `left` below the folder, almost done."""
    count = [left]
    def tick(half=None):
        count[0] -= 1
        if count[0] == 0:
            if half is not None:
                os.ftruncate(half, max(0, os.fstat(half).st_size - 20))
            os.kill(os.getpid(), signal.SIGKILL)
    def audit(event, args):
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(args[0]).startswith(str(path)):
            tick()
    flush = os.fsync
    def fsync(handle):
        tick(handle)
        flush(handle)
        tick()
    os.fsync = fsync
    plain = Path.open
    def opened(self, *args, **kwargs):
        file = plain(self, *args, **kwargs)
        if str(self).startswith(str(path)):
            tick()
        return file
    Path.open = opened
    sys.addaudithook(audit)
    folder = RunFolder.create(path, RunConfig(domain="toy", algorithm="mappo"))
    done = path.with_suffix(".done").open("w")
    folder.save(0, {"counters": {}, "iteration": 0, "x": torch.zeros(1000)})
    folder.start_log(0)
    print(0, file=done, flush=True)
    for i in range(1, 6):
        folder.log({"iteration": i, "cost": 10.0 * i})
        if i % 2 == 0:
            folder.save(i, {"counters": {}, "iteration": i, "x": torch.full((1000,), float(i))})
            print(i, file=done, flush=True)
    folder.close()

for left in range(1, 1000):
    child = os.fork()
    if child == 0:
        work(root / f"{left:03d}", left)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(left)
'''


def test_killed_at_any_file_operation_the_last_complete_checkpoint_is_found(tmp_path: Path) -> None:
    core = Path(record.__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(core), str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stderr
    points = int(ended.stdout)
    assert points > 40  # the loop has met writes, renames, removals, and ended by itself
    resumed = set()
    for path in sorted(path for path in tmp_path.iterdir() if path.is_dir()):
        progress = path.with_suffix(".done")
        done = progress.read_text().split() if progress.exists() else []
        if not done:  # killed before the run was there: said so, nothing to lose
            continue
        folder, _ = RunFolder.open(path)
        folder.claim()
        loaded = folder.load(CPU)
        iteration = loaded["iteration"]
        assert not folder.notes and iteration in (int(done[-1]), int(done[-1]) + 2)
        assert torch.equal(loaded["x"], torch.full((1000,), float(iteration)))
        folder.start_log(iteration)
        assert [m["iteration"] for m in folder.read_log()] == list(range(1, iteration + 1)), path
        for later in range(iteration + 1, 7):
            folder.log({"iteration": later, "cost": 10.0 * later})
        folder.save(6, state(6))
        folder.close()
        assert [m["cost"] for m in folder.read_log()] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        assert not [name for name in names(folder.checkpoints) if name.startswith(".")], "litter of a killed write"
        resumed.add(iteration)
    assert resumed == {0, 2, 4}


def test_killed_the_events_still_hold_what_the_checkpoint_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    script = f"""
import os, signal, sys
from pathlib import Path
from dgpg.learning.config import RunConfig
from dgpg.runs.record import RunFolder
folder = RunFolder.create(Path({str(tmp_path / "run")!r}), RunConfig(domain="toy", algorithm="mappo"))
folder.start_log(0)
for i in (1, 2, 3):
    folder.log({{"iteration": i, "cost": float(i)}})
    if i == 2:
        folder.save(i, {{"iteration": i}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = os.pathsep.join([str(Path(record.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, timeout=100)
    assert ended.returncode == -signal.SIGKILL
    folder, _ = RunFolder.open(tmp_path / "run")
    later(monkeypatch, 5)
    folder.start_log(2)
    folder.log({"iteration": 3, "cost": 3.5})
    folder.close()
    assert events(folder.path)["cost"] == [(1, 1.0), (2, 2.0), (3, 3.5)]
