"""The run folder: whatever interrupts a write, what was complete before is still there and is found."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg.errors import ConfigError, DivergenceError, RunError
from dgpg.learning import RunConfig
from dgpg.runs import RunFolder
from dgpg.runs.atomic import write_atomic, write_json
from dgpg.runs.checkpoints import KEEP
from dgpg.runs.versions import versions

from ..folders import CONFIG, CPU, line, names, state

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

    monkeypatch.setattr(os, call, full)
    with pytest.raises(RunError, match=r"iteration-000002.pt: No space left on device. What was complete"):
        run.save(2, state(2))
    monkeypatch.undo()
    assert names(run.checkpoints) == ["iteration-000001.pt"]
    assert torch.equal(run.load(CPU)["weights"], state(1)["weights"])


# --- the folder


def test_a_new_run_holds_its_configuration_and_versions(run: RunFolder) -> None:
    assert names(run.path) == [".lock", ".lock.json", "checkpoints", "config.json", "versions.json"]
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
        (b'{"domain": "toy", "algorithm": "mappo", "seed": 1, "seed": 2}', RunError, "'seed' is there twice"),
        (
            b'{"domain": "toy", "algorithm": "ippo", "settings": {"a": {"b": 1, "b": 1}}}',
            RunError,
            "'b' is there twice",
        ),
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


@pytest.mark.parametrize("part", ["actor", "critic_optimiser", "normaliser"])
def test_what_could_not_be_read_back_is_not_saved(run: RunFolder, part: str) -> None:
    run.save(1, state(1))
    with pytest.raises(DivergenceError, match=rf"iteration 2: {part}\.inner\.0 holds numbers that are not finite"):
        run.save(2, state(2) | {part: {"inner": [torch.tensor([1.0, torch.inf])]}})
    run.save(3, state(3) | {part: {"count": torch.tensor(3)}, "env": {"queue": torch.tensor(torch.inf)}})
    assert names(run.checkpoints) == ["iteration-000001.pt", "iteration-000003.pt"]
    assert run.load(CPU)["env"]["queue"] == torch.inf


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
    (told,) = run.notes
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
