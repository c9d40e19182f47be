"""The run folder: whatever interrupts a write, what was complete before is still there and is found."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg import record
from dgpg.config import RunConfig
from dgpg.errors import ConfigError, RunError
from dgpg.record import KEEP, RunFolder, versions, write_atomic, write_json

CPU = torch.device("cpu")
CONFIG = RunConfig(domain="toy", algorithm="mappo")


def state(iteration: int) -> dict[str, Any]:
    return {"weights": torch.full((50,), float(iteration)), "counters": {"iteration": iteration}}


def line(iteration: int) -> dict[str, float]:
    return {"iteration": iteration, "cost": 1 / (iteration + 1), "share_rollout": 0.5}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


# --- one file


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, 2.5, None]}
    write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "a.json").read_text() == "1\n" and names(tmp_path) == ["a.json"]


def test_others_may_read_what_their_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "a.json", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("bug"), KeyboardInterrupt()]
)
def test_a_write_that_fails_half_way_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.json"
    write_json(path, "before")

    def half(file: Any) -> None:
        file.write(b'"af')
        file.flush()
        raise error

    with pytest.raises(RunError if isinstance(error, OSError) else type(error)) as caught:
        write_atomic(path, half)
    assert json.loads(path.read_text()) == "before" and names(tmp_path) == ["a.json"]
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_message_and_leaves_no_litter(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    run.save(1, state(1))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record.os, call, full)
    with pytest.raises(RunError, match=r"iteration-000002.pt: No space left on device. What was complete"):
        run.save(2, state(2))
    monkeypatch.undo()
    assert names(run.checkpoints) == ["iteration-000001.pt"]
    assert torch.equal(run.load(CPU)["weights"], state(1)["weights"])


# --- the folder


def test_a_new_run_holds_its_configuration_and_versions(run: RunFolder) -> None:
    assert names(run.path) == ["checkpoints", "config.json", "versions.json"]
    found, config = RunFolder.open(run.path)
    assert config == CONFIG and found.path == run.path
    assert json.loads((run.path / "versions.json").read_text()) == versions()
    assert versions("dgpg-plugin-cloud")["dgpg-plugin-cloud"][0].isdigit()
    assert versions("dgpg-plugin-nobody")["dgpg-plugin-nobody"] == "not installed"
    assert {"dgpg", "torch", "python"} <= set(versions())


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RunFolder.create(tmp_path / "run", CONFIG)


def test_a_run_is_never_overwritten(run: RunFolder) -> None:
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(RunError, match=r"exists: add --resume to go on with that run, or choose another --out"):
        RunFolder.create(run.path, RunConfig(domain="toy", algorithm="ippo"))
    assert (run.path / "config.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "other folder"])
def test_what_is_no_run_is_not_said_to_be_resumable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thesis"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "chapter").write_text("precious")
    with pytest.raises(RunError, match=r"thesis exists: choose another --out$"):
        RunFolder.create(path, CONFIG)
    with pytest.raises(RunError, match="no such run folder" if kind == "file" else "not a run: it has no config.json"):
        RunFolder.open(path)
    assert "precious" in (path if kind == "file" else path / "chapter").read_text()


@pytest.mark.parametrize("path", ["file/run", "x" * 300])
def test_a_place_where_nothing_can_be_written(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*(Not a directory|name too long)"):
        RunFolder.create(tmp_path / path, CONFIG)
    with pytest.raises(RunError):
        RunFolder.open(tmp_path / path)


def test_a_read_only_folder(tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom permissions do not stop."""
    run.save(1, state(1))

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"cannot write .*new: Permission denied"):
        RunFolder.create(tmp_path / "new", CONFIG)
    with pytest.raises(RunError, match=r"iteration-000002.pt: Permission denied"):
        run.save(2, state(2))
    with pytest.raises(RunError, match=r"metrics.jsonl: Permission denied"):
        run.log(line(2))
    monkeypatch.undo()
    assert run.load(CPU)["counters"] == {"iteration": 1}


@pytest.mark.parametrize(
    ("content", "error", "part"),
    [
        (b"{", RunError, "cannot be read"),
        (b"", RunError, "cannot be read"),
        (b"\xff\xfe", RunError, "cannot be read"),
        (b"[]", ConfigError, "config.json"),
        (b"{}", ConfigError, "domain"),
        (b'{"domain": "toy", "algorithm": "mappo", "seed": -1}', ConfigError, "seed = -1"),
    ],
)
def test_a_damaged_configuration(run: RunFolder, content: bytes, error: type[Exception], part: str) -> None:
    (run.path / "config.json").write_bytes(content)
    with pytest.raises(error) as caught:
        RunFolder.open(run.path)
    assert str(run.path) in str(caught.value) and part in str(caught.value)


# --- checkpoints


def test_the_newest_checkpoints_are_kept(run: RunFolder) -> None:
    for iteration in (0, 5, 10, 999_999, 1_000_000):
        run.save(iteration, state(iteration))
        assert run.load(CPU)["counters"] == {"iteration": iteration}
        assert len(names(run.checkpoints)) <= KEEP


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "text", "flipped"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(run: RunFolder, damage: str) -> None:
    run.save(5, state(5))
    run.save(10, state(10))
    file = run.checkpoints / "iteration-000010.pt"
    whole = file.read_bytes()
    at = whole.index(state(10)["weights"].numpy().tobytes())
    file.write_bytes(
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "zeros": bytes(len(whole)),
            "text": b"hello",
            "flipped": whole[:at] + bytes(8) + whole[at + 8 :],
        }[damage]
    )
    assert torch.equal(run.load(CPU)["weights"], state(5)["weights"])
    (told,) = run.damaged
    assert "iteration-000010.pt" in told and "\n" not in told
    run.save(7, state(7))
    assert names(run.checkpoints) == ["iteration-000005.pt", "iteration-000007.pt"]


def test_no_checkpoint_is_left(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"has no complete checkpoint; start it again in a new folder"):
        run.load(CPU)
    run.save(5, state(5))
    (run.checkpoints / "iteration-000005.pt").write_bytes(b"")
    with pytest.raises(RunError, match=r"no complete checkpoint \(iteration-000005.pt cannot be read: "):
        run.load(CPU)


def test_a_checkpoint_runs_no_code(run: RunFolder, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    torch.save({"weights": Evil()}, run.checkpoints / "iteration-000001.pt")
    with pytest.raises(RunError):
        run.load(CPU)
    assert not (tmp_path / "owned").exists()


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


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "events"))
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


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
from dgpg import record
from dgpg.config import RunConfig
from dgpg.record import RunFolder
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
    record.os.fsync = fsync
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
    folder.save(0, {"iteration": 0, "x": torch.zeros(1000)})
    folder.start_log(0)
    print(0, file=done, flush=True)
    for i in range(1, 6):
        folder.log({"iteration": i, "cost": 10.0 * i})
        if i % 2 == 0:
            folder.save(i, {"iteration": i, "x": torch.full((1000,), float(i))})
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
    core = Path(record.__file__).parents[1]
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
        loaded = folder.load(CPU)
        iteration = loaded["iteration"]
        assert not folder.damaged and iteration in (int(done[-1]), int(done[-1]) + 2)
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
from dgpg.config import RunConfig
from dgpg.record import RunFolder
folder = RunFolder.create(Path({str(tmp_path / "run")!r}), RunConfig(domain="toy", algorithm="mappo"))
folder.start_log(0)
for i in (1, 2, 3):
    folder.log({{"iteration": i, "cost": float(i)}})
    if i == 2:
        folder.save(i, {{"iteration": i}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = os.pathsep.join([str(Path(record.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, timeout=100)
    assert ended.returncode == -signal.SIGKILL
    folder, _ = RunFolder.open(tmp_path / "run")
    later(monkeypatch, 5)
    folder.start_log(2)
    folder.log({"iteration": 3, "cost": 3.5})
    folder.close()
    assert events(folder.path)["cost"] == [(1, 1.0), (2, 2.0), (3, 3.5)]
